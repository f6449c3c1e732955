//! Loading into Snowflake, by COPY from S3 and from a stage of its own: on the stand-in, and where a test says so on a real
//! account.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[path = "snowflake/account.rs"]
mod account;

// `e2e` asks for tests by their names alone: these have their own.
#[path = "snowflake/loading.rs"]
mod snowflake;
