//! Does nothing, so that a benchmark can measure everything else: no standard library, and thus no WASI either.

#![no_std]
#![cfg(target_family = "wasm")]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};
use core::ptr;

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

/// A heap that is there from the start, and of which nothing is given back: an instance lives for an item. A memory that grows
/// costs every instance two calls of the host's kernel; with the standard library `--initial-heap` spares them
/// (`plugins/.cargo/config.toml`).
#[repr(C, align(16))]
struct Heap {
    bytes: UnsafeCell<[u8; HEAP]>,
    used: Cell<usize>,
}

/// The largest message has 256 KiB: room for all that it holds.
const HEAP: usize = 320 << 10;

// SAFETY: there are no threads.
#[allow(unsafe_code)]
unsafe impl Sync for Heap {}

// SAFETY: what is given out is aligned, within the bytes, and given out once.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.used.get().next_multiple_of(layout.align());
        match start.checked_add(layout.size()) {
            Some(end) if end <= HEAP => {
                self.used.set(end);
                // SAFETY: `start` is within the bytes.
                unsafe { self.bytes.get().cast::<u8>().add(start) }
            }
            _ => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static HEAP_OF_ALL: Heap = Heap { bytes: UnsafeCell::new([0; HEAP]), used: Cell::new(0) };

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// How the host asks for memory for what it passes. With the standard library this comes along by itself.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
unsafe extern "C" fn cabi_realloc(old: *mut u8, old_size: usize, align: usize, new_size: usize) -> *mut u8 {
    use alloc::alloc::{alloc, realloc};
    // SAFETY: the canonical ABI gives an alignment that is one, and a block as it came from here.
    unsafe {
        match (old_size, new_size) {
            (_, 0) => ptr::without_provenance_mut(align),
            (0, _) => alloc(Layout::from_size_align_unchecked(new_size, align)),
            _ => realloc(old, Layout::from_size_align_unchecked(old_size, align), new_size),
        }
    }
}
