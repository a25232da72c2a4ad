//! A snapshot over the wire: asked of a real ledger, by several connections at once, and its errors.

mod common;

use std::time::Duration;

use common::ledger::*;
use common::{Script, local, options, server};
use florin_engine::Reply;
use florin_net::{ClientError, ErrorCode, Transaction};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_snapshot_holds_what_was_posted_and_is_named_again_while_nothing_is_new() {
    with_ledger(async |ledger| {
        let sequence = posted(&ledger.client, &Transaction::transfer(5, CASH, ALICE, CZK, 700)).await.sequence;
        let others = [connect(&ledger.server).await, connect(&ledger.server).await.for_institution(9)];
        let asked = tokio::join!(ledger.client.snapshot(LIMIT), others[0].snapshot(LIMIT), others[1].snapshot(LIMIT),);
        let reports = [asked.0, asked.1, asked.2].map(|report| report.unwrap().unwrap());
        for report in &reports {
            assert_eq!((report.sequence, report.accounts, report.frame), (sequence, 3, reports[0].frame));
            assert!(report.folder.join("manifest.json").exists(), "{report:?}");
        }
        assert!(reports.iter().any(|report| report.is_new));
        let again = ledger.client.snapshot(LIMIT).await.unwrap().unwrap();
        assert!(!again.is_new);
        assert_eq!((again.frame, &again.folder, again.bytes), (reports[0].frame, &reports[0].folder, reports[0].bytes));
        posted(&ledger.client, &Transaction::transfer(6, CASH, ALICE, CZK, 1)).await;
        let next = ledger.client.snapshot(LIMIT).await.unwrap().unwrap();
        assert!(next.is_new && next.sequence == sequence + 1 && next.folder != again.folder);
        ledger
    });
}

#[test]
fn why_there_is_no_snapshot_is_said_and_the_connection_goes_on() {
    local(async {
        let replies = std::cell::RefCell::new(vec![
            Reply::Snapshot(None),
            Reply::Stopping,
            Reply::SnapshotFailed("disk: no space".into()),
        ]);
        let engine = Script::new(move |_, on_reply| on_reply(replies.borrow_mut().pop().expect("three questions")));
        let server = server(engine, options()).await;
        let client = connect(&server).await;
        let error = client.snapshot(LIMIT).await.unwrap_err();
        assert!(matches!(&error, ClientError::Server { message, .. } if message.contains("disk: no space")), "{error}");
        assert_eq!(error.server_code(), Some(ErrorCode::SnapshotFailed));
        assert_eq!(client.snapshot(LIMIT).await.unwrap_err().server_code(), Some(ErrorCode::Stopping));
        assert_eq!(client.snapshot(LIMIT).await, Ok(None));
        client.ping().await.unwrap();
    });
}
