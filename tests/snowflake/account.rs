//! The account of the tests: the stand-in, or one of their user's with `--live`.

#[path = "../warehouse/case.rs"]
pub(crate) mod case;

use std::path::Path;

use transload::PipelineBuilder;
use transload::core::Result;
use transload::core::settings::{Settings, connection_string};
use transload_dest_snowflake::SnowflakeDestination;

use case::{Rows, Warehouse, variable};

#[derive(Debug)]
pub(crate) struct Snowflake;

pub(crate) type Case = case::Case<Snowflake>;

impl Warehouse for Snowflake {
    const NAME: &'static str = "snowflake";

    fn login(session: &str) -> Vec<(String, String)> {
        login(session)
    }

    fn dataset(name: &str) -> String {
        format!("\"{}\".\"{}\"", database(), name.to_ascii_uppercase())
    }

    fn table(name: &str) -> String {
        format!("\"{}\"", name.to_ascii_uppercase())
    }

    async fn rows(sql: &str) -> Result<Rows> {
        account("look").query(sql).await
    }
}

impl Case {
    /// Sends a command to the stand-in.
    pub(crate) async fn stand_in(&self, command: &str) -> Vec<String> {
        query(&format!("STAND_IN {command} FOR '{}'", self.name)).await
    }

    /// The statements that were sent, with their tags, how they ended, and how often each was sent again: of the
    /// stand-in.
    pub(crate) async fn history(&self) -> Vec<Vec<String>> {
        let rows = Snowflake::rows(&format!("STAND_IN HISTORY FOR '{}'", self.name)).await;
        let rows = rows.expect("the stand-in answers");
        rows.into_iter()
            .map(|row| row.into_iter().map(Option::unwrap_or_default).collect())
            .collect()
    }

    /// How many COPYs into the dataset succeeded. The stand-in counts them itself.
    pub(crate) async fn copies(&self) -> usize {
        let history = self.history().await;
        history.iter().filter(|row| row[0].starts_with("COPY ") && row[2] == "SUCCESS").count()
    }
}

/// Whether the tests run on an account of their user's.
pub(crate) fn is_live() -> bool {
    Snowflake::is_live()
}

/// The database that is loaded into.
pub(crate) fn database() -> String {
    let login = login("");
    let (_, database) =
        login.into_iter().find(|(key, _)| key == "credentials.database").expect("one");
    database.to_ascii_uppercase()
}

/// The account, as its user would configure it.
pub(crate) fn login(name: &str) -> Vec<(String, String)> {
    if is_live() {
        let text = variable("DESTINATION__SNOWFLAKE__CREDENTIALS");
        let parts = connection_string(&text).expect("a connection string");
        return parts
            .into_iter()
            .map(|(key, value)| (format!("credentials.{key}"), value))
            .collect();
    }
    [
        ("credentials.host", "stand-in".to_owned()),
        ("credentials.endpoint_url", variable("TRANSLOAD_TEST_SNOWFLAKE_ENDPOINT")),
        ("credentials.database", "raw".to_owned()),
        ("credentials.username", variable("TRANSLOAD_TEST_SNOWFLAKE_USER")),
        ("credentials.password", variable("TRANSLOAD_TEST_SNOWFLAKE_PASSWORD")),
        // By this the stand-in tells the sessions of tests apart.
        ("session_parameters", format!("[\"QUERY_TAG={name}\"]")),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// A pipeline of this name into this dataset.
pub(crate) fn pipeline(name: &str, dataset: &str, folder: &Path) -> PipelineBuilder {
    case::pipeline::<Snowflake>(name, dataset, folder)
}

/// The account with other values for some settings.
pub(crate) fn account_with(name: &str, change: &[(&str, &str)]) -> SnowflakeDestination {
    let mut login = login(name);
    login.retain(|(key, _)| !change.iter().any(|(changed, _)| changed == key));
    let mut pairs: Vec<(&str, &str)> =
        login.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    pairs.extend(change.iter().filter(|(_, value)| !value.is_empty()));
    SnowflakeDestination::new(&Settings::from_pairs("snowflake", &pairs)).expect("is configured")
}

/// The account, to be asked as its user would.
pub(crate) fn account(name: &str) -> SnowflakeDestination {
    account_with(name, &[])
}

/// Asks the account.
pub(crate) async fn query(sql: &str) -> Vec<String> {
    case::ask::<Snowflake>(sql).await
}
