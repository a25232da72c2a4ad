//! The coordinator alone: what it answers when nothing new may be applied.

use std::sync::Arc;

use bytes::Bytes;
use florin_core::coordinator::{Answer, Command, Coordinator, Repeat, Request, RoundLimits};
use florin_core::dedup::filter::Filter;
use florin_core::dedup::old::Run;
use florin_core::dedup::run::RunDraft;
use florin_core::frame::FrameView;
use florin_core::link::{Facts, OldId};
use florin_core::outcome::Outcome;
use florin_core::request::{PostForm, PostRequest, TransferRow};
use florin_core::shard::Shard;
use zerocopy::IntoBytes;

fn request(ids: &[u128]) -> Request {
    let row = |&id: &u128| TransferRow {
        id: id.into(),
        debit: 1.into(),
        credit: 2.into(),
        amount: 1.into(),
        reference: 0.into(),
        asset: 1.into(),
        code: 0.into(),
        flags: 0.into(),
        value_date: 0.into(),
        voucher_length: 0.into(),
        kind: 0,
        reserved_a: [0; 3],
        timeout: 0.into(),
        link: 0.into(),
        reserved: [0; 12],
    };
    let rows: Vec<TransferRow> = ids.iter().map(row).collect();
    let payload = Bytes::copy_from_slice(rows.as_bytes());
    let request = PostRequest::parse(1, 0, PostForm::Transfers, ids.len() as u32, payload).expect("rows");
    Request::Post { request: Arc::new(request), want_postings: false }
}

/// Closes rounds until nothing waits; gives the answers.
fn run(coordinator: &mut Coordinator, shard: &mut Shard, admit: Result<(), Outcome>) -> Vec<Answer> {
    let mut answers = Vec::new();
    while coordinator.close_round(1_000, admit) {
        while let Some(command) = coordinator.next_command() {
            match command {
                Command::Run(round) => {
                    let (decisions, results) = shard.run(&round);
                    coordinator.on_ran(round.number, decisions, results);
                }
                Command::Answer(answer) => answers.push(answer),
                Command::Frame(_) => {}
                other => panic!("not expected here: {other:?}"),
            }
        }
    }
    answers
}

/// Found in review: a full or stopping ledger refused before it looked at the id, so that a client that asked again about a
/// payment was told that nothing was recorded.
#[test]
fn an_id_that_was_recorded_is_a_repeat_also_while_nothing_new_is_admitted() {
    for admit in [Err(Outcome::StorageFull), Err(Outcome::ShuttingDown)] {
        let mut coordinator = Coordinator::new(1, RoundLimits::default(), 5);
        let mut shard = Shard::new(0, 1, 5);
        coordinator.submit(1, request(&[100]));
        let first = run(&mut coordinator, &mut shard, Ok(()));
        assert_eq!(first[0].reply.items().map(|r| r.outcome).collect::<Vec<_>>(), [Outcome::AssetUnknown]);
        coordinator.submit(2, request(&[101, 100, 102]));
        let answers = run(&mut coordinator, &mut shard, admit);
        let results: Vec<_> = answers[0].reply.items().collect();
        assert_eq!(answers[0].repeats, [Repeat { item: 1, sequence: 1 }]);
        assert_eq!([results[0].outcome, results[2].outcome].map(Err), [admit, admit]);
        assert!(results[1].repeat);
        assert_eq!((coordinator.last_sequence(), coordinator.ids()), (1, 1), "nothing was recorded");
    }
}

#[test]
fn a_request_that_spans_rounds_is_answered_once_with_all_results_in_order() {
    let limits = RoundLimits { transactions: 3, ..RoundLimits::default() };
    let mut coordinator = Coordinator::new(1, limits, 5);
    let mut shard = Shard::new(0, 1, 5);
    coordinator.submit(1, request(&[1, 2]));
    coordinator.submit(2, request(&[3, 0, 4, 1, 5, 6, 7, 8]));
    let answers = run(&mut coordinator, &mut shard, Ok(()));
    assert_eq!(answers.iter().map(|a| (a.ticket, a.after)).collect::<Vec<_>>(), [(1, 1), (2, 3)]);
    let sequences: Vec<u64> = answers[1].reply.items().map(|r| r.sequence).collect();
    assert_eq!(sequences, [3, 0, 4, 1, 5, 6, 7, 8], "id 0 has no row, id 1 is a repeat of row 1");
    assert_eq!(coordinator.counters().rounds, 3);
}

/// A large request alone goes in several rounds, so that one is made while another runs; where much waits, rounds are large. No
/// round is cut so that little is left (found in review: 2,049 items took two syncs, one after the other).
#[test]
fn rounds_are_as_large_as_a_quarter_of_what_waits_and_leave_no_small_rest() {
    let items_of_first_round = |(requests, items): (u64, u128)| {
        let mut coordinator = Coordinator::new(1, RoundLimits::default(), 5);
        for ticket in 1..=requests {
            let ids: Vec<u128> = (1..=items).map(|id| u128::from(ticket) << 64 | id).collect();
            coordinator.submit(ticket, request(&ids));
        }
        assert!(coordinator.close_round(1_000, Ok(())));
        match coordinator.next_command() {
            Some(Command::Run(round)) => round.items.len(),
            other => panic!("not expected here: {other:?}"),
        }
    };
    let alone = [(1, 8_190), (1, 3_072), (1, 3_071), (1, 2_049), (1, 7)].map(items_of_first_round);
    assert_eq!(alone, [2_048, 2_048, 3_071, 2_049, 7]);
    assert_eq!([(2, 8_190), (4, 8_190)].map(items_of_first_round), [4_095, 8_190]);
}

/// Found by the simulator: what memory knew when a request came was not asked of runs, and had left memory when its turn came, so that
/// a repeat was taken for new.
#[test]
fn an_id_that_leaves_memory_between_the_arrival_and_the_turn_of_its_request_is_looked_up() {
    const SEED: u64 = 5;
    let mut coordinator = Coordinator::new(1, RoundLimits::default(), SEED);
    coordinator.set_id_block_bits(0);
    let mut shard = Shard::new(0, 1, SEED);
    coordinator.submit(1, request(&[1, 2, 3, 4, 5]));
    assert!(coordinator.close_round(1_000, Ok(())));
    let Some(Command::Run(round)) = coordinator.next_command() else { panic!("a round to run") };
    let (decisions, results) = shard.run(&round);
    coordinator.on_ran(round.number, decisions, results);
    let Some(Command::Frame(draft)) = coordinator.next_command() else { panic!("a frame to append") };
    assert!(matches!(coordinator.next_command(), Some(Command::Answer(_))));
    let (mut payload, mut vouchers) = (Vec::new(), Vec::new());
    draft.encode(&mut payload, &mut vouchers);
    let mut ids = RunDraft::after(0, SEED);
    ids.frame(&FrameView::new(draft.head(), &payload, &vouchers).expect("a frame")).expect("good rows");
    let (summary, entries) = ids.finish();
    let mut filter = Filter::for_ids(entries.len() as u64);
    entries.iter().for_each(|entry| filter.add(entry.hash));
    coordinator.adopt_runs(vec![Arc::new(Run { summary, filter })]);
    let Request::Post { request: again, .. } = request(&[1, 6]) else { unreachable!("transfers") };
    let (wanted, all) = coordinator.wanted_by(&again);
    assert!(wanted.is_empty() && all && coordinator.find_id(1, 1) == Some(1), "memory still knows it");
    let facts = Facts { state: wanted.state, all, ..Facts::default() };
    coordinator.submit_with(2, Request::Post { request: again, want_postings: false }, facts);
    assert!(coordinator.close_round(2_000, Ok(())));
    assert_eq!(coordinator.find_id(1, 1), None, "it has left memory");
    let Some(Command::Fetch { ticket: 2, wanted }) = coordinator.next_command() else { panic!("something to look up") };
    assert_eq!((wanted.institution, &*wanted.ids), (1, &[1][..]));
    assert!(!coordinator.close_round(2_000, Ok(())), "nothing is sequenced before");
    let old = [(1, Some(OldId { sequence: 1, closed: None }))].into_iter().collect();
    coordinator.on_facts(2, Facts { old, state: wanted.state, ..Facts::default() });
    let answers = run(&mut coordinator, &mut shard, Ok(()));
    assert_eq!(answers[0].repeats, [Repeat { item: 0, sequence: 1 }]);
    assert_eq!((coordinator.last_sequence(), coordinator.ids()), (6, 6), "the other one is new");
}
