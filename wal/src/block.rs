//! Memory whose start is aligned to a physical block, as O_DIRECT wants it. Without `unsafe`: a vector with a block to
//! spare, of which the aligned part is used. Never grows, so the alignment found at the start stays.

use crate::limits::BLOCK_BYTES;

/// An aligned, zeroed buffer of fixed length, touched once so that its first use meets no page faults.
pub(crate) struct Blocks {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Blocks {
    /// `length` bytes rounded up to whole blocks.
    pub(crate) fn new(length: usize) -> Blocks {
        let length = length.next_multiple_of(BLOCK_BYTES);
        let memory = Blocks::touched(length + BLOCK_BYTES);
        let start = memory.as_ptr().align_offset(BLOCK_BYTES);
        assert!(start < BLOCK_BYTES, "a byte pointer can be aligned");
        Blocks { memory, start, length }
    }

    /// Zeroed memory whose pages are mapped: those of a zeroed allocation fault one by one at their first use.
    pub(crate) fn touched(length: usize) -> Vec<u8> {
        let mut memory = vec![0; length];
        // One write to each page; the value is one that the compiler cannot leave out.
        memory.iter_mut().step_by(BLOCK_BYTES).for_each(|byte| *byte = std::hint::black_box(0));
        memory
    }

    /// The aligned bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.length]
    }

    /// The aligned bytes, to write.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.length]
    }

    /// Length in bytes, a multiple of a block.
    pub(crate) fn len(&self) -> usize {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_starts_at_a_block_and_is_whole_blocks() {
        for length in [1, BLOCK_BYTES, BLOCK_BYTES + 1, 10 * BLOCK_BYTES] {
            let mut blocks = Blocks::new(length);
            assert_eq!(blocks.len(), length.next_multiple_of(BLOCK_BYTES));
            assert_eq!(blocks.bytes().as_ptr() as usize % BLOCK_BYTES, 0);
            assert!(blocks.bytes_mut().iter().all(|&byte| byte == 0));
        }
    }
}
