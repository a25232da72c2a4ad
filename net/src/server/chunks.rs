//! Read buffers: a connection holds one only while it has something to read.

use std::cell::RefCell;

use bytes::BytesMut;

use crate::limits::{READ_CHUNK_BYTES, SPARE_CHUNKS_MAX};

/// Chunks that no connection holds at the moment.
#[derive(Debug, Default)]
pub struct Chunks {
    spare: RefCell<Vec<BytesMut>>,
}

impl Chunks {
    /// An empty chunk. Its bytes are not cleared: they are only ever read after they were written.
    pub fn take(&self) -> BytesMut {
        self.spare.borrow_mut().pop().unwrap_or_else(|| BytesMut::with_capacity(READ_CHUNK_BYTES))
    }

    /// Gives back an empty buffer. One that a payload still points into, or of another size, is let go.
    pub fn give_back(&self, mut buffer: BytesMut) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_CHUNKS_MAX
            && buffer.try_reclaim(READ_CHUNK_BYTES)
            && buffer.capacity() <= 2 * READ_CHUNK_BYTES
        {
            buffer.clear();
            spare.push(buffer);
        }
    }
}
