//! A reader who never stops looking while a table is replaced.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use transload::core::settings::Settings;
use transload::core::{Destination as _, ReplaceStrategy};
use transload::{Resource, WriteDisposition};
use transload_dest_duckdb::DuckDbDestination;

use super::pipeline;

/// Replaces again and again while somebody reads, who counts what differs from whole loads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_in_a_loop_sees_the_old_rows_or_the_new_ones() {
    const LOADS: i64 = 12;
    let settings = |path: &str| Settings::from_pairs("duckdb", &[("database", path)]);
    let duckdb = |path: &str| DuckDbDestination::new(&settings(path));
    let claimed = duckdb("none.duckdb").unwrap().capabilities().replace_strategies.clone();
    assert!(claimed.contains(&ReplaceStrategy::TruncateAndInsert));
    for strategy in claimed {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        // Load `n` has `n + 1` rows, each with two nested ones.
        let load = |n: i64| {
            let rows = (0..=n).map(move |row| serde_json::json!({ "n": n, "tags": [row, row] }));
            Resource::rows("t", rows)
                .write_disposition(WriteDisposition::Replace)
                .replace_strategy(strategy)
        };
        let pipeline = pipeline(folder, "host", "none");
        pipeline.run(load(0)).await.unwrap();
        let path = folder.join("faults.duckdb");
        let reader = duckdb(path.to_str().unwrap()).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let reading = tokio::spawn(async move {
            let sql = "select min(n) as least, max(n) as most, count(*) as rows, \
                       (select count(*) from d.t__tags) as tags, \
                       (select count(*) from d.t__tags where _dlt_parent_id not in (select _dlt_id from d.t)) \
                       as orphans from d.t";
            let mut seen = BTreeSet::new();
            while !over.load(Ordering::SeqCst) {
                let answer = reader.query(sql).await.unwrap();
                let number =
                    |at: usize| answer[0][at].as_ref().map(|text| text.parse::<i64>().unwrap());
                let (least, most) = (number(0).expect("never empty"), number(1).unwrap());
                assert_eq!(least, most, "rows of two loads");
                assert_eq!(number(2), Some(most + 1), "rows");
                assert_eq!(number(3), Some(2 * (most + 1)), "nested rows");
                assert_eq!(number(4), Some(0), "nested rows without a parent");
                seen.insert(most);
                tokio::task::yield_now().await;
            }
            seen
        });
        for n in 1..LOADS {
            pipeline.run(load(n)).await.unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
        let seen = reading.await.unwrap();
        assert!(seen.len() > 1, "{strategy:?}: the reader saw {seen:?} only");
    }
}
