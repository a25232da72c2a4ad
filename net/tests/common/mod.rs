//! What the tests share: a scripted engine, a raw connection, sample values, a small random source.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod ledger;

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use florin_core::account::HeldResult;
use florin_core::asset::Asset;
use florin_core::entry::{
    AccountRecord, BalanceAt, PostReply, PostingRecord, ResultRun, RowKind, StatementEntry, StatementPage,
    StatementToken, Status, TransactionPage, TransactionRecord,
};
use florin_core::institution::Institution;
use florin_core::outcome::{OUTCOMES, Outcome};
use florin_core::request::{Action, ItemResult, PostingResult, Side};
use florin_engine::{Command, OnReply, Reply, SnapshotReport, Stages};
use florin_net::codec::hello::Hello;
use florin_net::header::{ERROR, Header, Operation};
use florin_net::limits::HEADER_BYTES;
use florin_net::{ErrorCode, Server, ServerOptions, Submit, codec, frame, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Runs a test on one thread, as an arbiter would.
pub fn local<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

/// An engine that does what a closure says.
#[derive(Clone)]
pub struct Script(Rc<dyn Fn(u64, Command, OnReply)>);

impl Submit for Script {
    fn submit(&self, origin: u64, command: Command, on_reply: OnReply) {
        (self.0)(origin, command, on_reply);
    }

    fn stages(&self) -> Arc<Stages> {
        Arc::default()
    }
}

impl Script {
    pub fn new(script: impl Fn(Command, OnReply) + 'static) -> Script {
        Script(Rc::new(move |_, command, on_reply| script(command, on_reply)))
    }

    /// One that looks at the origins of commands too.
    pub fn with_origins(script: impl Fn(u64, Command, OnReply) + 'static) -> Script {
        Script(Rc::new(script))
    }

    /// Posts everything at once; sequence numbers go on from 1.
    pub fn posts() -> Script {
        let next = std::cell::Cell::new(1);
        Script::new(move |command, on_reply| {
            let reply = all_posted(&command, next.get());
            next.set(next.get() + reply.count() as u64);
            on_reply(Reply::Posted(reply));
        })
    }
}

/// Everything in a command posted, from sequence number `first` on.
pub fn all_posted(command: &Command, first: u64) -> PostReply {
    let count = match command {
        Command::Post { request, .. } => request.count(),
        Command::Open(request) => request.rows().len(),
        Command::Change(request) => request.count(),
        _ => 1,
    };
    let first = ItemResult { outcome: Outcome::Posted, repeat: false, detail: 0, sequence: first, booked_at: 1_000 };
    PostReply { runs: vec![ResultRun { count: count as u32, first }], postings: vec![] }
}

/// A server on any port with a scripted engine.
pub async fn server(engine: Script, options: ServerOptions) -> Server {
    serve(options.listen, engine, ServerOptions { ..options }).await.unwrap()
}

/// Options with a free port.
pub fn options() -> ServerOptions {
    ServerOptions { listen: "127.0.0.1:0".parse().unwrap(), ..ServerOptions::default() }
}

/// A frame of a request.
pub fn request(operation: Operation, request: u64, count: u32, payload: &[u8]) -> Vec<u8> {
    let header = Header { operation: operation as u8, institution: 1, request, count, ..Header::default() };
    let mut out = Vec::new();
    frame::append(&mut out, header, |out, _| out.extend_from_slice(payload));
    out
}

/// The hello of a test.
pub fn hello() -> Vec<u8> {
    let mut payload = Vec::new();
    Hello { version_min: 1, version_max: 1, name: "test".into() }.encode(&mut payload);
    request(Operation::Hello, 0, 0, &payload)
}

/// `count` transfer rows with ids from `first` on.
pub fn transfers(first: u128, count: usize) -> Vec<u8> {
    let mut payload = vec![0; count * 128];
    for (i, row) in payload.chunks_exact_mut(128).enumerate() {
        row[0..16].copy_from_slice(&(first + i as u128).to_le_bytes());
        row[16..32].copy_from_slice(&1u128.to_le_bytes());
        row[32..48].copy_from_slice(&2u128.to_le_bytes());
        row[48..64].copy_from_slice(&5u128.to_le_bytes());
        row[80..84].copy_from_slice(&1u32.to_le_bytes());
    }
    payload
}

/// A connection without a client.
pub struct Raw {
    pub stream: TcpStream,
}

impl Raw {
    /// Connected, nothing said.
    pub async fn connect(server: &Server) -> Raw {
        let stream = TcpStream::connect(server.local_addr()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Raw { stream }
    }

    /// Connected and greeted.
    pub async fn greeted(server: &Server) -> Raw {
        let mut raw = Raw::connect(server).await;
        raw.send(&hello()).await;
        let (header, _) = raw.reply().await.unwrap();
        assert_eq!(header.flags & ERROR, 0);
        raw
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next reply; none when the server has closed.
    pub async fn reply(&mut self) -> Option<(Header, Vec<u8>)> {
        let mut bytes = [0; HEADER_BYTES];
        if self.stream.read_exact(&mut bytes).await.is_err() {
            return None;
        }
        let header = Header::decode(&bytes).unwrap();
        let mut payload = vec![0; header.length as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        header.check_payload(&payload).unwrap();
        Some((header, payload))
    }

    /// The next reply must be an error, after which the server closes.
    pub async fn closing_error(&mut self) -> ErrorCode {
        let (header, payload) = self.reply().await.expect("an error reply");
        assert_eq!(header.flags & ERROR, ERROR, "not an error: {header:?}");
        let (code, _) = codec::errors::decode(&payload).unwrap();
        let code = ErrorCode::from_number(code).unwrap();
        assert!(code.closes());
        assert!(self.reply().await.is_none(), "the server closes after {code}");
        code
    }
}

/// Random numbers, the same for the same seed (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.u64() % bound as u64) as usize
    }

    pub fn u128(&mut self) -> u128 {
        u128::from(self.u64()) << 64 | u128::from(self.u64())
    }

    pub fn i128(&mut self) -> i128 {
        self.u128() as i128
    }

    pub fn maybe(&mut self) -> Option<i128> {
        if self.u64() & 1 == 0 { None } else { Some(self.i128()) }
    }

    pub fn bool(&mut self) -> bool {
        self.u64() & 1 == 0
    }

    pub fn side(&mut self) -> Side {
        if self.u64() & 1 == 0 { Side::Debit } else { Side::Credit }
    }

    fn some_bytes(&mut self, max: usize) -> Vec<u8> {
        let count = self.below(max + 1);
        self.bytes(count)
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.u64() as u8).collect()
    }

    pub fn item(&mut self) -> ItemResult {
        ItemResult {
            outcome: OUTCOMES[self.below(OUTCOMES.len())].outcome,
            repeat: self.u64() & 1 == 0,
            detail: self.u64() as u16,
            sequence: self.u64() >> 1,
            booked_at: self.u64() >> 1,
        }
    }

    pub fn post_reply(&mut self) -> PostReply {
        PostReply {
            runs: (0..self.below(20))
                .map(|_| ResultRun { count: 1 + self.below(400) as u32, first: self.item() })
                .collect(),
            postings: (0..self.below(50)).map(|_| self.posting_result()).collect(),
        }
    }

    pub fn posting_result(&mut self) -> PostingResult {
        PostingResult { version: self.u64() >> 1, balance: self.i128(), alarm: self.bool() }
    }

    pub fn account(&mut self) -> AccountRecord {
        AccountRecord {
            institution: self.u64() as u32,
            account: self.u128(),
            asset: self.u64() as u32,
            subject: self.u64() as u32,
            normal_side: self.side(),
            category: self.below(3) as u8,
            status: Status::from_byte(self.below(5) as u8).unwrap(),
            owner: self.u128(),
            floor: self.maybe(),
            ceiling: self.maybe(),
            alarm: self.maybe(),
            posted: self.i128(),
            held: self.i128(),
            incoming: self.i128(),
            version: self.u64(),
            opened: self.u64(),
            last_entry: self.u64(),
            label: "účet ".repeat(self.below(10)).into(),
            attributes: self.some_bytes(100).into(),
        }
    }

    fn kind(&mut self) -> RowKind {
        let kinds: Vec<_> = RowKind::ALL.iter().map(|(kind, _)| *kind).filter(|kind| kind.item().is_some()).collect();
        kinds[self.below(kinds.len())]
    }

    /// As a row of the kind has it: the amount is the posting's own.
    fn held(&mut self, kind: RowKind, amount: u128) -> HeldResult {
        match kind {
            RowKind::Transfer | RowKind::Journal | RowKind::Change => HeldResult::default(),
            _ => HeldResult { amount, freed: self.u128(), left: self.u128(), held: self.i128() },
        }
    }

    fn posting(&mut self, kind: RowKind) -> PostingRecord {
        let amount = self.u128();
        PostingRecord {
            account: self.u128(),
            amount,
            asset: self.u64() as u32,
            side: self.side(),
            result: PostingResult { version: self.u64(), ..self.posting_result() },
            previous: self.u64(),
            index: self.u64() as u8,
            held: self.held(kind, amount),
        }
    }

    pub fn transaction(&mut self, postings_max: usize, voucher_max: usize) -> TransactionRecord {
        let postings = 2 + self.below(postings_max - 1);
        let voucher = self.below(voucher_max + 1);
        let kind = self.kind();
        TransactionRecord {
            institution: self.u64() as u32,
            principal: self.u64() as u32,
            kind,
            id: self.u128(),
            link: self.u128(),
            link_sequence: self.u64(),
            timeout: self.u64() as u32,
            forced: self.bool(),
            is_final: self.bool(),
            takes_all: self.bool(),
            result: self.item(),
            reference: self.u128(),
            code: self.u64() as u16,
            accounting_date: self.u64() as u16,
            value_date: self.u64() as u16,
            postings: (0..postings).map(|_| self.posting(kind)).collect(),
            voucher: self.bytes(voucher),
            voucher_length: voucher as u16,
            voucher_digest: self.bytes(32).try_into().unwrap(),
        }
    }

    /// Rows of a page ascend from `first`, so that a cut page can say where the next one begins.
    pub fn transaction_page(&mut self, count: usize, postings_max: usize, voucher_max: usize) -> TransactionPage {
        let mut transactions: Vec<_> = (0..count).map(|_| self.transaction(postings_max, voucher_max)).collect();
        let first = self.u64() >> 1;
        for (i, transaction) in transactions.iter_mut().enumerate() {
            transaction.result.sequence = first + 1 + 3 * i as u64;
        }
        let seen = first + 3 * count as u64 + self.below(10) as u64;
        TransactionPage { transactions, seen, more: self.bool(), position: seen + self.below(10) as u64 }
    }

    pub fn balance_at(&mut self) -> BalanceAt {
        BalanceAt {
            account: self.u128(),
            asset: self.u64() as u32,
            version: self.u64(),
            sequence: self.u64(),
            booked_at: self.u64(),
            posted: self.i128(),
            position: self.u64(),
        }
    }

    pub fn institution(&mut self) -> (u32, Institution) {
        let name = "bank ě ".repeat(self.below(8)).trim_end().to_owned();
        (self.u64() as u32, Institution { name, open_day: self.u64() as u16 })
    }

    pub fn snapshot(&mut self) -> SnapshotReport {
        SnapshotReport {
            frame: self.u64(),
            sequence: self.u64(),
            booked_at: self.u64(),
            accounts: self.u64(),
            records: self.u64(),
            bytes: self.u64(),
            us: self.u64(),
            is_new: self.below(2) == 1,
            folder: format!("/složka/{}", "a".repeat(self.below(4_000))).into(),
        }
    }

    fn change(&mut self) -> (Action, Box<str>) {
        let (action, _) = Action::ALL[self.below(Action::ALL.len())];
        (action, "důvod".repeat(self.below(10)).into())
    }

    pub fn entry(&mut self, voucher: usize) -> StatementEntry {
        let change = (self.below(8) == 0).then(|| self.change());
        let kind = if change.is_some() { RowKind::Change } else { self.kind() };
        let amount = self.u128();
        StatementEntry {
            sequence: self.u64(),
            version: self.u64(),
            kind,
            id: self.u128(),
            side: self.side(),
            amount,
            asset: self.u64() as u32,
            balance: self.i128(),
            counterparty: self.u128(),
            previous: self.u64(),
            reference: self.u128(),
            code: self.u64() as u16,
            principal: self.u64() as u32,
            booked_at: self.u64(),
            accounting_date: self.u64() as u16,
            value_date: self.u64() as u16,
            voucher: if change.is_some() { vec![] } else { self.bytes(voucher) },
            link: self.u128(),
            forced: self.bool(),
            alarm: self.bool(),
            held: self.held(kind, amount),
            change,
        }
    }

    pub fn page(&mut self, entries: usize, voucher: usize) -> StatementPage {
        StatementPage {
            account: self.account(),
            entries: (0..entries).map(|_| self.entry(voucher)).collect(),
            next: (self.u64() & 1 == 0).then(|| StatementToken { sequence: self.u64(), version: self.u64() }),
            position: self.u64(),
        }
    }

    pub fn asset(&mut self) -> Asset {
        let letters = 1 + self.below(16);
        Asset {
            number: self.u64() as u32,
            code: (0..letters).map(|_| char::from(b'A' + self.below(26) as u8)).collect(),
            scale: self.below(19) as u8,
        }
    }
}
