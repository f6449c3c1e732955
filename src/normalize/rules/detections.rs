//! What values that begin a column may be, beside what JSON calls them.
//!
//! Source: dlt, `dlt/common/schema/detections.py`.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value as Json;
use transload_core::{DataType, Error, ErrorKind, Result};

use crate::normalize::coerce::Value;
use crate::normalize::timestamp;

/// One thing that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detection {
    /// A number of seconds since 1970 that is within five years of now.
    Timestamp,
    /// A text that is a point in time.
    IsoTimestamp,
    /// A text that is a date, be it only a year.
    IsoDate,
    /// An integer beyond 64 bits.
    LargeInteger,
    /// Values that JSON does not have.
    Never,
}

/// Seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now(f64);

/// Five years of 365 days.
const FIVE_YEARS: f64 = 5.0 * 365.0 * 86_400.0;

impl Now {
    pub(super) fn at(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()))
    }

    fn is_near(self, seconds: f64) -> bool {
        (self.0 - FIVE_YEARS..=self.0 + FIVE_YEARS).contains(&seconds)
    }
}

const NAMES: [(&str, Detection); 6] = [
    ("timestamp", Detection::Timestamp),
    ("iso_timestamp", Detection::IsoTimestamp),
    ("iso_date", Detection::IsoDate),
    ("large_integer", Detection::LargeInteger),
    ("hexbytes_to_text", Detection::Never),
    ("wei_to_double", Detection::Never),
];

impl Detection {
    /// # Errors
    /// [`ErrorKind::Configuration`] for a name that there is not.
    pub(super) fn of(name: &Json) -> Result<Self> {
        let found = NAMES.iter().find(|(known, _)| name.as_str() == Some(known));
        found.map(|(_, detection)| *detection).ok_or_else(|| {
            Error::new(ErrorKind::Configuration, "there is no such detection of types")
                .with("detection", name)
                .with_hint(format!("the detections are {}", NAMES.map(|(name, _)| name).join(", ")))
        })
    }

    /// The type that it finds for a value.
    pub(super) fn detect(self, value: &Value<'_>, now: Now) -> Option<DataType> {
        let is = match (self, value) {
            (Self::Timestamp, Value::Integer(seconds)) => now.is_near(*seconds as f64),
            (Self::Timestamp, Value::Double(seconds)) => now.is_near(*seconds),
            (Self::IsoTimestamp, Value::Text(text)) => timestamp::parse_timestamp(text).is_some(),
            (Self::IsoDate, Value::Text(text)) => {
                timestamp::is_date(text) && timestamp::parse_timestamp(text).is_none()
            }
            (Self::LargeInteger, Value::Wide(value)) => *value > i128::from(i64::MAX),
            _ => false,
        };
        is.then_some(match self {
            Self::Timestamp | Self::IsoTimestamp => DataType::Timestamp,
            Self::IsoDate => DataType::Date,
            Self::LargeInteger | Self::Never => DataType::Wei,
        })
    }
}
