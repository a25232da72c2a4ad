//! A ledger as of a point: its state and history are those of an engine that stopped there, and nothing is posted to it.

#[path = "history/make.rs"]
mod make;

use std::path::{Path, PathBuf};

use florin_core::coordinator::RoundLimits;
use florin_core::entry::{Order, PostReply, Span, TransactionPage};
use florin_core::outcome::Outcome;
use florin_core::replay::Ledger;
use florin_core::request::*;
use florin_core::state_hash::state_hash;
use florin_engine::{
    BackupError, Command, Engine, EngineOptions, Reply, StartReport, Started, Upto, abort_on_panic, back_up, restore,
    restore_upto, start, verify, view,
};
use florin_wal::{CopyError, DataLock, Frame, LedgerOptions, LockError, create_ledger};
use make::*;
use zerocopy::{FromZeros, IntoBytes};

fn run<F: Future>(future: F) -> F::Output {
    abort_on_panic();
    actix_rt::System::new().block_on(future)
}

fn posted(reply: Reply) -> PostReply {
    match reply {
        Reply::Posted(reply) => reply,
        other => panic!("expected results, got {other:?}"),
    }
}

/// A payment of one minor unit between the accounts 1 and 2, or a hold of it.
async fn pay(engine: &Engine, id: u128, kind: ItemKind) -> ItemResult {
    let mut row = TransferRow::new_zeroed();
    (row.id, row.debit, row.credit, row.amount) = (id.into(), 1.into(), 2.into(), 1.into());
    (row.asset, row.kind) = (EUR.into(), kind as u8);
    let request = PostRequest::parse(1, 0, PostForm::Transfers, 1, row.as_bytes().to_vec().into()).expect("a row");
    let reply = posted(engine.call(Command::Post { request, want_postings: true }).await);
    reply.items().next().expect("one result")
}

/// A frame of the log: first and last row, and when the last one was booked.
#[derive(Clone, Copy, Debug)]
struct At {
    frame: u64,
    first: u64,
    last: u64,
    booked_at: u64,
}

fn frames(data: &Path) -> Vec<At> {
    let mut frames = Vec::new();
    let scanned = florin_wal::scan(data, &mut |frame: Frame<'_>| {
        let rows = view(&frame).expect("a frame");
        let booked_at = rows.row(frame.head.count - 1).booked_at().expect("a row");
        let (first, last) = (frame.head.first_sequence, frame.head.next_sequence() - 1);
        frames.push(At { frame: frame.head.number, first, last, booked_at });
        Ok::<(), String>(())
    });
    scanned.expect("a good log");
    frames
}

/// The state of a ledger after a frame, from its log alone.
fn state_after(data: &Path, last: u64) -> [u8; 32] {
    let mut ledger = Ledger::new(1, RoundLimits::default(), 3);
    let scanned = florin_wal::scan(data, &mut |frame: Frame<'_>| match frame.head.number <= last {
        true => ledger.apply_frame(&view(&frame).expect("a frame")).map_err(|error| error.to_string()),
        false => Ok(()),
    });
    scanned.expect("a good log");
    state_hash(&ledger)
}

/// A ledger with all that leaves rows, a snapshot in the middle, a backup of it; the frame of the snapshot.
struct Books {
    folder: tempfile::TempDir,
    snapshot: u64,
}

/// Bytes of a segment.
const SEGMENT: u64 = 128 << 10;
const EARLY: u128 = 1 << 100;
const LATE: u128 = 1 << 101;
const HELD: u128 = 1 << 102;

impl Books {
    fn new() -> Books {
        let folder = tempfile::tempdir().expect("a folder");
        let books = Books { folder, snapshot: 0 };
        create_ledger(&books.data(), &LedgerOptions { segment_bytes: SEGMENT, created_unix_ns: 0 }).expect("a ledger");
        let snapshot = run(async {
            let engine = serve(&books.data(), 2, true).await;
            let mut maker = Maker::new(7);
            maker.prepare(&engine).await;
            assert_eq!(pay(&engine, EARLY, ItemKind::Post).await.outcome, Outcome::Posted);
            assert_eq!(pay(&engine, HELD, ItemKind::Hold).await.outcome, Outcome::Posted);
            maker.run(&engine, 150).await;
            let now = stats(&engine).await;
            assert!(now.log_bytes > 4 * SEGMENT && now.segments_sealed + 2 >= now.log_bytes / SEGMENT, "{now:?}");
            let Reply::Snapshot(Some(made)) = engine.call(Command::Snapshot).await else { panic!("no snapshot") };
            maker.run(&engine, 150).await;
            assert_eq!(pay(&engine, LATE, ItemKind::Post).await.outcome, Outcome::Posted);
            maker.settle(&engine).await;
            assert!(stats(&engine).await.segments_sealed > 3);
            engine.stop().await.expect("a clean stop");
            made.frame
        });
        back_up(&books.data(), &books.backup()).expect("a backup");
        Books { snapshot, ..books }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("ledger")
    }

    fn backup(&self) -> PathBuf {
        self.path("backup")
    }

    fn restore(&self, name: &str, upto: Upto) -> Result<florin_engine::PointReport, BackupError> {
        restore_upto(&self.backup(), &self.data().join("keys"), &self.path(name), upto)
    }
}

async fn begin(data: &Path, shards: usize) -> Started {
    let options = EngineOptions { shards, state_hash: true, ..EngineOptions::new(data) };
    start(options).await.expect("a start")
}

fn start_once(data: &Path, shards: usize) -> StartReport {
    run(async {
        let Started { engine, report } = begin(data, shards).await;
        engine.stop().await.expect("a clean stop");
        report
    })
}

#[test]
fn the_state_as_of_any_frame_is_that_of_the_log_up_to_it() {
    let books = Books::new();
    let frames = frames(&books.data());
    let at = |frame: u64| frames[frame as usize - 1];
    let last = frames.len() as u64;
    let middle = books.snapshot;
    assert!(middle > 20 && middle < last - 20);
    for (number, frame) in
        [1, 2, 9, middle / 2, middle - 1, middle, middle + 1, last - 30, last - 1, last].into_iter().enumerate()
    {
        let name = format!("as-of-{frame}");
        let of = at(frame);
        // Each way to name the frame.
        let upto = match number % 3 {
            0 => Upto::Frame(frame),
            1 => Upto::Sequence(of.last),
            _ => Upto::Time(of.booked_at),
        };
        let report = books.restore(&name, upto).expect("restored");
        let point = &report.point;
        assert_eq!((point.frame, point.sequence, point.booked_at_ns), (frame, of.last, of.booked_at), "{upto:?}");
        assert_eq!(report.is_end, frame == last);
        assert_eq!(report.copied.snapshot, (frame >= middle).then_some(middle), "newer ones stay behind");
        let expected = state_after(&books.data(), frame);
        let verified = verify(&books.path(&name), &mut |_| {}).expect("a good ledger");
        assert_eq!((verified.state_hash, verified.log.last_frame), (expected, frame));
        assert_eq!(verified.point.as_ref(), Some(point));
        for shards in [1, 3] {
            let report = start_once(&books.path(&name), shards);
            assert_eq!((report.state_hash, report.log.last_frame), (Some(expected), frame), "{shards} shards");
            assert_eq!(report.snapshot.map(|base| base.frame), (frame >= middle).then_some(middle));
            assert_eq!(report.point.as_ref(), Some(point));
        }
    }
    // What lies within a frame is as of the one before.
    let long = frames.iter().rev().find(|at| at.last > at.first + 2).expect("a frame of several rows");
    for (name, upto) in [
        ("first-row", Upto::Sequence(long.first)),
        ("within", Upto::Sequence(long.last - 1)),
        ("between", Upto::Time(long.booked_at - 1)),
    ] {
        assert_eq!(books.restore(name, upto).expect("restored").point.frame, long.frame - 1, "{upto:?}");
    }
    let end = books.restore("after-all", Upto::Time(u64::MAX)).expect("restored");
    assert!(end.is_end && end.point.frame == last);
    for upto in [Upto::Frame(last + 1), Upto::Sequence(at(last).last + 1)] {
        let refused = books.restore("nowhere", upto);
        assert!(matches!(refused, Err(BackupError::BehindAll { frame, .. }) if frame == last), "{upto:?}");
    }
    for upto in [Upto::Frame(0), Upto::Sequence(0), Upto::Time(at(1).booked_at - 1)] {
        assert!(matches!(books.restore("nowhere", upto), Err(BackupError::BeforeAll)), "{upto:?}");
    }
    assert!(!books.path("nowhere").exists());
    assert!(matches!(books.restore("within", Upto::Frame(3)), Err(BackupError::NotEmpty(_))));
}

async fn watch(engine: &Engine, after: u64) -> Reply {
    engine.call(Command::Watch { institution: 1, after, limit: 1_000, wait_ms: 0 }).await
}

#[test]
fn nothing_is_posted_as_of_a_point_and_nothing_behind_it_is_shown() {
    let books = Books::new();
    let then = books.path("then");
    let frame = books.snapshot + 10;
    let report = books.restore("then", Upto::Frame(frame)).expect("restored");
    let sequence = report.point.sequence;
    let log = |data: &Path| {
        let mut files: Vec<_> =
            std::fs::read_dir(data.join("log")).expect("a log").map(|e| e.expect("e").path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "seg"));
        files.sort();
        files.into_iter().map(|path| std::fs::read(path).expect("a segment")).collect::<Vec<_>>()
    };
    let before = log(&then);
    run(async {
        let Started { engine, .. } = begin(&then, 2).await;
        for kind in [ItemKind::Post, ItemKind::Hold] {
            let refused = pay(&engine, 77, kind).await;
            assert_eq!((refused.outcome, refused.sequence), (Outcome::ReadOnly, 0));
        }
        // An id that was used behind the point is not known, one before it has its result.
        assert_eq!(pay(&engine, LATE, ItemKind::Post).await.outcome, Outcome::ReadOnly);
        let repeat = pay(&engine, EARLY, ItemKind::Post).await;
        assert!(repeat.repeat && repeat.outcome == Outcome::Posted && repeat.sequence > 0);
        for (kind, link) in [(ItemKind::Capture, HELD), (ItemKind::Reverse, EARLY), (ItemKind::Release, HELD)] {
            let mut row = ItemRow::new_zeroed();
            (row.id, row.kind, row.link) = (78.into(), kind as u8, link.into());
            let request = PostRequest::parse(1, 0, PostForm::Items, 1, row.as_bytes().to_vec().into()).expect("a row");
            let reply = posted(engine.call(Command::Post { request, want_postings: false }).await);
            assert_eq!(reply.items().next().expect("one").outcome, Outcome::ReadOnly, "{kind:?}");
        }
        let mut row = AccountRow::new_zeroed();
        (row.account, row.asset, row.normal_side) = (500.into(), EUR.into(), 1);
        let request = OpenRequest::parse(1, 0, 1, row.as_bytes().to_vec().into()).expect("a row");
        let reply = posted(engine.call(Command::Open(request)).await);
        assert_eq!(reply.items().next().expect("one").outcome, Outcome::ReadOnly);
        let mut row = ChangeRow::new_zeroed();
        (row.id, row.account, row.action, row.reason_length) = (79.into(), 1.into(), Action::Close as u8, 1.into());
        let payload = [row.as_bytes(), b"x"].concat();
        let request = ChangeRequest::parse(1, 0, 1, payload.into()).expect("a row");
        let reply = posted(engine.call(Command::Change(request)).await);
        assert_eq!(reply.items().next().expect("one").outcome, Outcome::ReadOnly);
        let record = florin_core::control::ControlRecord::open_day(40_000).canonical().into();
        let request = ControlRequest { institution: 1, principal: 0, id: 80, record };
        let reply = posted(engine.call(Command::Control(request)).await);
        assert_eq!(reply.items().next().expect("one").outcome, Outcome::ReadOnly);
        assert!(matches!(engine.call(Command::Snapshot).await, Reply::SnapshotFailed(_)));

        // History ends with the point.
        let (mut after, mut rows) = (0, 0);
        loop {
            let Reply::TransactionPage(TransactionPage { transactions, seen, position, .. }) =
                watch(&engine, after).await
            else {
                panic!("no page")
            };
            assert!(position == sequence && seen <= sequence);
            assert!(transactions.iter().all(|transaction| transaction.result.sequence <= sequence));
            rows += transactions.len();
            if seen == after {
                break;
            }
            after = seen;
        }
        assert!(rows > 100 && after == sequence);
        assert!(matches!(watch(&engine, sequence + 1).await, Reply::PositionUnknown(last) if last == sequence));
        let look_up = Command::LookUpTransactions { institution: 1, ids: vec![EARLY, LATE] };
        let Reply::Transactions { transactions, position } = engine.call(look_up).await else { panic!("no answer") };
        assert!(transactions[0].is_some() && transactions[1].is_none() && position == sequence);
        let statement = Command::Statement {
            institution: 1,
            account: 1,
            span: Span::All,
            order: Order::Newest,
            from: None,
            limit: 1_000,
        };
        let Reply::Statement(Some(page)) = engine.call(statement).await else { panic!("no statement") };
        assert_eq!(
            (page.entries[0].sequence, page.entries[0].version),
            (page.account.last_entry, page.account.version)
        );
        assert!(page.entries[0].sequence <= sequence && page.position == sequence);
        let figures = stats(&engine).await;
        assert_eq!((figures.sequence, figures.frame_durable, figures.log_bytes), (sequence, frame, 0));
        engine.stop().await.expect("a clean stop");
        assert_eq!(pay(&engine, EARLY, ItemKind::Post).await.outcome, Outcome::ShuttingDown);
    });
    assert!(before == log(&then), "the log is as it was");
    assert_eq!(verify(&then, &mut |_| {}).expect("a good ledger").state_hash, state_after(&books.data(), frame));
}

#[test]
fn a_folder_with_a_point_is_never_taken_for_a_whole_ledger() {
    let books = Books::new();
    let (then, copy) = (books.path("then"), books.path("copy"));
    let keys = books.data().join("keys");
    let frame = books.snapshot - 5;
    books.restore("then", Upto::Frame(frame)).expect("restored");
    let is_point = |error: &BackupError| {
        matches!(error, BackupError::Lock(LockError::Point { .. }) | BackupError::Log(CopyError::Point { .. }))
    };
    assert!(is_point(&back_up(&then, &copy).expect_err("no backup of a part")));
    assert!(is_point(&restore(&then, &keys, &copy).expect_err("nor a ledger of it")));
    assert!(is_point(&restore_upto(&then, &keys, &copy, Upto::Frame(3)).expect_err("nor an earlier point")));
    assert!(matches!(back_up(&books.data(), &then), Err(BackupError::Log(CopyError::IsLedger { .. }))));
    assert!(!copy.exists());
    // Newer snapshots are left aside, whoever put them there.
    let name = format!("snapshots/{:020}", books.snapshot);
    std::fs::create_dir_all(then.join(&name)).expect("a folder");
    for file in ["state", "manifest.json"] {
        std::fs::copy(books.data().join(&name).join(file), then.join(&name).join(file)).expect("a copy");
    }
    let expected = state_after(&books.data(), frame);
    let report = start_once(&then, 2);
    assert_eq!((report.state_hash, report.snapshot), (Some(expected), None));
    let verified = verify(&then, &mut |_| {}).expect("a good ledger");
    assert!(verified.state_hash == expected && verified.snapshots.is_empty());
    // A second server, a changed point, none at all.
    let lock = DataLock::acquire_for_reads(&then).expect("the lock");
    let refused =
        |data: &Path| run(async { start(EngineOptions::new(data)).await.err().expect("no start").to_string() });
    assert!(refused(&then).contains("is using this ledger"));
    drop(lock);
    let file = then.join("point.json");
    let text = std::fs::read_to_string(&file).expect("a point");
    std::fs::write(&file, text.replace(&format!("\"frame\": {frame}"), &format!("\"frame\": {}", frame - 1)))
        .expect("a file");
    assert!(refused(&then).contains("its MAC does not match"));
    std::fs::remove_file(&file).expect("a file");
    assert!(refused(&then).contains("is a backup"), "not served for writes by losing a file");
}
