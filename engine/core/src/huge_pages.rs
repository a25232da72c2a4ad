//! Asks the kernel to back large tables by huge pages.
//!
//! The tables of accounts and ids are touched at random, a few cache lines for each posting. With pages of 4 KiB nearly every such
//! access also misses the processor's cache of page addresses, and growing a table costs a fault every 4 KiB.
//! `docs/performance.md` has what it gives.

use zerocopy::FromZeros;

/// Size of a huge page, bytes; also on machines where it is another one a sensible least size of what is worth it.
const HUGE_PAGE: usize = 2 << 20;

/// A vector with fewer elements grows by doubling.
const SMALL: usize = 1 << 12;

/// A vector with room for `capacity` elements, on huge pages as far as the system has them.
pub fn with_capacity<T>(capacity: usize) -> Vec<T> {
    let mut vector = Vec::with_capacity(capacity);
    advise(vector.spare_capacity_mut());
    vector
}

/// An empty vector with room for `capacity` elements, each of which was written once: its first use meets no page that the system has
/// yet to give, which takes milliseconds for a huge one where the machine itself is a guest.
pub fn touched<T: Clone>(capacity: usize, element: T) -> Vec<T> {
    let mut vector = with_capacity(capacity);
    vector.resize(capacity, element);
    vector.clear();
    vector
}

/// Pushes. A vector that is not small any more and has to grow gets room for `ahead` more elements, or for as many as it has, if
/// these are more. What is not used takes no memory, and growing hardly ever copies, which would hold up whoever pushes.
#[inline]
pub fn push<T>(vector: &mut Vec<T>, element: T, ahead: usize) {
    if vector.len() == vector.capacity() {
        grow(vector, ahead);
    }
    vector.push(element);
}

#[cold]
fn grow<T>(vector: &mut Vec<T>, ahead: usize) {
    let wanted = if vector.len() < SMALL { 1 } else { ahead.max(vector.len()) };
    // A system that does not lend so much address space may lend less.
    if vector.try_reserve(wanted).is_err() {
        vector.reserve(1);
    }
    advise(vector.spare_capacity_mut());
}

/// A vector of `count` elements of zeros, on huge pages as far as the system has them. Nothing is touched before it is used.
pub fn zeroed<T: FromZeros>(count: usize) -> Vec<T> {
    let mut vector = T::new_vec_zeroed(count).expect("memory for a table");
    advise(vector.as_mut_slice());
    vector
}

/// Asks for huge pages in memory. A system that has none goes on as without.
#[allow(unsafe_code)]
fn advise<T>(memory: &mut [T]) {
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
            let mut zeros = zeroed::<u64>(count);
            let mut pushed = Vec::new();
            (0..count as u64).for_each(|n| push(&mut pushed, n, 100_000));
            assert!(zeros.iter().all(|n| *n == 0) && zeros.len() == count);
            assert!(pushed.iter().copied().eq(0..count as u64));
            zeros.push(8);
            assert_eq!((zeros.len(), zeros[count]), (count + 1, 8));
        }
    }
}
