//! An allocator that notes any single allocation that no decoder may ask for, whatever a length field says. Memory that is
//! only reserved costs nothing until it is touched, so a test that merely ran would not see it.
//!
//! It counts and passes everything on to the system's allocator; it changes nothing about memory itself.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Most bytes that one allocation may have while a target runs: above the largest group, reply and chunk of a snapshot
/// (`limits.rs` of each crate), and far below what a forged length of four bytes asks for.
pub const BYTES_MAX: usize = 16 << 20;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator with a look at sizes; a binary makes it its `global_allocator`.
pub struct Measured;

fn note(bytes: usize) {
    if bytes > BYTES_MAX {
        LARGEST.fetch_max(bytes, Relaxed);
    }
}

// SAFETY: every call goes to `System` with the arguments that came, so `System` keeps the contract of `GlobalAlloc`; noting a
// size touches an atomic and neither allocates nor panics.
unsafe impl GlobalAlloc for Measured {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        note(bytes);
        unsafe { System.realloc(pointer, layout, bytes) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The largest allocation above [`BYTES_MAX`] since the last call; 0 if there was none, or without [`Measured`].
pub fn too_large() -> usize {
    LARGEST.swap(0, Relaxed)
}
