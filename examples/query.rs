//! Asks a DuckDB file one question: `cargo run --example query -- [--csv] FILE SQL`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks to its user")]

use std::process::ExitCode;

use duckdb::arrow::util::display::array_value_to_string;
use duckdb::arrow::util::pretty::pretty_format_batches;
use duckdb::{AccessMode, Config, Connection};

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let csv = arguments.first().is_some_and(|argument| argument == "--csv");
    if csv {
        arguments.remove(0);
    }
    let [file, sql] = &arguments[..] else {
        eprintln!("usage: cargo run --example query -- [--csv] FILE SQL");
        return ExitCode::from(2);
    };
    match query(file, sql, csv) {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn query(file: &str, sql: &str, csv: bool) -> Result<String, Box<dyn std::error::Error>> {
    let connection =
        Connection::open_with_flags(file, Config::default().access_mode(AccessMode::ReadOnly)?)?;
    // As texts, since DuckDB knows how to show each of its types and Arrow has no database of time zones here.
    let sql = format!("SELECT COLUMNS(*)::VARCHAR FROM ({})", sql.trim().trim_end_matches(';'));
    let mut statement = connection.prepare(&sql)?;
    let answer = statement.query_arrow([])?;
    let schema = answer.get_schema();
    let batches: Vec<_> = answer.collect();
    if !csv {
        return Ok(pretty_format_batches(&batches)?.to_string());
    }
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut lines = vec![names.join(",")];
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let values = batch.columns().iter().map(|column| array_value_to_string(column, row));
            lines.push(values.collect::<Result<Vec<_>, _>>()?.join(","));
        }
    }
    Ok(lines.join("\n"))
}
