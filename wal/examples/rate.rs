//! Measures the log on a directory: `cargo run --release -p florin-wal --example rate -- DIR [FRAME_BYTES] [FRAMES]`.
//! Closed loop, as many frames outstanding as the log permits. The directory must be empty or new.

use florin_wal::*;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let data = Path::new(arguments.first().ok_or("usage: rate DIR [FRAME_BYTES] [FRAMES]")?);
    let number = |at: usize, unless: u64| arguments.get(at).map_or(Ok(unless), |text| text.parse::<u64>());
    let (bytes, frames) = (number(1, 1_400_000)?, number(2, 2000)?);
    let start = Instant::now();
    create_ledger(data, &LedgerOptions::default())?;
    println!("created in {:?}", start.elapsed());
    let recovered = recover(data, DataLock::acquire(data)?, LogOptions::default(), &mut |_| Ok::<(), String>(()))?;
    println!("{:?}", recovered.report().io);
    let (writer, _) = recovered.start(Box::new(|_, _| ()), Box::new(|failure| panic!("{failure}")))?;
    let body = vec![0x5a; bytes as usize];
    let start = Instant::now();
    for frame in 1..=frames {
        assert!(writer.has_room(bytes), "the disk is full");
        let mut buffer = writer.buffer();
        buffer.payload().extend_from_slice(&body);
        writer.append(frame, frame, 1, frame, buffer);
    }
    let shared = writer.stats();
    writer.shutdown()?;
    let time = start.elapsed();
    let rate = (bytes * frames) as f64 / time.as_secs_f64() / 1e6;
    println!("wrote {frames} frames of {bytes} bytes in {time:?}: {rate:.0} MB/s; {shared:?}");
    let start = Instant::now();
    let report = scan(data, &mut |_| Ok::<(), String>(()))?;
    println!("scan (cache): {:.0} MB/s", report.bytes as f64 / start.elapsed().as_secs_f64() / 1e6);
    let start = Instant::now();
    let recovered = recover(data, DataLock::acquire(data)?, LogOptions::default(), &mut |_| Ok::<(), String>(()))?;
    let report = recovered.report();
    println!(
        "recovery: {:.0} MB/s, {} frames",
        report.bytes as f64 / start.elapsed().as_secs_f64() / 1e6,
        report.frames
    );
    Ok(())
}
