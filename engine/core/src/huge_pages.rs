//! Asks the kernel to back large tables by huge pages.
//!
//! The tables of accounts and ids are touched at random, a few cache lines for each posting. With pages of 4 KiB nearly every such
//! access also misses the processor's cache of page addresses, and growing a table costs a fault every 4 KiB.
//! `docs/performance.md` has what it gives.

use std::mem::MaybeUninit;

/// Size of a huge page, bytes; also on machines where it is another one a sensible least size of what is worth it.
const HUGE_PAGE: usize = 2 << 20;

/// A vector with room for `capacity` elements, on huge pages as far as the system has them.
pub fn with_capacity<T>(capacity: usize) -> Vec<T> {
    let mut vector = Vec::with_capacity(capacity);
    advise(vector.spare_capacity_mut());
    vector
}

/// A vector of `count` equal elements, on huge pages as far as the system has them.
pub fn filled<T: Clone>(element: T, count: usize) -> Vec<T> {
    let mut vector = with_capacity(count);
    vector.resize(count, element);
    vector
}

/// Pushes; where the vector has to grow, its new memory is on huge pages as far as the system has them.
pub fn push<T>(vector: &mut Vec<T>, element: T) {
    if vector.len() == vector.capacity() {
        vector.reserve(1);
        advise(vector.spare_capacity_mut());
    }
    vector.push(element);
}

/// Asks for huge pages in memory that is not used yet. A system that has none goes on as without.
#[allow(unsafe_code)]
fn advise<T>(memory: &mut [MaybeUninit<T>]) {
    let bytes = std::mem::size_of_val(memory);
    if bytes < 2 * HUGE_PAGE {
        return;
    }
    // The kernel wants whole pages: those that lie entirely within.
    let start = memory.as_mut_ptr() as usize;
    let first = start.next_multiple_of(HUGE_PAGE);
    let last = (start + bytes) / HUGE_PAGE * HUGE_PAGE;
    if first >= last {
        return;
    }
    let pages = memory.as_mut_ptr().wrapping_byte_add(first - start).cast();
    // SAFETY: MADV_HUGEPAGE is a hint about how pages are backed. It neither changes what they hold nor what may be done with
    // them, and the range lies within memory that this function has borrowed exclusively, so it is mapped for as long as the call
    // takes. Measured reason: `docs/performance.md`.
    // The answer does not matter: a kernel without huge pages serves the same bytes from small ones.
    let _ = unsafe { rustix::mm::madvise(pages, last - first, rustix::mm::Advice::LinuxHugepage) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_hold_what_is_put_into_them_whatever_their_size() {
        for count in [0, 1, 1_000, HUGE_PAGE / 4, 3 * HUGE_PAGE / 4 + 5] {
            let mut filled = filled(7u64, count);
            let mut pushed = Vec::new();
            (0..count as u64).for_each(|n| push(&mut pushed, n));
            assert!(filled.iter().all(|n| *n == 7) && filled.len() == count);
            assert!(pushed.iter().copied().eq(0..count as u64));
            push(&mut filled, 8);
            assert_eq!((filled.len(), filled[count]), (count + 1, 8));
        }
    }
}
