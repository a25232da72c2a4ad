//! The worst case for votes in doubt: two accounts on two shards pass their last coin back and forth.

use std::collections::VecDeque;
use std::sync::Arc;

use florin_core::account::AccountKey;
use florin_core::coordinator::{Answer, Command, Coordinator, Request, RoundLimits};
use florin_core::shard::Shard;
use florin_tests::encode;
use florin_tests::model::item::{CREDIT, Control, DEBIT, Item, Opening};
use florin_tests::model::number::POSTED;
use florin_tests::model::{Entry, Model};

const COINS: usize = 8_190;
const ASSET: u32 = 203;

/// Two shards driven in the simplest order, counting exchanges.
struct Pair {
    coordinator: Coordinator,
    shards: [Shard; 2],
    answers: VecDeque<Answer>,
    prepares: usize,
    finishes: usize,
}

impl Pair {
    fn ask(&mut self, ticket: u64, request: Request) -> Answer {
        self.coordinator.submit(ticket, request);
        while self.coordinator.close_round(1, Ok(())) {
            while let Some(command) = self.coordinator.next_command() {
                self.obey(command);
            }
        }
        self.answers.pop_front().expect("an answer")
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Prepare(round) => {
                self.prepares += 1;
                for shard in &mut self.shards {
                    self.coordinator.on_ballot(shard.prepare(round.clone()));
                }
            }
            Command::Finish { round, decisions } => {
                self.finishes += 1;
                for shard in &mut self.shards {
                    self.coordinator.on_finished(shard.finish(round, &decisions));
                }
            }
            Command::PrepareOpening(opening) => {
                for shard in &mut self.shards {
                    self.coordinator.on_opening_ballot(shard.index(), shard.prepare_opening(&opening));
                }
            }
            Command::FinishOpening { opening, sequences, times } => {
                self.shards.iter_mut().for_each(|shard| shard.finish_opening(&opening, &sequences, &times));
            }
            Command::Pass(number) => self.shards.iter_mut().for_each(|shard| shard.pass(number)),
            Command::Answer(answer) => self.answers.push_back(answer),
            Command::Frame(_) => {}
            Command::Run(_) => unreachable!("there are two shards"),
            Command::Read { .. } | Command::Change(_) | Command::Fetch { .. } => {
                unreachable!("nobody reads, changes accounts or reverses")
            }
        }
    }
}

/// An account on the given one of two shards.
fn account_on(shard: u8) -> u128 {
    (1..).find(|account| AccountKey { institution: 1, account: *account }.home(2) == shard).expect("some account")
}

#[test]
fn a_last_coin_passed_back_and_forth_8190_times_in_one_request_is_exact_in_one_round_with_one_exchange() {
    let (alice, bob, mint) = (account_on(0), account_on(1), 1 << 100);
    // As when much waits: the whole request in one round.
    let limits = RoundLimits { transactions_few: COINS, ..RoundLimits::default() };
    let mut pair = Pair {
        coordinator: Coordinator::new(2, limits, 1),
        shards: [Shard::new(0, 2, 1), Shard::new(1, 2, 1)],
        answers: VecDeque::new(),
        prepares: 0,
        finishes: 0,
    };
    let mut model = Model::new();
    let control = Control::asset(1 << 90, ASSET, "CZK", 2);
    let openings = [
        Opening::new(alice, ASSET, CREDIT).with_floor(0),
        Opening::new(bob, ASSET, CREDIT).with_floor(0),
        Opening::new(mint, ASSET, DEBIT),
    ];
    let coin = [Item::transfer(1 << 91, mint, alice, ASSET, 1)];
    pair.ask(1, Request::Control(encode::control_request(1, &control)));
    pair.ask(2, Request::Open(encode::open_request(1, &openings)));
    pair.ask(3, post(&coin));
    model.control(1, &control);
    openings.iter().for_each(|opening| assert_eq!(model.open(1, opening).outcome, POSTED));
    assert_eq!(model.run(1, &coin[0]).0.outcome, POSTED);

    let passes: Vec<Item> = (0..COINS)
        .map(|i| {
            let (from, to) = if i % 2 == 0 { (alice, bob) } else { (bob, alice) };
            Item::transfer(i as u128 + 1, from, to, ASSET, 1)
        })
        .collect();
    let before = pair.coordinator.counters();
    (pair.prepares, pair.finishes) = (0, 0);
    let answer = pair.ask(4, post(&passes));
    let after = pair.coordinator.counters();

    assert_eq!(after.rounds - before.rounds, 1, "one round");
    assert_eq!((pair.prepares, pair.finishes), (1, 1), "one exchange");
    assert!(answer.reply.all_posted());
    assert_eq!(answer.reply.count(), COINS);
    let expected: Vec<Entry> = passes.iter().flat_map(|pass| model.run(1, pass).1).collect();
    assert_eq!(answer.reply.postings.len(), expected.len());
    for (got, expected) in answer.reply.postings.iter().zip(&expected) {
        assert_eq!((got.version, got.balance.into()), (expected.version, expected.balance.clone()));
    }
    for (account, versions) in [(alice, COINS as u64 + 1), (bob, COINS as u64)] {
        let key = AccountKey { institution: 1, account };
        let record = pair.shards[usize::from(key.home(2))].look_up(&key).expect("an open account");
        assert_eq!(record.version, versions);
        assert_eq!(record.posted, if account == alice { 1 } else { 0 });
    }
    assert_eq!(after.votes - before.votes, 2 * COINS as u64);
    let maybes = after.votes_maybe - before.votes_maybe;
    assert!(maybes > 0, "the coin was never in doubt: this proves nothing");
    println!("{COINS} passes of the last coin in one round: {} votes, {maybes} in doubt", 2 * COINS);
}

fn post(items: &[Item]) -> Request {
    Request::Post { request: Arc::new(encode::post_request(1, true, items)), want_postings: true }
}
