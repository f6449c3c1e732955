//! A stranger's staging destination, chained by name in front of DuckDB.
#![allow(clippy::unwrap_used)]

use example_staging_memory::MemoryStore;
use transload::{FileFormat, Resource};

#[tokio::test]
async fn rows_go_through_memory_into_duckdb() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("chess.duckdb");
    let pipeline = transload::pipeline("chess")
        .destination("duckdb")
        .staging("memory")
        .dataset_name("players")
        .pipelines_dir(folder.path().join("pipelines"))
        .setting("destination.duckdb.credentials", database.to_str().unwrap())
        .setting("destination.memory.store", "chained")
        .build()
        .unwrap();
    let rows = Resource::json(
        "players",
        "{\"id\": 1, \"name\": \"Tal\"}\n{\"id\": 2, \"name\": \"Polgar\"}\n",
    );
    let info = pipeline.run(rows.loader_file_format(FileFormat::Parquet)).await.unwrap();
    assert!(info.to_string().contains("players"), "{info}");
    assert!(database.exists());
    let staged: Vec<String> = MemoryStore::open("chained").objects().keys().cloned().collect();
    assert_eq!(staged.len(), 2, "a file and its manifest: {staged:?}");
    assert!(staged.iter().any(|key| key.ends_with(".parquet")), "{staged:?}");
}
