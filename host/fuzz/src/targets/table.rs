//! A table in an object, as a plugin asks for it.

use std::sync::Arc;

use futures::FutureExt as _;
use gristmill::object::{Compression, Location, ObjectError};
use gristmill::table::{Comparison, Encoding, Format, Literal, Predicate, Request, Scan};

use super::short;
use super::store::One;

/// What a scan may take; and the most bytes of a block.
const MEMORY: u64 = 64 << 20;
const BLOCK: usize = 9 << 20;

/// A Parquet file; or `t.csv` or `t.jsonl`, and after the line's end the text. Blocks have rows, and are not
/// too large; what is wrong is said with the object.
pub fn table(data: &[u8]) -> bool {
    let (key, bytes) = match super::first_line(data) {
        Some(("t.csv", text)) => ("dir/t.csv", text),
        Some(("t.jsonl", text)) => ("dir/t.jsonl", text),
        _ => ("dir/t.parquet", data),
    };
    let store = One::new(key, bytes);
    let at = store.at.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let condition = Predicate { column: "n".into(), comparison: Comparison::Greater, value: Some(Literal::Int64(1)) };
    let plain = Request {
        format: Format::Auto,
        compression: Compression::Auto,
        columns: None,
        key_columns: true,
        conditions: Vec::new(),
        block_rows: 0,
        memory: MEMORY,
    };
    let some = Request { conditions: vec![condition], block_rows: 7, ..plain.clone() };
    let store = Arc::new(store);
    let whole = runtime.block_on(scan(store.clone(), &at, &plain));
    if let (Ok(all), Ok(part)) = (&whole, runtime.block_on(scan(store, &at, &some))) {
        assert!(part <= *all, "a condition gives {part} rows of {all}");
    }
    whole
        .inspect_err(|error| {
            short(error);
            assert!(error.to_string().contains("s3://b/dir/"), "{error}");
        })
        .is_ok()
}

async fn scan(store: Arc<One>, at: &Location, request: &Request) -> Result<usize, ObjectError> {
    let mut scan = Scan::open(&tokio::runtime::Handle::current(), store, at, request).boxed().await?;
    let mut rows = 0;
    while scan.fetch().await? {
        while let Some(block) = scan.decode()? {
            assert!(block.num_rows() > 0 && block.num_columns() == scan.columns().count());
            assert!(scan.encode(&block, Encoding::ArrowIpc)?.len() <= BLOCK);
            scan.encode(&block, Encoding::JsonLines)?;
            rows += block.num_rows();
        }
    }
    Ok(rows)
}
