//! What wit-bindgen makes of the contract in `wit/`.

#![allow(missing_docs, unsafe_code, unreachable_pub, clippy::all)]

wit_bindgen::generate!({
    path: "../../../wit",
    world: "plugin",
    pub_export_macro: true,
    export_macro_name: "export_bindings",
    default_bindings_module: "gristmill_plugin::bindings",
    generate_all,
});
