//! Every call of the client against a server with a scripted engine: what reaches the engine, and what comes back.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::{Random, Script, all_posted, local, options, server};
use florin_core::asset::Asset;
use florin_core::entry::{
    AccountRecord, BalanceAt, Moment, Order, Span, StatementPage, StatementToken, Status, TransactionPage,
    TransactionRecord,
};
use florin_core::institution::Institution;
use florin_core::outcome::Outcome;
use florin_core::request::{PostingResult, Side};
use florin_engine::{Command, EngineStats, Reply};
use florin_net::client::results;
use florin_net::limits::{CHANGES_MAX, OPENINGS_MAX};
use florin_net::{AccountChange, Client, ClientError, ClientOptions, NewAccount, Transaction};

async fn connect(server: &florin_net::Server) -> Client {
    Client::connect(&server.local_addr().to_string(), ClientOptions::default()).await.unwrap()
}

/// What a scripted engine knows.
#[derive(Clone)]
struct Known {
    account: AccountRecord,
    transaction: TransactionRecord,
    statement: StatementPage,
    page: TransactionPage,
    balance: BalanceAt,
    institution: (u32, Institution),
    asset: Asset,
}

impl Known {
    fn new() -> Known {
        let mut random = Random(1);
        Known {
            account: random.account(),
            transaction: random.transaction(5, 10),
            statement: random.page(3, 20),
            page: random.transaction_page(4, 9, 100),
            balance: random.balance_at(),
            institution: random.institution(),
            asset: Asset { number: 1, code: "CZK".into(), scale: 2 },
        }
    }

    /// What was asked, in words, and the answer.
    fn answer(&self, command: Command) -> (String, Reply) {
        let posted = all_posted(&command, 9);
        match command {
            Command::Post { request, want_postings } => {
                let mut posted = posted;
                let mut said = format!("{:?} {}", request.form(), request.institution);
                for i in 0..request.count() {
                    let item = request.item(i);
                    request.check_shape(i, &item).unwrap();
                    let kind = item.kind.unwrap();
                    said += &format!(" {kind:?} {} {} {} {}", item.id, item.link, item.timeout, item.flags);
                    said += &format!(" {} {} {} {:?}", item.reference, item.code, item.value_date, item.voucher);
                    for p in item.postings.iter() {
                        said += &format!(" ({} {:?} {} {} {})", p.index, p.side, p.account, p.asset, p.amount);
                    }
                }
                if want_postings {
                    let result = PostingResult { version: 3, balance: -7, alarm: true };
                    posted.postings = vec![result; 2 * request.count()];
                }
                (said, Reply::Posted(posted))
            }
            Command::Open(request) => {
                let row = request.rows()[0];
                row.check_shape().unwrap();
                let said = format!("open {} {} {:?} {:?}", row.account, row.label(), row.floor(), row.ceiling());
                (said, Reply::Posted(posted))
            }
            Command::Change(request) => {
                let mut said = format!("{} change", request.institution);
                for i in 0..request.count() {
                    let change = request.change(i);
                    change.check_shape().unwrap();
                    let row = change.row;
                    said += &format!(" {:?} {} {} {}", row.action(), row.id, row.account, row.status);
                    said += &format!(" {:?} {:?} {:?}", row.new_floor(), row.new_ceiling(), row.new_alarm());
                    let (reason, data) = (str::from_utf8(change.reason).unwrap(), change.data);
                    said += &format!(" {} {} {reason:?} {data:?};", row.forced(), row.code);
                }
                (said, Reply::Posted(posted))
            }
            Command::Control(request) => (format!("{} {:?}", request.id, request.record), Reply::Posted(posted)),
            Command::LookUpAccounts { institution, ids } => {
                let accounts = vec![None, Some(self.account.clone())];
                (format!("{institution} accounts {ids:?}"), Reply::Accounts { accounts, position: 4 })
            }
            Command::ListAccounts { institution, after, limit } => {
                let reply = Reply::AccountPage { accounts: vec![self.account.clone()], position: 4 };
                (format!("{institution} list {after} {limit}"), reply)
            }
            Command::LookUpTransactions { institution, ids } => {
                let transactions = vec![Some(self.transaction.clone()), None];
                (format!("{institution} transactions {ids:?}"), Reply::Transactions { transactions, position: 4 })
            }
            Command::Statement { institution, account, span, order, from, limit } => {
                let from = from.map(|token| (token.sequence, token.version));
                let said = format!("{institution} statement {account} {span:?} {order:?} {from:?} {limit}");
                (said, Reply::Statement((account == 5).then(|| Box::new(self.statement.clone()))))
            }
            Command::BalanceAt { institution, account, moment } => {
                let reply = Reply::BalanceAt((account == 5).then_some(self.balance));
                (format!("{institution} balance {account} {moment:?}"), reply)
            }
            Command::ByReference { institution, reference, after, limit } => {
                let said = format!("{institution} reference {reference} {after} {limit}");
                (said, Reply::TransactionPage(self.page.clone()))
            }
            Command::Linked { institution, id, after, limit } => {
                (format!("{institution} linked {id} {after} {limit}"), Reply::TransactionPage(self.page.clone()))
            }
            Command::Watch { institution, after, limit, wait_ms } => {
                let said = format!("{institution} watch {after} {limit} {wait_ms}");
                (said, Reply::TransactionPage(self.page.clone()))
            }
            Command::Institutions { institution } => {
                (format!("{institution} institutions"), Reply::Institutions(vec![self.institution.clone()]))
            }
            Command::Assets => ("assets".into(), Reply::Assets(vec![self.asset.clone()])),
            Command::Stats => {
                ("stats".into(), Reply::Stats(Box::new(EngineStats { accounts: 12, ..EngineStats::default() })))
            }
            Command::Snapshot => ("snapshot".into(), Reply::Snapshot(None)),
        }
    }
}

/// A client, and what its calls have asked of the engine since this was last looked at.
struct Talk {
    client: Client,
    known: Known,
    said: Rc<RefCell<Vec<String>>>,
    _server: florin_net::Server,
}

impl Talk {
    async fn new() -> Talk {
        let (known, said) = (Known::new(), Rc::<RefCell<Vec<String>>>::default());
        let (engine, log) = (known.clone(), said.clone());
        let script = Script::new(move |command, on_reply| {
            let (said, reply) = engine.answer(command);
            log.borrow_mut().push(said);
            on_reply(reply);
        });
        let server = server(script, options()).await;
        Talk { client: connect(&server).await, known, said, _server: server }
    }

    /// The last question.
    fn said(&self) -> String {
        self.said.borrow_mut().drain(..).next_back().unwrap()
    }
}

#[test]
fn items_of_every_kind_reach_the_engine_as_they_were_meant() {
    local(async {
        let talk = Talk::new().await;
        let client = &talk.client;
        let transfer = Transaction::transfer(7, 1, 2, 3, 40).with_reference(8).with_code(9).with_voucher("{}");
        let hold = Transaction::transfer(8, 1, 2, 3, 40).held(60).with_link(5).forced();
        let items = [transfer.clone(), hold.clone()];
        let reply = client.post(&items, true).await.unwrap();
        let postings = "(0 Debit 1 3 40) (0 Credit 2 3 40)";
        let first = format!("Post 7 0 0 0 8 9 0 [123, 125] {postings}");
        assert_eq!(talk.said(), format!("Transfers 1 {first} Hold 8 5 60 1 0 0 0 [] {postings}"));
        let results = results(&items, &reply).unwrap();
        assert_eq!((results.len(), results[1].postings.len(), results[1].result.sequence), (2, 2, 10));
        assert_eq!(results[0].postings[1], PostingResult { version: 3, balance: -7, alarm: true });

        let cases = [
            (
                Transaction::journal(7)
                    .with_posting(Side::Credit, 1, 3, 40)
                    .with_posting(Side::Debit, 2, 3, 40)
                    .with_value_date(20_000),
                "Post 7 0 0 0 0 0 20000 [] (0 Credit 1 3 40) (0 Debit 2 3 40)",
            ),
            (
                Transaction::increase(7, 6).with_amount(0, 5).with_amount(3, 5).forced(),
                "Increase 7 6 0 1 0 0 0 [] (0 Debit 0 0 5) (3 Debit 0 0 5)",
            ),
            (Transaction::capture(7, 6), "Capture 7 6 0 0 0 0 0 []"),
            (Transaction::capture(7, 6).with_amount(1, 5), "Capture 7 6 0 0 0 0 0 [] (1 Debit 0 0 5)"),
            (Transaction::capture(7, 6).with_amount(1, 5).finally(), "Capture 7 6 0 2 0 0 0 [] (1 Debit 0 0 5)"),
            (Transaction::release(7, 6).with_voucher("x"), "Release 7 6 0 0 0 0 0 [120]"),
            (Transaction::reverse(7, 6), "Reverse 7 6 0 0 0 0 0 []"),
            (Transaction::reverse(7, 6).with_amount(2, 1).forced(), "Reverse 7 6 0 1 0 0 0 [] (2 Debit 0 0 1)"),
        ];
        for (item, expected) in cases {
            let reply = client.post(std::slice::from_ref(&item), false).await.unwrap();
            assert_eq!((reply.count(), reply.postings.len()), (1, 0));
            assert_eq!(talk.said(), format!("Items 1 {expected}"));
        }
        let other = client.for_institution(77);
        other.post(&[hold, Transaction::release(9, 8)], false).await.unwrap();
        assert!(
            talk.said().starts_with("Items 77 Hold 8 5 60 1 0 0 0 [] (0 Debit 1 3 40) (0 Credit 2 3 40) Release 9 8")
        );
        assert_eq!((client.institution(), other.institution()), (1, 77));
    });
}

#[test]
fn results_are_told_apart_item_by_item() {
    use florin_core::entry::PostReply;
    use florin_core::request::ItemResult;
    let items =
        [Transaction::transfer(1, 1, 2, 3, 4), Transaction::capture(2, 9), Transaction::transfer(3, 1, 2, 3, 4)];
    let item = |outcome, detail, sequence| ItemResult { outcome, repeat: false, detail, sequence, booked_at: sequence };
    let mut reply = PostReply::default();
    reply.push(item(Outcome::Posted, 0, 5));
    reply.push(item(Outcome::Posted, 3, 6));
    reply.push(item(Outcome::BelowFloor, 1, 7));
    let counts = |reply: &PostReply| {
        results(&items, reply).map(|results| results.iter().map(|r| r.postings.len()).collect::<Vec<_>>())
    };
    assert_eq!(counts(&reply).unwrap(), [0, 0, 0], "not asked for, or too many for one reply");
    reply.postings = vec![PostingResult::default(); 5];
    assert_eq!(counts(&reply).unwrap(), [2, 3, 0]);
    for wrong in [4, 6] {
        reply.postings = vec![PostingResult::default(); wrong];
        assert!(matches!(counts(&reply), Err(ClientError::Protocol(_))));
    }
    reply.push(item(Outcome::Posted, 0, 8));
    reply.postings = vec![PostingResult::default(); 5];
    assert!(matches!(counts(&reply), Err(ClientError::Protocol(_))));
}

#[test]
fn openings_changes_and_control_records_reach_the_engine_as_they_were_meant() {
    local(async {
        let talk = Talk::new().await;
        let client = &talk.client;
        assert_eq!(client.server().openings_max as usize, OPENINGS_MAX);
        client.ping().await.unwrap();
        let account_6 = NewAccount { label: "účet".into(), ceiling: Some(5), ..NewAccount::new(6, 1, Side::Credit) };
        assert!(client.open_accounts(&[account_6]).await.unwrap().all_posted());
        assert_eq!(talk.said(), "open 6 účet Some(0) Some(5)");

        let limits = AccountChange::limits(7, 6, "měření").with_floor(None).with_ceiling(Some(5)).forced().with_code(3);
        let changes = [
            (AccountChange::freeze(7, 6, Status::DebitFrozen, "x"), r#"Status 7 6 1 None None None false 0 "x" []"#),
            (AccountChange::unfreeze(7, 6, "x"), r#"Status 7 6 0 None None None false 0 "x" []"#),
            (limits, r#"Limits 7 6 0 Some(None) Some(Some(5)) None true 3 "měření" []"#),
            (
                AccountChange::limits(7, 6, "x").with_alarm(None).with_floor(Some(-1)),
                r#"Limits 7 6 0 Some(Some(-1)) None Some(None) false 0 "x" []"#,
            ),
            (AccountChange::close(7, 6, "x"), r#"Close 7 6 0 None None None false 0 "x" []"#),
            (AccountChange::reopen(7, 6, "x"), r#"Reopen 7 6 0 None None None false 0 "x" []"#),
            (AccountChange::label(7, 6, "hi"), r#"Label 7 6 0 None None None false 0 "" [104, 105]"#),
            (
                AccountChange::attributes(7, 6, [1, 2]).with_reason("y"),
                r#"Attributes 7 6 0 None None None false 0 "y" [1, 2]"#,
            ),
        ];
        for (change, expected) in &changes {
            assert!(client.change_accounts(std::slice::from_ref(change)).await.unwrap().all_posted());
            assert_eq!(talk.said(), format!("1 change {expected};"));
        }
        let (all, said): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
        assert_eq!(client.change_accounts(&all).await.unwrap().count(), all.len());
        assert_eq!(talk.said(), format!("1 change {};", said.join("; ")));

        let asset = &talk.known.asset;
        assert_eq!(client.register_asset(77, asset).await.unwrap().outcome, Outcome::Posted);
        assert_eq!(talk.said(), r#"77 b"{\"code\":\"CZK\",\"number\":\"1\",\"record\":\"asset\",\"scale\":\"2\"}""#);
        client.register_institution(78, 5, "bank").await.unwrap();
        assert_eq!(talk.said(), r#"78 b"{\"name\":\"bank\",\"number\":\"5\",\"record\":\"institution\"}""#);
        client.set_open_day(79, 20_779).await.unwrap();
        assert_eq!(talk.said(), r#"79 b"{\"date\":\"2026-11-22\",\"record\":\"open_day\"}""#);
    });
}

#[test]
fn every_read_reaches_the_engine_as_it_was_meant_and_its_answer_comes_back() {
    local(async {
        let talk = Talk::new().await;
        let (client, known) = (talk.client.for_institution(2), &talk.known);
        assert_eq!(client.accounts(&[3, 4]).await.unwrap(), [None, Some(known.account.clone())]);
        assert_eq!(talk.said(), "2 accounts [3, 4]");
        assert_eq!(client.list_accounts(11, 4_000).await.unwrap(), std::slice::from_ref(&known.account));
        assert_eq!(talk.said(), "2 list 11 4000");
        assert_eq!(client.transactions(&[3, 4]).await.unwrap(), [Some(known.transaction.clone()), None]);
        assert_eq!(talk.said(), "2 transactions [3, 4]");
        let from = Some(StatementToken { sequence: 8, version: 2 });
        assert_eq!(client.statement(5, from, 1_000).await.unwrap().as_ref(), Some(&known.statement));
        assert_eq!(talk.said(), "2 statement 5 All Newest Some((8, 2)) 1000");
        assert_eq!(client.statement(6, None, 1).await.unwrap(), None);
        assert_eq!(talk.said(), "2 statement 6 All Newest None 1");
        let by_version = Some(StatementToken { sequence: 0, version: 9 });
        client.statement_page(5, Span::Dates(3, 4), Order::Oldest, by_version, 7).await.unwrap();
        assert_eq!(talk.said(), "2 statement 5 Dates(3, 4) Oldest Some((0, 9)) 7");
        client.statement_page(5, Span::Times(0, u64::MAX), Order::Newest, None, 7).await.unwrap();
        assert_eq!(talk.said(), "2 statement 5 Times(0, 18446744073709551615) Newest None 7");
        client.statement_page(5, Span::Versions(2, 3), Order::Oldest, None, 7).await.unwrap();
        assert_eq!(talk.said(), "2 statement 5 Versions(2, 3) Oldest None 7");
        assert_eq!(client.balance_at(5, Moment::Time(6)).await.unwrap(), Some(known.balance));
        assert_eq!(talk.said(), "2 balance 5 Time(6)");
        assert_eq!(client.balance_at(6, Moment::Date(7)).await.unwrap(), None);
        assert_eq!(talk.said(), "2 balance 6 Date(7)");
        assert_eq!(client.by_reference(5, 6, 7).await.unwrap(), known.page);
        assert_eq!(talk.said(), "2 reference 5 6 7");
        assert_eq!(client.linked(5, 6, 7).await.unwrap(), known.page);
        assert_eq!(talk.said(), "2 linked 5 6 7");
        let mut watch = client.watch(6).with_limit(50);
        assert_eq!(watch.next_page().await.unwrap(), known.page);
        assert_eq!((talk.said(), watch.seen()), ("2 watch 6 50 0".into(), known.page.seen));
        assert_eq!(client.institutions().await.unwrap(), std::slice::from_ref(&known.institution));
        assert_eq!(talk.said(), "2 institutions");
        assert_eq!(client.assets().await.unwrap(), std::slice::from_ref(&known.asset));
        assert_eq!(client.stats().await.unwrap()["accounts"], 12);
    });
}

#[test]
fn pages_of_a_statement_go_on_where_the_one_before_ended() {
    local(async {
        let mut random = Random(7);
        let mut pages: Vec<_> = (0..3).map(|_| random.page(2, 3)).collect();
        for (i, page) in pages.iter_mut().enumerate() {
            page.next = (i < 2).then_some(StatementToken { sequence: 10 + i as u64, version: 1 });
        }
        let (all, asked) = (pages.clone(), Rc::new(RefCell::new(Vec::new())));
        let log = asked.clone();
        let script = Script::new(move |command, on_reply| {
            let Command::Statement { account, from, limit, .. } = command else { panic!("only statements") };
            log.borrow_mut().push((from.map(|token| token.sequence), limit));
            let page = (account == 5).then(|| Box::new(all[log.borrow().len() - 1].clone()));
            on_reply(Reply::Statement(page));
        });
        let server = server(script, options()).await;
        let client = connect(&server).await;
        let mut statement = client.statement_pages(5, Span::All, Order::Oldest).with_limit(2);
        for page in pages {
            assert_eq!(statement.next_page().await.unwrap(), Some(page));
        }
        assert_eq!(statement.next_page().await.unwrap(), None);
        assert_eq!(*asked.borrow(), [(None, 2), (Some(10), 2), (Some(11), 2)]);
        let mut none = client.statement_pages(6, Span::All, Order::Newest);
        assert_eq!(none.next_page().await.unwrap(), None);
        assert_eq!(none.next_page().await.unwrap(), None);
        assert_eq!(asked.borrow().len(), 4);
    });
}

#[test]
fn what_does_not_fit_a_request_is_not_sent() {
    local(async {
        let server = server(Script::new(|command, _| panic!("nothing is sent: {command:?}")), options()).await;
        let client = connect(&server).await;
        let transfer = Transaction::transfer(1, 1, 2, 1, 1);
        let account = NewAccount::new(1, 1, Side::Debit);
        let change = AccountChange::close(1, 1, "why");
        let long = NewAccount { label: "x".repeat(65), ..account.clone() };
        let vouchers = vec![transfer.clone().with_voucher(vec![0; 4096]); 250];
        let errors = [
            client.post(&[], false).await.unwrap_err(),
            client.post(&vec![transfer.clone(); 8_191], false).await.unwrap_err(),
            client.post(&vouchers, false).await.unwrap_err(),
            client.post(&[transfer.with_voucher(vec![0; 65_536])], false).await.unwrap_err(),
            client.open_accounts(&vec![account; OPENINGS_MAX + 1]).await.unwrap_err(),
            client.open_accounts(&[long]).await.unwrap_err(),
            client.accounts(&vec![1; 8_191]).await.unwrap_err(),
            client.transactions(&[1; 1_001]).await.unwrap_err(),
            client.list_accounts(0, 4_001).await.unwrap_err(),
            client.statement(1, None, 0).await.unwrap_err(),
            client.statement(1, None, 1_001).await.unwrap_err(),
            client.by_reference(1, 0, 0).await.unwrap_err(),
            client.linked(1, 0, 1_001).await.unwrap_err(),
            client.watch(0).with_limit(1_001).next_page().await.unwrap_err(),
            client.change_accounts(&[]).await.unwrap_err(),
            client.change_accounts(&vec![change.clone(); CHANGES_MAX + 1]).await.unwrap_err(),
            client.change_accounts(&vec![change.clone(); CHANGES_MAX]).await.unwrap_err(),
            client.change_accounts(&[change.with_reason("x".repeat(65_536))]).await.unwrap_err(),
            client.control(1, &[b' '; 16 * 1024 + 1]).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, ClientError::TooLarge { .. }), "{error:?}");
        }
    });
}

#[test]
fn many_transactions_come_in_several_replies_and_look_like_one() {
    let mut random = Random(2);
    let all: Vec<_> = (0..1_000).map(|_| Some(random.transaction(254, 4_096))).collect();
    let (known, calls) = (all.clone(), Rc::new(Cell::new(0)));
    let counter = calls.clone();
    local(async {
        let server = server(
            Script::new(move |command, on_reply| {
                let Command::LookUpTransactions { ids, .. } = command else { panic!("only look-ups") };
                counter.set(counter.get() + 1);
                let transactions = ids.iter().map(|&id| known[id as usize - 1].clone()).collect();
                on_reply(Reply::Transactions { transactions, position: 1 });
            }),
            options(),
        )
        .await;
        let client = connect(&server).await;
        let ids: Vec<u128> = (1..=1_000).collect();
        assert!(client.transactions(&ids).await.unwrap() == all);
        assert!(calls.get() > 1, "one reply cannot hold them all");
    });
}

#[test]
fn many_accounts_with_attributes_come_in_several_replies_and_look_like_one() {
    let mut random = Random(8);
    let all: Vec<_> = (0..8_190)
        .map(|_| Some(AccountRecord { attributes: random.bytes(1_024).into(), ..random.account() }))
        .collect();
    let (known, calls) = (all.clone(), Rc::new(Cell::new(0)));
    let counter = calls.clone();
    local(async {
        let script = Script::new(move |command, on_reply| {
            let Command::LookUpAccounts { ids, .. } = command else { panic!("only look-ups") };
            counter.set(counter.get() + 1);
            let accounts = ids.iter().map(|&id| known[id as usize - 1].clone()).collect();
            on_reply(Reply::Accounts { accounts, position: 1 });
        });
        let server = server(script, options()).await;
        let client = connect(&server).await;
        let ids: Vec<u128> = (1..=8_190).collect();
        assert!(client.accounts(&ids).await.unwrap() == all);
        assert_eq!(calls.get(), 2, "1,264 bytes each");
    });
}

#[test]
fn the_largest_statement_and_the_largest_list_fit_one_reply() {
    let page = Random(3).page(1_000, 4_096);
    let account = Random(4).account();
    let (page2, account2) = (page.clone(), account.clone());
    local(async {
        let server = server(
            Script::new(move |command, on_reply| match command {
                Command::Statement { .. } => on_reply(Reply::Statement(Some(Box::new(page2.clone())))),
                _ => on_reply(Reply::Accounts { accounts: vec![Some(account2.clone()); 8_190], position: 1 }),
            }),
            options(),
        )
        .await;
        let client = connect(&server).await;
        assert!(client.statement(1, None, 1_000).await.unwrap() == Some(page));
        assert!(client.accounts(&[1; 8_190]).await.unwrap() == vec![Some(account); 8_190]);
    });
}
