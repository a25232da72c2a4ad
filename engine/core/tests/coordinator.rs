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

/// A coordinator whose ids are in a run and, with blocks of one id, leave memory at the next round, but for the last.
fn with_ids_in_a_run(ids: &[u128]) -> (Coordinator, Shard) {
    const SEED: u64 = 5;
    let mut coordinator = Coordinator::new(1, RoundLimits::default(), SEED);
    coordinator.set_id_block_bits(0);
    let mut shard = Shard::new(0, 1, SEED);
    coordinator.submit(1, request(ids));
    assert!(coordinator.close_round(1_000, Ok(())));
    let Some(Command::Run(round)) = coordinator.next_command() else { panic!("a round to run") };
    let (decisions, results) = shard.run(&round);
    coordinator.on_ran(round.number, decisions, results);
    let Some(Command::Frame(draft)) = coordinator.next_command() else { panic!("a frame to append") };
    assert!(matches!(coordinator.next_command(), Some(Command::Answer(_))));
    let (mut payload, mut vouchers) = (Vec::new(), Vec::new());
    draft.encode(&mut payload, &mut vouchers);
    let mut run = RunDraft::after(0, SEED);
    run.frame(&FrameView::new(draft.head(), &payload, &vouchers).expect("a frame")).expect("good rows");
    let (summary, entries) = run.finish();
    let mut filter = Filter::for_ids(entries.len() as u64);
    entries.iter().for_each(|entry| filter.add(entry.hash));
    coordinator.adopt_runs(vec![Arc::new(Run { summary, filter })]);
    (coordinator, shard)
}

fn post_of(ids: &[u128]) -> Arc<PostRequest> {
    let Request::Post { request, .. } = request(ids) else { unreachable!("transfers") };
    request
}

/// What a look-up finds: the row that used an id.
fn found(id: u128, sequence: u64) -> (u128, Option<OldId>) {
    (id, Some(OldId { sequence, closed: None }))
}

/// Found by the simulator: what memory knew when a request came was not asked of runs, and had left memory when its turn came, so that
/// a repeat was taken for new.
#[test]
fn an_id_that_leaves_memory_between_the_arrival_and_the_turn_of_its_request_is_looked_up() {
    let (mut coordinator, mut shard) = with_ids_in_a_run(&[1, 2, 3, 4, 5]);
    let again = post_of(&[1, 6]);
    let (wanted, looked_at) = coordinator.wanted_by(&again);
    assert!(wanted.is_empty() && looked_at == Some(Vec::new()), "memory still knows it");
    assert_eq!(coordinator.find_id(1, 1), Some(1));
    let facts = Facts { state: wanted.state, looked_at, ..Facts::default() };
    coordinator.submit_with(2, Request::Post { request: again, want_postings: false }, facts);
    assert!(coordinator.close_round(2_000, Ok(())));
    assert_eq!(coordinator.find_id(1, 1), None, "it has left memory");
    let Some(Command::Fetch { ticket: 2, wanted }) = coordinator.next_command() else { panic!("something to look up") };
    assert_eq!((wanted.institution, &*wanted.ids), (1, &[1][..]));
    assert!(!coordinator.close_round(2_000, Ok(())), "nothing is sequenced before");
    coordinator.on_facts(2, Facts { old: [found(1, 1)].into(), state: wanted.state, ..Facts::default() });
    let answers = run(&mut coordinator, &mut shard, Ok(()));
    assert_eq!(answers[0].repeats, [Repeat { item: 0, sequence: 1 }]);
    assert_eq!((coordinator.last_sequence(), coordinator.ids()), (6, 6), "the other one is new");
}

#[test]
fn of_ids_that_were_looked_at_on_arrival_those_that_runs_have_are_repeats_and_the_others_new() {
    let old: Vec<u128> = (1..=8).collect();
    let (mut coordinator, mut shard) = with_ids_in_a_run(&old);
    coordinator.submit(2, request(&[100]));
    run(&mut coordinator, &mut shard, Ok(()));
    assert_eq!(coordinator.find_id(1, 1), None, "it has left memory");
    // Among more than are touched at once, at both ends and where the second part begins; one twice, one still in memory.
    let mut ids: Vec<u128> = (1_000..1_150).collect();
    for (at, id) in [(0, 1), (63, 2), (64, 3), (65, 4), (128, 2), (130, 100), (149, 7)] {
        ids[at] = id;
    }
    let again = post_of(&ids);
    let (wanted, looked_at) = coordinator.wanted_by(&again);
    assert_eq!(wanted.ids, [1, 2, 3, 4, 7]);
    assert_eq!(looked_at.as_deref(), Some(&[0, 63, 64, 65, 128, 149][..]));
    let old = [1, 2, 3, 4, 7].map(|id| found(id, id as u64)).into();
    let facts = Facts { old, state: wanted.state, looked_at, ..Facts::default() };
    coordinator.submit_with(3, Request::Post { request: again, want_postings: false }, facts);
    let answers = run(&mut coordinator, &mut shard, Ok(()));
    let repeats: Vec<(u32, u64)> = answers[0].repeats.iter().map(|repeat| (repeat.item, repeat.sequence)).collect();
    assert_eq!(repeats, [(0, 1), (63, 2), (64, 3), (65, 4), (128, 2), (130, 9), (149, 7)]);
    assert_eq!(coordinator.last_sequence(), 9 + 150 - 7, "the others are new");
}
