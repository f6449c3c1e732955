//! Faults on demand: what a test sends to `/_faults`, where no bucket can be.
//!
//! `POST {"method": "PUT", "target": "part of a path or query", "times": 2, "does": {"refuse": {"status": 503, "code":
//! "SlowDown"}}}` refuses the next two such requests. Beside `refuse` there is `"reset"`, which ends the connection in
//! the place of reading the request, `"lose"`, which ends it instead of answering, and `{"wait": 100}`, milliseconds before
//! the request is looked at. `GET` lists those that are still to come.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// It is refused so.
    Refuse { status: u16, code: String },
    /// The connection ends before it is read.
    Reset,
    /// The connection ends after it was done.
    Lose,
    /// It is looked at after that many milliseconds.
    Wait(u64),
}

/// A fault to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    method: String,
    target: String,
    times: u32,
    does: Action,
}

/// The faults to come, of all tests.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    pub(crate) fn to_come(&self) -> Vec<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the first that is for this request. The target is the path and query, decoded.
    pub(crate) fn take(&self, method: &str, target: &str) -> Option<Action> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = faults
            .iter()
            .position(|fault| fault.method == method && target.contains(&fault.target))?;
        let fault = &mut faults[found];
        fault.times = fault.times.saturating_sub(1);
        let action = fault.does.clone();
        if fault.times == 0 {
            faults.remove(found);
        }
        Some(action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_for_so_many_requests_of_its_kind() {
        let faults = Faults::default();
        let fault = r#"{"method": "PUT", "target": "partNumber=2", "times": 2,
            "does": {"refuse": {"status": 503, "code": "SlowDown"}}}"#;
        faults.add(serde_json::from_str(fault).unwrap());
        assert_eq!(faults.take("PUT", "/b/k?partNumber=1"), None);
        assert_eq!(faults.take("GET", "/b/k?partNumber=2"), None);
        let refused = Action::Refuse { status: 503, code: "SlowDown".into() };
        assert_eq!(faults.take("PUT", "/b/k?partNumber=2"), Some(refused.clone()));
        assert_eq!(faults.to_come().len(), 1);
        assert_eq!(faults.take("PUT", "/b/k?partNumber=2"), Some(refused));
        assert_eq!(faults.take("PUT", "/b/k?partNumber=2"), None);
        let reset = r#"{"method": "PUT", "target": "", "times": 1, "does": "reset"}"#;
        assert_eq!(serde_json::from_str::<Fault>(reset).unwrap().does, Action::Reset);
    }
}
