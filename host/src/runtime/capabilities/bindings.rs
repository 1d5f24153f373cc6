//! The contract as Rust sees it from the host's side. The capabilities implement what is generated here; resources are their handles.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "generated; the contract documents itself")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "gristmill:plugin/plugin",
    imports: {
        "gristmill:plugin/metrics": trappable,
        "wasi:logging/logging": trappable,
        "gristmill:plugin/output": trappable,
        "gristmill:plugin/objects.[method]object.metadata": trappable,
        "gristmill:plugin/objects.[drop]object": trappable,
        "gristmill:plugin/tables.[method]scan.columns": trappable,
        "gristmill:plugin/tables.[drop]scan": trappable,
        "gristmill:plugin/sql.[method]rows.columns": trappable,
        "gristmill:plugin/sql.[drop]rows": trappable,
        "gristmill:plugin/objects.[drop]chunks": trappable,
        "gristmill:plugin/objects.[drop]listing": trappable,
        default: async | trappable,
    },
    exports: { default: async },
    with: {
        "gristmill:plugin/objects.object": super::objects::handles::OpenObject,
        "gristmill:plugin/objects.chunks": super::objects::handles::ChunkReader,
        "gristmill:plugin/objects.listing": super::objects::handles::ObjectListing,
        "gristmill:plugin/tables.scan": super::tables::handles::TableScan,
        "gristmill:plugin/sql.rows": super::sql::handles::QueryRows,
    },
});
