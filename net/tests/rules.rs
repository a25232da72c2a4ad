//! Holds, reversals and account changes through client, server and engine: what a caller sees of each.

mod common;

use common::ledger::*;
use florin_core::entry::{Moment, Order, RowKind, Span, Status};
use florin_core::outcome::Outcome;
use florin_core::request::{Action, Field, Side};
use florin_net::client::results;
use florin_net::{AccountChange, Client, Transaction};

/// Alice gets 10,000.
async fn fund(client: &Client) {
    posted(client, &Transaction::transfer(10, CASH, ALICE, CZK, 10_000).with_reference(77)).await;
}

#[test]
fn a_hold_is_increased_captured_closed_and_reversed() {
    with_ledger(async |ledger| {
        let client = &ledger.client;
        fund(client).await;
        let hold =
            Transaction::transfer(20, ALICE, SHOP, CZK, 4_000).held(3_600).with_reference(77).with_voucher("pump 3");
        let placed = posted(client, &hold).await;
        assert_eq!(balances(client, ALICE).await, (10_000, 4_000, 0));
        assert_eq!(balances(client, SHOP).await, (0, 0, 4_000));
        posted(client, &Transaction::increase(21, 20).with_amount(0, 1_000).with_amount(1, 1_000)).await;
        assert_eq!(balances(client, ALICE).await, (10_000, 5_000, 0));

        // What is held cannot be spent.
        let spend = Transaction::transfer(22, ALICE, SHOP, CZK, 5_001);
        assert_eq!(outcome(client, &spend).await, (Outcome::BelowFloor, 0));

        let part = Transaction::capture(23, 20).with_amount(0, 2_000).with_amount(1, 2_000);
        let last = Transaction::capture(24, 20).with_amount(0, 1_200).with_amount(1, 1_200).finally();
        let items = [part, last, Transaction::release(25, 20)];
        let reply = client.post(&items, true).await.unwrap();
        let all = results(&items, &reply).unwrap();
        let seen: Vec<_> = all.iter().map(|r| (r.result.outcome, r.result.detail, r.postings.len())).collect();
        assert_eq!(seen, [(Outcome::Posted, 2, 2), (Outcome::Posted, 2, 2), (Outcome::HoldClosed, 0, 0)]);
        assert_eq!((all[0].postings[0].balance, all[1].postings[0].balance), (8_000, 6_800));
        assert_eq!(balances(client, ALICE).await, (6_800, 0, 0));
        assert_eq!(balances(client, SHOP).await, (3_200, 0, 0));

        // The same request again gives the same results, posting results included, and changes nothing.
        let again = client.post(&items, true).await.unwrap();
        assert!(again.items().all(|item| item.repeat));
        assert_eq!(again.postings, reply.postings);
        let other = Transaction::capture(24, 20).with_amount(0, 1_200).with_amount(1, 1_200);
        assert_eq!(outcome(client, &other).await, (Outcome::IdUsedWithOtherFields, Field::Final as u16));

        let back = Transaction::reverse(26, 23).with_amount(0, 500).with_amount(1, 500);
        assert_eq!(posted(client, &back).await.detail, 2);
        let more = Transaction::reverse(27, 23).with_amount(0, 1_501).with_amount(1, 1_501);
        assert_eq!(outcome(client, &more).await, (Outcome::ExceedsOriginal, 0));
        assert_eq!(outcome(client, &Transaction::reverse(28, 20)).await, (Outcome::OriginalNotReversible, 0));
        assert_eq!(outcome(client, &Transaction::reverse(29, 26)).await, (Outcome::OriginalIsReversal, 0));
        assert_eq!(outcome(client, &Transaction::reverse(30, 999)).await, (Outcome::OriginalUnknown, 0));
        assert_eq!(outcome(client, &Transaction::reverse(31, 22)).await, (Outcome::OriginalNotPosted, 0));
        assert_eq!(balances(client, ALICE).await, (7_300, 0, 0));

        // What the ledger says of it afterwards.
        let found = client.transactions(&[20, 24, 25, 26, 998]).await.unwrap();
        let [Some(hold), Some(capture), Some(release), Some(reversal), None] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!((hold.kind, hold.timeout, hold.voucher.as_slice()), (RowKind::Hold, 3_600, &b"pump 3"[..]));
        assert_eq!((hold.postings[0].held.left, hold.postings[0].held.held), (4_000, 4_000));
        assert_eq!((capture.kind, capture.link, capture.is_final), (RowKind::Capture, 20, true));
        assert_eq!(capture.link_sequence, placed.sequence);
        let captured: Vec<_> =
            capture.postings.iter().map(|p| (p.index, p.amount, p.held.freed, p.held.left)).collect();
        assert_eq!(captured, [(0, 1_200, 1_800, 0), (1, 1_200, 1_800, 0)]);
        assert_eq!((release.kind, release.result.outcome), (RowKind::Release, Outcome::HoldClosed));
        let reversed: Vec<_> = reversal.postings.iter().map(|p| (p.side, p.amount, p.held.left)).collect();
        assert_eq!(reversed, [(Side::Credit, 500, 1_500), (Side::Debit, 500, 1_500)]);

        let linked = client.linked(20, 0, 1_000).await.unwrap();
        let ids: Vec<_> = linked.transactions.iter().map(|t| t.id).collect();
        assert_eq!(ids, [21, 23, 24, 25, 28], "refused ones too");
        let first = client.linked(20, 0, 2).await.unwrap();
        assert_eq!((first.transactions.len(), first.more), (2, true));
        let rest = client.linked(20, first.seen, 1_000).await.unwrap();
        assert_eq!(rest.transactions.iter().map(|t| t.id).collect::<Vec<_>>(), ids[2..]);
        let by_reference = client.by_reference(77, 0, 1_000).await.unwrap();
        assert_eq!(by_reference.transactions.iter().map(|t| t.id).collect::<Vec<_>>(), [10, 20]);
        ledger
    });
}

#[test]
fn a_statement_has_holds_in_any_order_span_and_page() {
    with_ledger(async |ledger| {
        let client = &ledger.client;
        fund(client).await;
        posted(client, &Transaction::transfer(20, ALICE, SHOP, CZK, 4_000).held(0)).await;
        let capture =
            Transaction::capture(21, 20).with_amount(0, 3_000).with_amount(1, 3_000).finally().with_voucher("v");
        let captured = posted(client, &capture).await;
        let freeze = AccountChange::freeze(22, ALICE, Status::CreditFrozen, "odd payments");
        assert_eq!(change(client, &freeze).await, (Outcome::Posted, 0));
        posted(client, &Transaction::transfer(23, CASH, ALICE, CZK, 5).forced()).await;

        let page = client.statement_page(ALICE, Span::All, Order::Oldest, None, 100).await.unwrap().unwrap();
        let kinds: Vec<_> = page.entries.iter().map(|e| (e.kind, e.amount, e.balance, e.held.held)).collect();
        assert_eq!(
            kinds,
            [
                (RowKind::Transfer, 10_000, 10_000, 0),
                (RowKind::Hold, 4_000, 10_000, 4_000),
                (RowKind::Capture, 3_000, 7_000, 0),
                (RowKind::Change, 0, 7_000, 0),
                (RowKind::Transfer, 5, 7_005, 0),
            ]
        );
        let entry = &page.entries[2];
        assert_eq!((entry.link, entry.held.freed, entry.voucher.as_slice()), (20, 1_000, &b"v"[..]));
        assert_eq!(page.entries[3].change, Some((Action::Status, "odd payments".into())));
        assert!(page.entries[4].forced && !page.entries[2].forced);
        assert_eq!(page.account.status, Status::CreditFrozen);

        // Every span and order, in pages of one and two, gives the entries that the whole statement has in it.
        let entries = page.entries;
        let times = Span::Times(captured.booked_at, captured.booked_at);
        let today = entries[0].accounting_date;
        let spans = [
            (Span::All, 1..6),
            (Span::Versions(2, 4), 2..5),
            (Span::Versions(4, 99), 4..6),
            (times, 3..4),
            (Span::Times(0, captured.booked_at), 1..4),
            (Span::Dates(today, today + 1), 1..6),
            (Span::Dates(0, today - 1), 0..0),
        ];
        for (span, versions) in spans {
            for limit in 1..=2 {
                for order in [Order::Newest, Order::Oldest] {
                    let mut pages = client.statement_pages(ALICE, span, order).with_limit(limit);
                    let mut got = Vec::new();
                    while let Some(page) = pages.next_page().await.unwrap() {
                        got.extend(page.entries);
                    }
                    let mut expected: Vec<_> =
                        entries.iter().filter(|e| versions.contains(&e.version)).cloned().collect();
                    if order == Order::Newest {
                        expected.reverse();
                    }
                    assert_eq!(got, expected, "{span:?} {order:?} {limit}");
                }
            }
        }
        let from = Some(florin_core::entry::StatementToken { sequence: 0, version: 3 });
        let page = client.statement_page(ALICE, Span::All, Order::Newest, from, 2).await.unwrap().unwrap();
        assert_eq!(page.entries.iter().map(|e| e.version).collect::<Vec<_>>(), [3, 2], "begun at a version");

        let at = |time| client.balance_at(ALICE, Moment::Time(time));
        let then = at(captured.booked_at).await.unwrap().unwrap();
        assert_eq!((then.posted, then.version, then.sequence), (7_000, 3, captured.sequence));
        assert_eq!(at(captured.booked_at - 1).await.unwrap().unwrap().posted, 10_000);
        assert_eq!(at(0).await.unwrap().unwrap().version, 0);
        let day = client.balance_at(ALICE, Moment::Date(today)).await.unwrap().unwrap();
        assert_eq!((day.posted, day.version), (7_005, 5));
        assert_eq!(client.balance_at(99, Moment::Date(today)).await.unwrap(), None);
        ledger
    });
}

#[test]
fn a_hold_expires_and_a_watch_sees_it() {
    with_ledger(async |ledger| {
        let client = &ledger.client;
        fund(client).await;
        let placed = posted(client, &Transaction::transfer(20, ALICE, SHOP, CZK, 4_000).held(1)).await;
        let page = client.watch(placed.sequence).next_page().await.unwrap();
        let expiry = &page.transactions[0];
        assert_eq!((expiry.kind, expiry.id, expiry.link_sequence), (RowKind::Expiry, 20, placed.sequence));
        assert_eq!(expiry.postings.iter().map(|p| p.held.freed).collect::<Vec<_>>(), [4_000, 4_000]);
        assert_eq!(balances(client, ALICE).await, (10_000, 0, 0));
        assert_eq!(outcome(client, &Transaction::capture(21, 20)).await, (Outcome::HoldExpired, 0));
        ledger
    });
}

#[test]
fn accounts_are_frozen_limited_closed_and_described() {
    with_ledger(async |ledger| {
        let client = &ledger.client;
        fund(client).await;
        let pay = |id| Transaction::transfer(id, ALICE, SHOP, CZK, 100);
        let freeze = AccountChange::freeze(40, ALICE, Status::DebitFrozen, "court order").with_code(7);
        assert_eq!(change(client, &freeze).await, (Outcome::Posted, 0));
        assert_eq!(outcome(client, &pay(41)).await, (Outcome::AccountDebitFrozen, 0));
        posted(client, &pay(42).forced()).await;
        // The same change again, and another under its id.
        let again = client.change_accounts(std::slice::from_ref(&freeze)).await.unwrap();
        assert!(again.all_posted() && again.items().all(|item| item.repeat));
        let other = AccountChange { reason: "another".into(), ..freeze.clone() };
        assert_eq!(change(client, &other).await, (Outcome::IdUsedWithOtherFields, Field::Reason as u16));
        assert_eq!(outcome(client, &pay(40)).await, (Outcome::IdUsedWithOtherFields, Field::Kind as u16));
        assert_eq!(change(client, &AccountChange::unfreeze(43, ALICE, "settled")).await.0, Outcome::Posted);
        posted(client, &pay(44)).await;

        let floor = |id, floor| AccountChange::limits(id, ALICE, "agreed").with_floor(floor);
        assert_eq!(change(client, &floor(45, Some(9_801))).await, (Outcome::OutsideLimits, 0));
        assert_eq!(change(client, &floor(46, Some(9_800))).await.0, Outcome::Posted);
        assert_eq!(outcome(client, &pay(47)).await, (Outcome::BelowFloor, 0));
        let ceiling = AccountChange::limits(48, ALICE, "agreed").with_ceiling(Some(9_799));
        assert_eq!(change(client, &ceiling).await, (Outcome::LimitsCross, 0));
        let limits = floor(49, None).with_ceiling(Some(9_799)).with_alarm(Some(9_700)).forced();
        assert_eq!(change(client, &limits).await.0, Outcome::Posted);
        let alice = account(client, ALICE).await;
        assert_eq!((alice.floor, alice.ceiling, alice.alarm), (None, Some(9_799), Some(9_700)));
        // Two payments, of which the second crosses the alarm level.
        let reply = client.post(&[pay(50), pay(51)], true).await.unwrap();
        assert_eq!(reply.postings.iter().map(|p| p.alarm).collect::<Vec<_>>(), [false, false, true, false]);
        let found = client.transactions(&[51]).await.unwrap().pop().unwrap().unwrap();
        assert!(found.postings[0].result.alarm && !found.postings[1].result.alarm);
        assert!(client.statement(ALICE, None, 1).await.unwrap().unwrap().entries[0].alarm);

        let many = [
            AccountChange::label(52, SHOP, "Obchod"),
            AccountChange::attributes(53, SHOP, [7; 1_024]).with_reason("papers"),
            AccountChange::close(54, SHOP, "moved away"),
            AccountChange::reopen(55, SHOP, "mistake"),
            AccountChange::attributes(56, SHOP, [7; 1_025]),
            AccountChange::close(57, SHOP, ""),
        ];
        let reply = client.change_accounts(&many).await.unwrap();
        assert_eq!(
            reply.items().map(|item| item.outcome).collect::<Vec<_>>(),
            [
                Outcome::Posted,
                Outcome::Posted,
                Outcome::AccountNotEmpty,
                Outcome::AccountNotClosed,
                Outcome::AttributesTooLong,
                Outcome::ReasonInvalid,
            ]
        );
        let shop = account(client, SHOP).await;
        assert_eq!((&*shop.label, &*shop.attributes), ("Obchod", &[7; 1_024][..]));
        assert_eq!(
            client.list_accounts(0, 10).await.unwrap(),
            client.accounts(&[CASH, ALICE, SHOP]).await.unwrap().into_iter().flatten().collect::<Vec<_>>()
        );
        posted(client, &Transaction::transfer(58, SHOP, CASH, CZK, shop.posted as u128)).await;
        assert_eq!(change(client, &AccountChange::close(59, SHOP, "moved away")).await.0, Outcome::Posted);
        assert_eq!(outcome(client, &pay(60)).await, (Outcome::AccountClosed, 1));
        ledger
    });
}

#[test]
fn requests_of_one_connection_keep_their_order_beside_originals_that_are_looked_up() {
    with_ledger(async |ledger| {
        let client = &ledger.client;
        fund(client).await;
        let spend: Vec<_> = (0..200).map(|i| Transaction::transfer(1_000 + i, ALICE, SHOP, CZK, 10)).collect();
        assert!(client.post(&spend, false).await.unwrap().all_posted());
        // Each reversal needs its original from the log; the payment after it needs the money that comes back.
        let drained = Transaction::transfer(11, ALICE, CASH, CZK, 8_000);
        posted(client, &drained).await;
        let requests: Vec<_> = (0..200)
            .flat_map(|i| {
                [Transaction::reverse(2_000 + i, 1_000 + i), Transaction::transfer(3_000 + i, ALICE, CASH, CZK, 10)]
            })
            .map(|item| {
                let client = client.clone();
                actix_rt::spawn(async move { post(&client, &item).await })
            })
            .collect();
        let mut last = 0;
        for request in requests {
            let result = request.await.unwrap();
            assert_eq!(result.outcome, Outcome::Posted);
            assert!(result.sequence > last, "row {} after row {last}", result.sequence);
            last = result.sequence;
        }
        assert_eq!(balances(client, ALICE).await, (0, 0, 0));
        ledger
    });
}

#[test]
fn wide_holds_are_released_with_a_result_for_each_entry() {
    with_ledger(async |ledger| {
        let client = &ledger.client;
        let wide = |id| {
            let hold = Transaction::journal(id).with_posting(Side::Debit, CASH, CZK, 253);
            (0..253).fold(hold, |hold, _| hold.with_posting(Side::Credit, ALICE, CZK, 1)).held(60)
        };
        let holds: Vec<_> = (100..180).map(wide).collect();
        let reply = client.post(&holds, true).await.unwrap();
        assert!(reply.all_posted());
        assert_eq!((reply.postings.len(), balances(client, ALICE).await), (80 * 254, (0, 0, 80 * 253)));
        let releases: Vec<_> = (100..180).map(|hold| Transaction::release(hold + 100, hold)).collect();
        let reply = client.post(&releases, true).await.unwrap();
        let all = results(&releases, &reply).unwrap();
        assert!(all.iter().all(|r| (r.result.detail, r.postings.len()) == (254, 254)));
        assert_eq!(balances(client, ALICE).await, (0, 0, 0));
        ledger
    });
}
