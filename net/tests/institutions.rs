//! Institutions are apart: the same ids, and no read and no posting of one reaches what another has.

mod common;

use std::time::Duration;

use common::ledger::*;
use florin_core::asset::Asset;
use florin_core::entry::{Moment, Order, Span, StatementToken};
use florin_core::institution::Institution;
use florin_core::outcome::Outcome;
use florin_core::request::Side;
use florin_net::{AccountChange, Client, ClientError, ErrorCode, NewAccount, Transaction};

/// The institutions that there are, and one that there is not.
const SECOND: u32 = 2;
const THIRD: u32 = 3;
const NONE: u32 = 9;

async fn register(client: &Client) {
    for (id, number, name) in [(900, SECOND, "Druhá"), (901, THIRD, "Third")] {
        assert_eq!(client.register_institution(id, number, name).await.unwrap().outcome, Outcome::Posted);
    }
}

/// Alice's balance of each institution comes from ids and references that all of them use.
async fn fill(client: &Client, amount: u128) {
    posted(client, &Transaction::transfer(10, CASH, ALICE, CZK, amount).with_reference(5)).await;
    posted(client, &Transaction::transfer(11, ALICE, SHOP, CZK, amount / 2).held(0).with_reference(5)).await;
    posted(client, &Transaction::capture(12, 11)).await;
}

#[test]
fn every_read_answers_for_its_own_institution_only() {
    with_ledger(async |ledger| {
        let first = &ledger.client;
        register(first).await;
        let clients =
            [(1_000, first.clone()), (2_000, first.for_institution(SECOND)), (3_000, first.for_institution(THIRD))];
        for (amount, client) in &clients {
            if client.institution() != 1 {
                open(client).await;
            }
            fill(client, *amount).await;
        }
        // One has an account, a hold and a transaction that the others have not.
        let (_, second) = &clients[1];
        let own = NewAccount::new(77, CZK, Side::Credit);
        assert!(second.open_accounts(&[own]).await.unwrap().all_posted());
        posted(second, &Transaction::transfer(78, ALICE, 77, CZK, 1).held(0).with_reference(79)).await;

        for (amount, client) in &clients {
            let institution = client.institution();
            let is_second = institution == SECOND;
            let alice = account(client, ALICE).await;
            assert_eq!((alice.institution, alice.posted), (institution, *amount as i128 / 2));
            assert_eq!(client.accounts(&[77]).await.unwrap()[0].is_some(), is_second);
            let listed = client.list_accounts(0, 100).await.unwrap();
            assert_eq!(listed.len(), if is_second { 4 } else { 3 });
            assert!(listed.iter().all(|a| a.institution == institution));

            let found = client.transactions(&[10, 78]).await.unwrap();
            assert_eq!(found[0].as_ref().map(|t| (t.institution, t.postings[0].amount)), Some((institution, *amount)));
            assert_eq!(found[1].is_some(), is_second);
            let page = client.statement_page(ALICE, Span::All, Order::Oldest, None, 100).await.unwrap().unwrap();
            assert_eq!(page.entries[0].amount, *amount);
            assert_eq!(page.entries.len(), if is_second { 4 } else { 3 });
            assert_eq!(client.statement(77, None, 1).await.unwrap().is_some(), is_second);
            let now = client.balance_at(ALICE, Moment::Time(u64::MAX)).await.unwrap().unwrap();
            assert_eq!(now.posted, *amount as i128 / 2);
            assert_eq!(client.balance_at(77, Moment::Time(u64::MAX)).await.unwrap().is_some(), is_second);

            let by_reference = client.by_reference(5, 0, 100).await.unwrap();
            assert_eq!(by_reference.transactions.iter().map(|t| t.id).collect::<Vec<_>>(), [10, 11]);
            let linked = client.linked(11, 0, 100).await.unwrap();
            assert_eq!(linked.transactions.iter().map(|t| t.id).collect::<Vec<_>>(), [12]);
            assert_eq!(client.by_reference(79, 0, 100).await.unwrap().transactions.len(), usize::from(is_second));
            let watched = client.watch(0).next_page().await.unwrap();
            let ids: &[u128] = if is_second { &[10, 11, 12, 78] } else { &[10, 11, 12] };
            assert_eq!(watched.transactions.iter().map(|t| t.id).collect::<Vec<_>>(), ids);
            let all = [&by_reference, &linked, &watched].map(|page| &page.transactions).into_iter().flatten();
            assert!(all.into_iter().all(|t| t.institution == institution));
            // A token of another institution's statement is foreign, or shows one's own account.
            let newest = page.account.last_entry;
            for (_, other) in &clients {
                let from = Some(StatementToken { sequence: newest, version: 2 });
                match other.statement(ALICE, from, 10).await {
                    Ok(Some(page)) => assert_eq!(page.account.institution, other.institution()),
                    Ok(None) => panic!("every institution has this account"),
                    Err(error) => assert_eq!(error.server_code(), Some(ErrorCode::ForeignToken)),
                }
            }
        }

        // Assets are the ledger's; only the first institution sees all institutions.
        let (_, second) = &clients[1];
        assert_eq!(second.assets().await.unwrap(), first.assets().await.unwrap());
        let named = |name: &str| Institution { name: name.into(), open_day: 0 };
        let all = [(1, named("")), (SECOND, named("Druhá")), (THIRD, named("Third"))];
        assert_eq!(first.institutions().await.unwrap(), all);
        assert_eq!(second.institutions().await.unwrap(), all[1..2]);
        ledger
    });
}

#[test]
fn no_posting_and_no_change_reaches_another_institution() {
    with_ledger(async |ledger| {
        let first = &ledger.client;
        register(first).await;
        let second = first.for_institution(SECOND);
        fill(first, 1_000).await;
        posted(first, &Transaction::transfer(20, ALICE, SHOP, CZK, 100).held(0)).await;
        // The second has the asset, and nothing of the first's accounts, holds and transactions.
        let items = [
            (Transaction::transfer(30, CASH, ALICE, CZK, 1), Outcome::AccountUnknown),
            (Transaction::capture(31, 20), Outcome::HoldUnknown),
            (Transaction::increase(32, 20).with_amount(0, 1).with_amount(1, 1), Outcome::HoldUnknown),
            (Transaction::release(33, 20), Outcome::HoldUnknown),
            (Transaction::reverse(34, 10), Outcome::OriginalUnknown),
        ];
        for (item, expected) in items {
            assert_eq!(outcome(&second, &item).await.0, expected, "{item:?}");
        }
        assert_eq!(change(&second, &AccountChange::close(35, ALICE, "x")).await.0, Outcome::AccountUnknown);
        // What is ledger-wide is the first institution's to say; the open day is everyone's own.
        let asset = Asset { number: 978, code: "EUR".into(), scale: 2 };
        assert_eq!(second.register_asset(36, &asset).await.unwrap().outcome, Outcome::NotPermitted);
        assert_eq!(second.register_institution(37, 5, "x").await.unwrap().outcome, Outcome::NotPermitted);
        let day = day_of(first, 50).await + 100;
        assert_eq!(second.set_open_day(38, day).await.unwrap().outcome, Outcome::Posted);
        assert_eq!(first.institutions().await.unwrap()[1].1.open_day, day);
        assert!(day_of(first, 51).await < day);

        // An institution that is not registered gets nothing and changes nothing.
        let none = first.for_institution(NONE);
        assert_eq!(
            outcome(&none, &Transaction::transfer(40, CASH, ALICE, CZK, 1)).await.0,
            Outcome::InstitutionUnknown
        );
        assert_eq!(change(&none, &AccountChange::close(41, ALICE, "x")).await.0, Outcome::InstitutionUnknown);
        assert_eq!(none.set_open_day(42, day).await.unwrap().outcome, Outcome::InstitutionUnknown);
        let opening = [NewAccount::new(1, CZK, Side::Credit)];
        let opened = none.open_accounts(&opening).await.unwrap();
        assert_eq!(opened.items().next().unwrap().outcome, Outcome::InstitutionUnknown);
        let refused = |error: ClientError| assert_eq!(error.server_code(), Some(ErrorCode::InstitutionUnknown));
        refused(none.accounts(&[CASH]).await.unwrap_err());
        refused(none.list_accounts(0, 10).await.unwrap_err());
        refused(none.transactions(&[10]).await.unwrap_err());
        refused(none.statement(ALICE, None, 1).await.unwrap_err());
        refused(none.balance_at(ALICE, Moment::Date(day)).await.unwrap_err());
        refused(none.by_reference(5, 0, 10).await.unwrap_err());
        refused(none.linked(11, 0, 10).await.unwrap_err());
        refused(none.institutions().await.unwrap_err());
        refused(none.watch(0).with_wait(Duration::ZERO).poll_page().await.unwrap_err());
        // Nor does anybody go on behind the last row, where another ledger may have been.
        let beyond = |error: ClientError| assert_eq!(error.server_code(), Some(ErrorCode::PositionUnknown));
        beyond(first.watch(1_000_000).poll_page().await.unwrap_err());
        beyond(first.by_reference(5, u64::MAX, 10).await.unwrap_err());
        beyond(first.linked(11, 1_000_000, 10).await.unwrap_err());
        assert_eq!(balances(first, ALICE).await, (500, 100, 0));
        ledger
    });
}

/// The accounting date of transaction `id`, which is posted now.
async fn day_of(client: &Client, id: u128) -> u16 {
    posted(client, &Transaction::transfer(id, CASH, SHOP, CZK, 1)).await;
    client.transactions(&[id]).await.unwrap()[0].as_ref().unwrap().accounting_date
}
