//! An index against the segment that it was made of, and against its page.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use florin_core::asset::Asset;
use florin_core::control::ControlRecord;
use florin_core::request::*;
use florin_wal::{DataLock, LedgerId, LedgerOptions, LogOptions, LogReader, LogWriter, SealedSegment, create_ledger};
use zerocopy::{FromZeros, IntoBytes};

use super::build::{BuildError, Sorted};
use super::file::IndexFile;
use super::*;
use crate::{Command, EngineOptions, Reply, start};

const PAGE: &str = include_str!("../../../../docs/format-log.md");
const EUR: u32 = 978;
const ACCOUNTS: u128 = 30;

fn segment() -> SealedSegment {
    SealedSegment {
        ordinal: 3,
        salt: 0x1122_3344_5566_7788,
        first_frame: 10,
        frames: 4,
        first_sequence: 1_001,
        count: 900,
        last_mac: [7; 32],
    }
}

fn header() -> Header {
    let facts = Facts {
        first_booked_at: 1_700_000_000_000_000_000,
        last_booked_at: 1_700_000_000_000_000_899,
        smallest_date: 19_675,
        largest_date: 19_676,
    };
    Header { facts, rows: [4, 70, 1_800, 900, 0, 3] }
}

/// If this fails, raise the version and mend the page.
#[test]
fn keys_are_those_of_the_page() {
    for (salt, institution, value, key) in [
        (0, 1, 1, 0x922a_b738),
        (0x1122_3344_5566_7788, 1, 1, 0x3c14_a2a1),
        (0x1122_3344_5566_7788, 2, u128::MAX, 0xa7f0_fe30),
    ] {
        assert_eq!(key_of(salt, institution, value), key, "{salt:#x} {institution} {value:#x}");
        let line = format!("| {salt:#x} | {institution} | {value:#x} | {key:#010x} |");
        assert!(PAGE.contains(&line), "the page should have: {line}");
    }
}

#[test]
fn the_first_block_is_that_of_the_page() {
    let block = header().encode(LedgerId(std::array::from_fn(|at| at as u8)), &segment());
    for (name, bytes) in [("index", &block[..160]), ("index-crc", &block[BLOCK_DATA..])] {
        let start = format!("```hex {name}\n");
        let text = PAGE.split_once(&start).and_then(|(_, rest)| rest.split_once("```")).map_or("", |(text, _)| text);
        let shown: String = text.split_whitespace().collect();
        let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(shown, written, "{name} on the page");
    }
    assert!(block[160..BLOCK_DATA].iter().all(|byte| *byte == 0));
}

#[test]
fn a_header_is_believed_only_for_its_own_segment_and_whole() {
    let (segment, header, ledger) = (segment(), header(), LedgerId([1; 16]));
    let block = header.encode(ledger, &segment);
    assert_eq!(Header::decode(&block, ledger, &segment), Ok(header.clone()));
    assert_eq!((header.first_block(Section::Frames), header.first_block(Section::Links)), (1, 7));
    assert_eq!(header.blocks(), 8);
    for at in 0..BLOCK_BYTES {
        let mut damaged = block;
        damaged[at] ^= 1 << (at % 8);
        assert!(Header::decode(&damaged, ledger, &segment).is_err(), "byte {at}");
    }
    let others = [
        SealedSegment { ordinal: 4, ..segment },
        SealedSegment { salt: 1, ..segment },
        SealedSegment { first_frame: 11, ..segment },
        SealedSegment { frames: 5, ..segment },
        SealedSegment { first_sequence: 1_000, ..segment },
        SealedSegment { count: 901, ..segment },
        SealedSegment { last_mac: [8; 32], ..segment },
    ];
    for other in others {
        assert!(Header::decode(&block, ledger, &other).is_err(), "{other:?}");
    }
    assert!(Header::decode(&block, LedgerId([2; 16]), &segment).is_err());
}

/// A ledger of small segments with transfers that have ids, references and links.
fn make(data: &Path) {
    create_ledger(data, &LedgerOptions { segment_bytes: 64 << 10, created_unix_ns: 0 }).expect("a new ledger");
    actix_rt::System::new().block_on(async {
        let options = EngineOptions { build_indexes: false, ..EngineOptions::new(data) };
        let engine = start(options).await.expect("a start").engine;
        let record = ControlRecord::register(&Asset { number: EUR, code: "EUR".into(), scale: 2 }).canonical();
        let control = ControlRequest { institution: 1, principal: 0, id: 1, record: record.into() };
        engine.call(Command::Control(control)).await;
        let mut payload = Vec::new();
        for account in 1..=ACCOUNTS {
            let mut row = AccountRow::new_zeroed();
            (row.account, row.asset, row.limit_flags) = (account.into(), EUR.into(), NO_FLOOR);
            payload.extend_from_slice(row.as_bytes());
        }
        let request = OpenRequest::parse(1, 0, ACCOUNTS as u32, payload.into()).expect("rows");
        engine.call(Command::Open(request)).await;
        for request in 0..60u128 {
            let count = 1 + request % 40;
            let rows: Vec<TransferRow> = (0..count)
                .map(|item| {
                    let id = 1_000 + request * 100 + item;
                    let mut row = TransferRow::new_zeroed();
                    (row.id, row.asset, row.amount) = (id.into(), EUR.into(), 1.into());
                    (row.debit, row.credit) = ((1 + id * id % ACCOUNTS).into(), (1 + id % 7).into());
                    (row.reference, row.link) = ((id % 9).into(), (id % 5 / 4 * (id - 7)).into());
                    row
                })
                .collect();
            let payload = rows.as_bytes().to_vec().into();
            let request = PostRequest::parse(1, 0, PostForm::Transfers, count as u32, payload).expect("rows");
            let reply = engine.call(Command::Post { request, want_postings: false }).await;
            assert!(matches!(reply, Reply::Posted(_)));
        }
        engine.stop().await.expect("a clean stop");
    });
}

fn reader(data: &Path) -> (LogWriter, LogReader) {
    let lock = DataLock::acquire(data).expect("a lock");
    let recovered = florin_wal::recover(data, lock, LogOptions::default(), &mut |_| Ok::<(), String>(()));
    let failed = |failure| panic!("{failure}");
    recovered.expect("a whole log").start(Box::new(|_, _| ()), Box::new(failed)).expect("a log")
}

type Rows = BTreeMap<u128, Vec<u64>>;

/// What a segment holds, looked at row by row.
#[derive(Default)]
struct Looked {
    ids: Rows,
    references: Rows,
    links: Rows,
    /// Version and row of each entry.
    entries: BTreeMap<u128, Vec<(u64, u64)>>,
    places: BTreeMap<u64, (u64, u64)>,
}

fn look(reader: &mut LogReader, segment: &SealedSegment) -> Looked {
    let mut looked = Looked::default();
    for sequence in segment.first_sequence..segment.first_sequence + segment.count {
        let frame = reader.frame_of_sequence(sequence).expect("a good log").expect("a row");
        looked.places.insert(sequence, (frame.head.number, frame.place.offset));
        let mut row = [0; 176];
        let at = (sequence - frame.head.first_sequence) as u32 * 176;
        reader.read_payload(&frame, at, &mut row).expect("a row");
        let number = |at: usize| u128::from_le_bytes(row[at..at + 16].try_into().expect("16 bytes"));
        let version = |at: usize| u64::from_le_bytes(row[at..at + 8].try_into().expect("8 bytes"));
        if row[142] != 3 {
            looked.ids.entry(number(0)).or_default().push(sequence);
        }
        if row[142] == 1 {
            looked.references.entry(number(154)).or_default().push(sequence);
            looked.entries.entry(number(16)).or_default().push((version(64), sequence));
            looked.entries.entry(number(32)).or_default().push((version(96), sequence));
            if row[143] & 8 != 0 {
                let mut link = [0; 16];
                let at = u32::from_le_bytes(row[172..176].try_into().expect("4 bytes"));
                reader.read_payload(&frame, at, &mut link).expect("a link");
                looked.links.entry(u128::from_le_bytes(link)).or_default().push(sequence);
            }
        }
    }
    looked.references.remove(&0);
    looked.entries.values_mut().for_each(|entries| entries.sort_unstable());
    looked
}

#[test]
fn an_index_finds_every_row_of_its_segment_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    make(&data);
    let (writer, mut reader) = reader(&data);
    let sealed = reader.sealed(0);
    assert!(sealed.len() > 3, "only {} segments", sealed.len());
    let mut linked = 0;
    for segment in &sealed {
        let ledger = reader.ledger();
        let mut paced = 0;
        let mut pace = |bytes| -> Result<(), BuildError> {
            paced += bytes;
            Ok(())
        };
        let path = folder.path().join("index");
        Sorted::read(&mut reader, segment, &mut pace).unwrap().write(ledger, &path, &mut pace).unwrap();
        let index = IndexFile::open(&path, ledger, segment).unwrap();
        assert!((0..index.header().blocks()).all(|number| index.check_block(number).is_ok()));
        assert!(paced as u64 > index.header().file_bytes(), "what is read and what is written are paced");
        let looked = look(&mut reader, segment);
        for (section, rows) in
            [(Section::Ids, &looked.ids), (Section::References, &looked.references), (Section::Links, &looked.links)]
        {
            let count: usize = rows.values().map(Vec::len).sum();
            assert_eq!(index.header().rows_of(section) as usize, count, "{section:?}");
            for (value, sequences) in rows {
                let found = |from, most| index.rows_with(section, 1, *value, from, most).unwrap();
                assert_eq!(&found(0, usize::MAX), sequences, "{section:?} {value}");
                assert_eq!(found(sequences[0] + 1, 2), sequences[1..sequences.len().min(3)], "{section:?} {value}");
                assert!(index.rows_with(section, 2, *value, 0, 9).unwrap().is_empty(), "another institution's");
            }
        }
        for (sequence, place) in &looked.places {
            assert_eq!(index.frame_of((sequence - segment.first_sequence) as u32).unwrap(), *place);
        }
        let accounts: BTreeSet<u128> = looked.entries.keys().copied().collect();
        assert_eq!(index.header().rows_of(Section::Accounts) as usize, accounts.len());
        for account in 1..=ACCOUNTS + 1 {
            let found: Vec<(u64, u64)> = index
                .runs(1, account)
                .unwrap()
                .into_iter()
                .flat_map(|run| (0..run.count).map(move |at| (run, at)))
                .map(|(run, at)| (run.first_version + u64::from(at), index.entry(run, at).unwrap()))
                .collect();
            assert_eq!(&found, looked.entries.get(&account).unwrap_or(&Vec::new()), "account {account}");
        }
        linked += looked.links.len();
    }
    assert!(linked > 50);
    writer.shutdown().expect("a sealed log");
}
