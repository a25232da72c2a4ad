//! What a start must not do when it fails half-way.

use std::time::Duration;

use florin_core::asset::Asset;
use florin_core::control::ControlRecord;
use florin_core::request::ControlRequest;
use florin_wal::{LedgerOptions, create_ledger, recover};

use super::*;

/// Assets that are registered: a frame and a block of the log each, several segments in all.
const ASSETS: u32 = 64;
const SEGMENT_BYTES: u64 = 64 << 10;
const LOOKS_MAX: usize = 20_000;

/// Registers one of many assets.
pub(crate) fn register(number: u32) -> Command {
    let letter = |n: u32| char::from(b'A' + (n % 26) as u8);
    let code: String = [letter(number / 26), letter(number), 'X'].iter().collect();
    let record = ControlRecord::register(&Asset { number, code, scale: 2 }).canonical();
    Command::Control(ControlRequest { institution: 1, principal: 0, id: u128::from(number), record: record.into() })
}

#[test]
fn a_start_that_fails_once_runs_were_made_does_not_wait_for_a_coordinator() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    create_ledger(&data, &LedgerOptions { segment_bytes: SEGMENT_BYTES, created_unix_ns: 0 }).expect("a new ledger");
    actix_rt::System::new().block_on(async {
        let Started { engine, .. } = start(EngineOptions::new(&data)).await.expect("a start");
        for number in 1..=ASSETS {
            let Reply::Posted(reply) = engine.call(register(number)).await else { panic!("expected a result") };
            assert!(reply.all_posted(), "{:?}", reply.runs);
        }
        engine.stop().await.expect("a clean stop");
        // The engine's last handle goes, and with it the lock.
        drop(engine);
        // As far as a start goes before the coordinator is made.
        let ledger = LedgerManifest::load(&data).expect("a manifest").ledger;
        std::fs::remove_dir_all(data.join("ids")).or_else(gone).expect("runs to remove");
        let lock = DataLock::acquire(&data).expect("the lock");
        let recovered = recover(&data, lock, LogOptions::default(), &mut |_| Ok::<(), String>(())).expect("a log");
        let (writer, reader) =
            recovered.start(Box::new(|_, _| ()), Box::new(|failure| panic!("{failure}"))).expect("a log that runs");
        let (shelf, refused) = Shelf::open(&data, ledger, 7, u64::MAX).expect("a shelf");
        assert!(refused.is_empty());
        let mailbox = Context::<CoordinatorActor>::new();
        let mut ids = start_keeping_ids(reader, Arc::new(shelf), adopting(mailbox.address())).expect("a thread");
        let mut looks = 0;
        while ids.stats().made == 0 {
            assert!(looks < LOOKS_MAX, "no run is made");
            looks += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        // It fails: the thread ends although there never was a coordinator.
        ids.stop();
        drop(mailbox);
        writer.shutdown().expect("a sealed log");
    });
}

fn gone(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
