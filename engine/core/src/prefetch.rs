//! A hint to the processor: this will be read soon.
//!
//! A load that misses the cache keeps everything after it waiting once the processor's window is full, some hundred instructions
//! on. A hint does not: what comes next runs on while the line is fetched. `docs/performance.md` has what it gives.

/// Asks for the first cache line of what is referred to, and waits for nothing. Does nothing where the compiler has no such hint.
#[inline(always)]
#[allow(unsafe_code)]
pub fn prefetch<T>(what: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction reads nothing for the program, changes nothing and cannot fault, whatever the address; this one is of
    // a live reference. SSE, which it belongs to, is part of every x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(what).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = what;
}
