//! A real ledger in a directory of its own, with its engine and server, in this process.

use std::future::Future;

use florin_core::asset::Asset;
use florin_core::entry::{AccountRecord, PostReply};
use florin_core::outcome::Outcome;
use florin_core::request::{ItemResult, Side};
use florin_engine::{Engine, EngineOptions};
use florin_net::{AccountChange, Client, ClientOptions, NewAccount, Server, Transaction, serve};
use florin_wal::{LedgerOptions, create_ledger};

pub const CZK: u32 = 203;
/// Debit side, without a floor: where money comes from.
pub const CASH: u128 = 1;
/// Credit side, not below zero.
pub const ALICE: u128 = 2;
/// As Alice.
pub const SHOP: u128 = 3;

pub struct Ledger {
    pub engine: Engine,
    pub server: Server,
    pub client: Client,
    pub directory: tempfile::TempDir,
}

/// Runs a test with a ledger of institution 1 that has an asset and the three accounts, then stops it in good order.
pub fn with_ledger<F: Future<Output = Ledger>>(test: impl FnOnce(Ledger) -> F) {
    actix_rt::System::new().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("ledger");
        create_ledger(&data, &LedgerOptions { segment_bytes: 4 << 20, ..LedgerOptions::default() }).unwrap();
        let engine = florin_engine::start(EngineOptions::new(&data)).await.unwrap().engine;
        let options = super::options();
        let server = serve(options.listen, engine.clone(), options).await.unwrap();
        let client = connect(&server).await;
        client.register_asset(1, &Asset { number: CZK, code: "CZK".into(), scale: 2 }).await.unwrap();
        open(&client).await;
        let ledger = test(Ledger { engine, server, client, directory }).await;
        ledger.server.stop().await;
        ledger.engine.stop().await.unwrap();
    });
}

/// A client with a connection of its own.
pub async fn connect(server: &Server) -> Client {
    Client::connect(&server.local_addr().to_string(), ClientOptions::default()).await.unwrap()
}

/// Opens the three accounts in a client's institution.
pub async fn open(client: &Client) {
    let accounts = [
        NewAccount { floor: None, category: 2, ..NewAccount::new(CASH, CZK, Side::Debit) },
        NewAccount { label: "Alice".into(), ..NewAccount::new(ALICE, CZK, Side::Credit) },
        NewAccount { category: 1, ..NewAccount::new(SHOP, CZK, Side::Credit) },
    ];
    assert!(client.open_accounts(&accounts).await.unwrap().all_posted());
}

/// Posts one item.
pub async fn post(client: &Client, item: &Transaction) -> ItemResult {
    let reply = client.post(std::slice::from_ref(item), false).await.unwrap();
    reply.items().next().unwrap()
}

/// Posts one item, which must be posted.
pub async fn posted(client: &Client, item: &Transaction) -> ItemResult {
    let result = post(client, item).await;
    assert_eq!(result.outcome, Outcome::Posted, "{item:?}");
    result
}

/// The outcome of one item and its detail.
pub async fn outcome(client: &Client, item: &Transaction) -> (Outcome, u16) {
    let result = post(client, item).await;
    (result.outcome, result.detail)
}

/// The outcome of one change and its detail.
pub async fn change(client: &Client, change: &AccountChange) -> (Outcome, u16) {
    let reply: PostReply = client.change_accounts(std::slice::from_ref(change)).await.unwrap();
    let result = reply.items().next().unwrap();
    (result.outcome, result.detail)
}

/// An account that exists.
pub async fn account(client: &Client, id: u128) -> AccountRecord {
    client.accounts(&[id]).await.unwrap().pop().unwrap().unwrap()
}

/// Posted, held and incoming of an account.
pub async fn balances(client: &Client, id: u128) -> (i128, i128, i128) {
    let account = account(client, id).await;
    (account.posted, account.held, account.incoming)
}
