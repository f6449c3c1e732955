//! `demo`: the chess example from an empty machine to rows, with a look at what lies where.

use std::process::Command;

use crate::duckdb;
use crate::failure::Outcome;
use crate::folder;
use crate::process;
use crate::workspace::Workspace;

const PIPELINE: &str = "examples/chess/pipeline.toml";
const STAGED: &str = "chess_demo/staged";
const DATABASE: &str = "chess_demo/chess.duckdb";
const QUERY: &str = "select p.name as player, count(*) as championship_matches \
                     from chess_players.players p \
                     join chess_players.players__matches m on m._dlt_parent_id = p._dlt_id \
                     group by all order by championship_matches desc, player limit 5";

/// What an earlier demo left stays: a second run is a second load, and has to work as one.
pub(crate) fn demo_task(workspace: &Workspace, _arguments: &[String]) -> Outcome {
    duckdb::setup(workspace)?;
    process::run(process::cargo(workspace).args(["run", "--", "run", PIPELINE]))?;

    println!("\nThe staged files that DuckDB read, in {STAGED}:\n");
    for line in folder::tree(&workspace.root().join(STAGED))? {
        println!("  {line}");
    }

    println!("\nMatches for the championship, most first:\n");
    process::output(&mut query(workspace)).map(|table| print!("{table}"))?;
    println!("\nAsk something else in the same way:\n\n  {}", process::shown(&query(workspace)));
    Ok(())
}

fn query(workspace: &Workspace) -> Command {
    let mut command = process::cargo(workspace);
    command.args(["run", "--quiet", "--example", "query", "--", DATABASE, QUERY]);
    command
}
