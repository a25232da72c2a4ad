//! Watches against a real engine under load: consumers that are killed at any moment and go on where they were.

mod common;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use common::Random;
use common::ledger::*;
use florin_core::outcome::Outcome;
use florin_net::{Client, Server, Transaction};

/// The last transaction of each institution.
const LAST: u128 = u128::MAX;

/// Ids by row, as posters were told and as consumers saw them.
type Rows = BTreeMap<u64, u128>;

/// Posts requests of all sizes: transfers, some of them refused, and holds with their captures.
async fn load(client: Client, mut random: Random, first_id: u128, requests: usize, told: Rc<RefCell<Rows>>) {
    let mut id = first_id;
    for _ in 0..requests {
        let count = [1, 2, 20, 150][random.below(4)];
        let mut items = Vec::new();
        while items.len() < count {
            id += 1;
            match random.below(4) {
                0 => items.push(Transaction::transfer(id, ALICE, SHOP, CZK, 1 << 60)),
                1 => {
                    items.push(Transaction::transfer(id, CASH, SHOP, CZK, 7).held(0));
                    items.push(Transaction::capture(id + 1, id));
                    id += 1;
                }
                _ => items.push(Transaction::transfer(id, CASH, ALICE, CZK, 1).with_voucher(random.bytes(50))),
            }
        }
        let reply = client.post(&items, false).await.unwrap();
        let mut told = told.borrow_mut();
        for (item, result) in items.iter().zip(reply.items()) {
            assert!(result.sequence > 0 && !result.repeat, "{result:?}");
            assert!(matches!(result.outcome, Outcome::Posted | Outcome::BelowFloor), "{result:?}");
            assert_eq!(told.insert(result.sequence, item.id), None);
        }
    }
}

/// Consumes to the last transaction. Killed again and again, it goes on with a new connection from what it has stored.
async fn consume(server: Rc<Server>, institution: u32, mut random: Random) -> (Rows, usize) {
    let (mut stored, mut position, mut kills) = (Rows::new(), 0, 0);
    loop {
        let client = connect(&server).await.for_institution(institution);
        let mut watch = client.watch(position).with_limit([1, 3, 50, 1_000][random.below(4)]);
        // The time to live is only a way to be killed at many different moments: none at all, or within a page, or
        // never.
        let life = Duration::from_micros([0, 200, 2_000, 1_000_000][random.below(4)]);
        let lived = tokio::time::timeout(life, async {
            loop {
                let page = watch.next_page().await.unwrap();
                for transaction in &page.transactions {
                    assert!(transaction.result.sequence > position, "nothing comes twice");
                    assert_eq!(transaction.institution, institution);
                    assert_eq!(stored.insert(transaction.result.sequence, transaction.id), None);
                }
                position = page.seen;
                if stored.last_key_value().is_some_and(|(_, id)| *id == LAST) {
                    return;
                }
            }
        })
        .await;
        if lived.is_ok() {
            return (stored, kills);
        }
        kills += 1;
    }
}

#[test]
fn killed_consumers_see_every_transaction_once_in_the_order_of_the_log() {
    with_ledger(async |ledger| {
        let Ledger { engine, server, client, directory } = ledger;
        let second = client.for_institution(2);
        client.register_institution(900, 2, "second").await.unwrap();
        open(&second).await;
        let server = Rc::new(server);
        let told = [Rc::<RefCell<Rows>>::default(), Rc::default()];
        let clients = [client.clone(), second];
        let consumers: Vec<_> =
            (0..6).map(|i| actix_rt::spawn(consume(server.clone(), 1 + i % 2, Random(100 + u64::from(i))))).collect();
        let loads: Vec<_> = (0..4)
            .map(|i| {
                let (client, told) = (clients[i % 2].clone(), told[i % 2].clone());
                actix_rt::spawn(load(client, Random(200 + i as u64), 10_000 * (i as u128 + 1), 60, told))
            })
            .collect();
        for load in loads {
            load.await.unwrap();
        }
        for (client, told) in clients.iter().zip(&told) {
            let last = posted(client, &Transaction::transfer(LAST, CASH, ALICE, CZK, 1)).await;
            told.borrow_mut().insert(last.sequence, LAST);
        }
        let (mut all_kills, mut seen) = (0, 0);
        for (i, consumer) in consumers.into_iter().enumerate() {
            let (stored, kills) = consumer.await.unwrap();
            assert!(
                stored == *told[i % 2].borrow(),
                "consumer {i}: {} of {}",
                stored.len(),
                told[i % 2].borrow().len()
            );
            (all_kills, seen) = (all_kills + kills, seen + stored.len());
        }
        // From any position on, there is exactly what comes after it.
        let mut random = Random(300);
        let rows = told[0].take();
        let last = *rows.last_key_value().unwrap().0;
        for _ in 0..50 {
            let after = random.u64() % last;
            let page = client.watch(after).with_limit(20).next_page().await.unwrap();
            let got: Vec<_> = page.transactions.iter().map(|t| (t.result.sequence, t.id)).collect();
            let expected: Vec<_> = rows.range(after + 1..).take(20).map(|(row, id)| (*row, *id)).collect();
            assert_eq!(got, expected, "after {after}");
            assert!(page.more || page.seen >= last);
        }
        println!("{seen} transactions seen by 6 consumers that were killed {all_kills} times: 6 passed, 0 failed");
        let server = Rc::into_inner(server).expect("the consumers have ended");
        Ledger { engine, server, client, directory }
    });
}
