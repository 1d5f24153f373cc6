//! Does nothing, so that a benchmark can measure everything else: no standard library, and thus no WASI either.

#![no_std]
#![cfg(target_family = "wasm")]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

#[allow(missing_docs, unsafe_code, unreachable_pub, clippy::all)]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "plugin", generate_all });

    export!(Noop);
    use super::Noop;
}

use bindings::exports::gristmill::plugin::item_processor::{Context, Failure, Guest, Item, Manifest};

struct Noop;

impl Guest for Noop {
    fn describe() -> Manifest {
        Manifest {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: env!("CARGO_PKG_DESCRIPTION").into(),
            settings_schema: "{}".into(),
            outputs: Vec::new(),
        }
    }

    fn process(_: Context, _: Item) -> Result<Option<String>, Failure> {
        Ok(None)
    }
}

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// How the host asks for memory for what it passes. With the standard library this comes along by itself.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
unsafe extern "C" fn cabi_realloc(old: *mut u8, old_size: usize, align: usize, new_size: usize) -> *mut u8 {
    use alloc::alloc::{Layout, alloc, realloc};
    // SAFETY: the canonical ABI gives an alignment that is one, and a block as it came from here.
    unsafe {
        match (old_size, new_size) {
            (_, 0) => core::ptr::without_provenance_mut(align),
            (0, _) => alloc(Layout::from_size_align_unchecked(new_size, align)),
            _ => realloc(old, Layout::from_size_align_unchecked(old_size, align), new_size),
        }
    }
}
