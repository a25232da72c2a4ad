//! The published test vectors, as samples.

/// Blocks of bytes by their names, in the order of the file.
pub fn parse(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut vectors: Vec<(String, Vec<u8>)> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_suffix(':') {
            Some(name) => vectors.push((name.to_owned(), Vec::new())),
            None => {
                let bytes = line.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal"));
                vectors.last_mut().expect("a name comes first").1.extend(bytes);
            }
        }
    }
    vectors
}

/// Whole frames of the protocol.
pub const PROTOCOL: &str = include_str!("../../../net/tests/vectors/protocol.txt");

/// Payloads and vouchers of frames of the log.
pub const FRAMES: &str = include_str!("../../../engine/core/tests/vectors/frames.txt");
