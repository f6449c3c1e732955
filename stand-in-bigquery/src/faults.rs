//! Faults on demand: what a test sends to `/_faults`.
//!
//! `POST {"method": "POST", "target": "part of a path", "body": ["parts", "of a body"], "times": 2, "does": {"refuse": {"status":
//! 403, "reason": "quotaExceeded"}}}` refuses the next two such requests. Beside `refuse` there is `"reset"`, which ends the
//! connection in the place of reading the request, `"lose"`, which ends it instead of answering, `"hold"`, which does what is
//! asked and never answers, `{"fail": {"reason": "…", "message": "…"}}`, by which a job is taken and fails, and
//! `{"run_for": 3}`, by which a job runs for as many looks.

use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// It is refused so.
    Refuse { status: u16, reason: String },
    /// The connection ends before it is read.
    Reset,
    /// The connection ends after it was done.
    Lose,
    /// It is done, and never answered.
    Hold,
    /// The job is taken and fails so.
    Fail { reason: String, message: String },
    /// The job runs for as many looks at it.
    RunFor(u32),
}

/// A fault to come.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    method: String,
    target: String,
    body: Vec<String>,
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

    /// Takes the first that is for this request.
    pub(crate) fn take(&self, method: &str, target: &str, body: &str) -> Option<Action> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = faults.iter().position(|fault| {
            fault.method == method
                && target.contains(&fault.target)
                && fault.body.iter().all(|part| body.contains(part))
        })?;
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
    fn a_fault_is_for_some_requests_and_no_others() {
        let faults = Faults::default();
        let text = r#"{"method": "POST", "target": "/jobs", "body": ["a_data", "set"], "times": 2, "does": {"run_for": 3}}"#;
        faults.add(serde_json::from_str(text).unwrap());
        assert_eq!(faults.take("GET", "/p/jobs", "a_dataset"), None);
        assert_eq!(faults.take("POST", "/p/jobs", "another"), None);
        for _ in 0..2 {
            assert_eq!(faults.take("POST", "/p/jobs", "a_dataset"), Some(Action::RunFor(3)));
        }
        assert_eq!(faults.take("POST", "/p/jobs", "a_dataset"), None);
        assert!(serde_json::from_str::<Fault>(r#"{"method": "POST"}"#).is_err());
    }
}
