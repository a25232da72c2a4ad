//! Read buffers: a connection holds one only while it has something to read.
//!
//! Small frames are read into chunks, many at a time. A frame that is larger than a chunk gets a buffer of its own, whose bytes
//! the engine reads in place; it comes back when the last reader has let go of it. Fresh memory of that size would cost a page
//! fault every 4 KiB, which is more than reading into it.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use florin_core::limits::REQUEST_BYTES_MAX;

use crate::limits::{HEADER_BYTES, READ_CHUNK_BYTES, SPARE_CHUNKS_MAX, SPARE_FRAMES_MAX};

/// Largest frame.
const FRAME_BYTES_MAX: usize = HEADER_BYTES + REQUEST_BYTES_MAX;

/// Buffers that no connection holds at the moment.
#[derive(Debug, Default)]
pub struct Chunks {
    spare: RefCell<Vec<BytesMut>>,
    frames: Arc<Mutex<Vec<Vec<u8>>>>,
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

    /// An empty buffer for a frame of that many bytes. Only frames of about the largest size share buffers: others would keep more
    /// memory than they have bytes.
    pub fn take_frame(&self, bytes: usize) -> LargeFrame {
        let spare = if bytes > FRAME_BYTES_MAX / 2 { lock(&self.frames).pop() } else { None };
        let capacity = if bytes > FRAME_BYTES_MAX / 2 { FRAME_BYTES_MAX } else { bytes };
        let bytes = spare.unwrap_or_else(|| Vec::with_capacity(capacity));
        LargeFrame { bytes, pool: self.frames.clone() }
    }
}

fn lock(frames: &Mutex<Vec<Vec<u8>>>) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
    frames.lock().expect("nothing panics while it holds the spare buffers")
}

/// A frame that is larger than a chunk, as far as it has come. Goes back to its pool when it is dropped.
#[derive(Debug)]
pub struct LargeFrame {
    /// Its bytes.
    pub bytes: Vec<u8>,
    pool: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl LargeFrame {
    /// The bytes behind the header, which are not copied.
    pub fn into_payload(self) -> Bytes {
        Bytes::from_owner(self).slice(HEADER_BYTES..)
    }
}

impl AsRef<[u8]> for LargeFrame {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for LargeFrame {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut spare = lock(&self.pool);
        if bytes.capacity() >= FRAME_BYTES_MAX && spare.len() < SPARE_FRAMES_MAX {
            spare.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_frame_comes_back_when_its_last_reader_is_gone_and_no_more_are_kept_than_may() {
        let chunks = Chunks::default();
        let mut frame = chunks.take_frame(FRAME_BYTES_MAX);
        frame.bytes.resize(HEADER_BYTES + 3, 7);
        let place = frame.bytes.as_ptr();
        let payload = frame.into_payload();
        let reader = payload.slice(1..);
        assert_eq!((payload.len(), &reader[..]), (3, &[7, 7][..]));
        drop(payload);
        assert!(lock(&chunks.frames).is_empty(), "it is still read");
        drop(reader);
        let again = chunks.take_frame(FRAME_BYTES_MAX);
        assert_eq!((again.bytes.as_ptr(), again.bytes.len()), (place, 0));
        drop(again);
        drop(chunks.take_frame(FRAME_BYTES_MAX / 2));
        assert_eq!(lock(&chunks.frames).len(), 1, "a smaller one is not kept");
        drop((0..2 * SPARE_FRAMES_MAX).map(|_| chunks.take_frame(FRAME_BYTES_MAX)).collect::<Vec<_>>());
        assert_eq!(lock(&chunks.frames).len(), SPARE_FRAMES_MAX);
    }
}
