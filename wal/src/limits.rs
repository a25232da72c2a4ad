//! Sizes and limits of the log, each with its unit and reason. Related ones are checked against each other at compile
//! time.

/// Version of the log's formats: manifest, segment, group, frame and watermark. Another one is refused.
pub const FORMAT_VERSION: u32 = 1;

/// Bytes of a physical block: what a device writes whole, and what O_DIRECT wants positions and lengths to be a
/// multiple of. Devices with smaller blocks take it as well.
pub const BLOCK_BYTES: usize = 4096;

/// Smallest segment, in bytes: small enough that tests roll over many of them.
pub const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Largest segment, in bytes: recovery and readers hold tables for whole segments, and a spare has to be filled ahead.
pub const SEGMENT_BYTES_MAX: u64 = 256 << 20;
/// Segment size unless configured, in bytes.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;

/// Bytes of a group header.
pub const GROUP_HEADER_BYTES: usize = 96;
/// Bytes of a frame header.
pub const FRAME_HEADER_BYTES: usize = 160;

/// Largest group on disk, header and padding included, in bytes. More in one write no longer raises the rate
/// (1 MiB runs at about 1 GB/s here) and only makes the frames in front wait; recovery holds one group in memory.
pub const GROUP_BYTES_MAX: usize = 8 << 20;
/// Largest frame unless configured: payload and vouchers together, in bytes. A full round is about 1.4 MB.
pub const FRAME_BYTES_DEFAULT: usize = 4 << 20;
/// Largest frame that may be configured, in bytes: alone in a group it has to fit.
pub const FRAME_BYTES_CAP: usize = GROUP_BYTES_MAX - GROUP_HEADER_BYTES - FRAME_HEADER_BYTES;
/// Blocks of a segment that the largest frame leaves free: the segment's first block, an opening group before it and a
/// seal behind it. So the largest frame always fits into a fresh segment.
pub const SEGMENT_BLOCKS_KEPT: u64 = 3;

/// Number of the first frame. 0 stands for "no frame".
pub const FIRST_FRAME: u64 = 1;
/// Sequence number of the first transaction. 0 stands for "none".
pub const FIRST_SEQUENCE: u64 = 1;
/// Ordinal of the first segment. 0 never occurs, so a zeroed block names no segment.
pub const FIRST_SEGMENT: u64 = 1;
/// Number of the first group.
pub const FIRST_GROUP: u64 = 1;

/// Bytes read at once when the log is walked: large enough that a disk runs at full speed, small enough to stay in a
/// cache shared with the hashing.
pub const READ_CHUNK_BYTES: usize = 1 << 20;
/// Bytes of checked frames that are handed over together to be applied: enough that handing over costs nothing beside them.
pub const AHEAD_BYTES: usize = 256 << 10;
/// Such batches that may wait: enough that neither thread waits for a moment's rest of the other.
pub const AHEAD_BATCHES: usize = 8;
/// Bytes of the writer's copy, digest and checksum step: the three passes over one piece run in the L2 cache.
pub const COPY_CHUNK_BYTES: usize = 128 << 10;
/// Bytes of a group from which on another thread writes it while the next one is laid out: it takes a millisecond or so, a wake-up
/// 10 to 90 µs.
pub const WRITTEN_APART_BYTES: usize = 512 << 10;
/// Bytes zeroed at once when a segment is filled ahead.
pub const FILL_CHUNK_BYTES: usize = 1 << 20;
/// Bytes a second at which spares are zeroed beside a running log. Unthrottled filling lifted the p99.9 of a write
/// from 1 to 60 ms here, 60 MB/s to 1.8 ms. A log that writes faster than this has the disk for itself and takes the spare unfilled, if
/// its space is set aside; else it is kept up with.
pub const FILL_PACE_BYTES_PER_SECOND: u64 = 60_000_000;
/// Milliseconds over which it is found out how fast the log is written.
pub const SPEED_OVER_MS: u64 = 100;
/// Segments whose space is reserved beyond the spares that are filled, so that a fast writer waits for zeros to be
/// written and is not told that the disk is full.
pub const SEGMENTS_RESERVED_AHEAD: u64 = 1;
/// First and longest pause between tries to allocate a segment on a full disk, in milliseconds.
pub const ALLOCATE_RETRY_MS_MIN: u64 = 50;
/// See [`ALLOCATE_RETRY_MS_MIN`].
pub const ALLOCATE_RETRY_MS_MAX: u64 = 2_000;

/// Milliseconds after a group without another one until a seal is written.
pub const SEAL_AFTER_MS: u64 = 10;
/// Microseconds the writer looks at its channel before it parks: waking a parked thread costs 10–90 µs.
pub const SPIN_US: u64 = 200;
/// Frames that may be outstanding at the writer at most.
pub const OUTSTANDING_FRAMES_MAX: usize = 256;
/// Frame tables of segments that the readers keep in memory together.
pub const SEGMENT_TABLES: usize = 16;

/// Bytes of a pack's header in front of its rows.
pub const PACK_HEADER_BYTES: usize = 160;
/// Segments in a pack at most: enough for frames as small as they get, each in a group of its own with a seal behind it (two
/// blocks for 160 bytes or little more); a bound for the header.
pub const PACK_SEGMENTS_MAX: usize = 64;
/// A segment is packed if that saves this fraction of it at least: what saves less is not worth reading and writing it all.
pub const PACK_SAVES_AT_LEAST: u64 = 8;
/// Bytes of a pack that are written at once: as those of a spare, so that a write of the log waits no longer behind them.
pub const PACK_WRITE_BYTES: usize = FILL_CHUNK_BYTES;

/// Bytes of the watermark file: two slots of one block.
pub const WATERMARK_BYTES: usize = 2 * BLOCK_BYTES;

const _: () = {
    assert!(BLOCK_BYTES.is_power_of_two());
    assert!(GROUP_HEADER_BYTES <= BLOCK_BYTES, "an empty group is one block");
    assert!(SEGMENT_BYTES_MIN.is_multiple_of(BLOCK_BYTES as u64));
    assert!(SEGMENT_BYTES_MIN / BLOCK_BYTES as u64 > 2 * SEGMENT_BLOCKS_KEPT);
    assert!(SEGMENT_BYTES_DEFAULT >= SEGMENT_BYTES_MIN && SEGMENT_BYTES_DEFAULT <= SEGMENT_BYTES_MAX);
    assert!(FRAME_BYTES_DEFAULT <= FRAME_BYTES_CAP);
    assert!(GROUP_BYTES_MAX.is_multiple_of(BLOCK_BYTES) && GROUP_BYTES_MAX <= u32::MAX as usize);
    assert!(READ_CHUNK_BYTES.is_multiple_of(BLOCK_BYTES) && FILL_CHUNK_BYTES.is_multiple_of(BLOCK_BYTES));
    assert!(FRAME_BYTES_DEFAULT as u64 + (SEGMENT_BLOCKS_KEPT + 1) * BLOCK_BYTES as u64 <= SEGMENT_BYTES_DEFAULT);
};

/// `bytes` rounded up to whole blocks.
pub const fn to_blocks(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK_BYTES as u64)
}

/// Largest frame (payload and vouchers together, in bytes) of a log with segments of this size, given what is
/// configured.
pub const fn frame_bytes_max(segment_bytes: u64, configured: usize) -> usize {
    let room =
        segment_bytes as usize - SEGMENT_BLOCKS_KEPT as usize * BLOCK_BYTES - GROUP_HEADER_BYTES - FRAME_HEADER_BYTES;
    let cap = if FRAME_BYTES_CAP < configured { FRAME_BYTES_CAP } else { configured };
    if room < cap { room } else { cap }
}
