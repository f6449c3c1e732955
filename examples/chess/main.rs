//! The chess load as a program: `cargo run --example chess`, from the root of the repository.
//!
//! It does what `pipeline.toml` beside it does, with a row of its own in a second resource.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks to its user")]

use std::path::Path;

use transload::{Event, FileFormat, Resource, WriteDisposition};

#[derive(serde::Serialize)]
struct Opening {
    eco: &'static str,
    name: &'static str,
    moves: Vec<&'static str>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let here = Path::new("examples/chess");
    let pipeline = transload::pipeline("chess_pipeline")
        .destination("duckdb")
        .staging("filesystem")
        .dataset_name("chess_players")
        .config_dir(here)
        .environment(std::env::vars_os())
        .pipelines_dir("chess_demo/pipelines")
        .observer(|event| {
            if let Event::FileWritten(file) = event {
                eprintln!("wrote {} rows of {}", file.rows, file.table);
            }
        })
        .build()?;

    let players = Resource::files("players", [here.join("players.jsonl")])
        .write_disposition(WriteDisposition::Replace)
        .primary_key(["id"])
        .loader_file_format(FileFormat::Parquet);
    let openings = [
        Opening { eco: "C60", name: "Ruy Lopez", moves: vec!["e4", "e5", "Nf3", "Nc6", "Bb5"] },
        Opening { eco: "D06", name: "Queen's Gambit", moves: vec!["d4", "d5", "c4"] },
    ];
    let openings =
        Resource::rows("openings", openings).write_disposition(WriteDisposition::Replace);

    let info = pipeline.run([players, openings]).await?;
    println!("{info}");
    Ok(())
}
