//! The rows of requests, laid out where they leave from.

use florin_core::request::{ItemKind, ItemRow, PostingRow, Side, TransferRow};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U128};

use crate::ground::Ground;
use crate::ids::Ids;
use crate::pool::{Leg, Pool};

/// Business code of all that a bench posts.
const CODE: u16 = 1;

/// A transaction of a request: its id, and its number in the pool.
pub type Row = (u128, u32);

/// Transfers, or holds of them.
pub fn transfers(out: &mut Vec<u8>, rows: &[Row], hold: bool, pool: &Pool, ground: &Ground) {
    out.reserve(rows.len() * size_of::<TransferRow>());
    let kind = if hold { ItemKind::Hold } else { ItemKind::Post };
    for &(id, transaction) in rows {
        let legs = pool.legs(transaction);
        let row = TransferRow {
            id: U128::new(id),
            debit: U128::new(ground.accounts.id(legs[0].account)),
            credit: U128::new(ground.accounts.id(legs[1].account)),
            amount: U128::new(u128::from(legs[1].amount.unsigned_abs())),
            reference: U128::new(0),
            asset: U32::new(ground.asset),
            code: U16::new(CODE),
            flags: U16::new(0),
            value_date: U16::new(0),
            voucher_length: U16::new(0),
            kind: kind as u8,
            reserved_a: [0; 3],
            timeout: U32::new(0),
            link: U128::new(0),
            reserved: [0; 12],
        };
        out.extend_from_slice(row.as_bytes());
    }
}

/// Journals: all items, then all postings.
pub fn journals(out: &mut Vec<u8>, rows: &[Row], pool: &Pool, ground: &Ground) {
    for &(id, transaction) in rows {
        let item = item_row(id, ItemKind::Post, 0, pool.legs(transaction).len());
        out.extend_from_slice(item.as_bytes());
    }
    for &(_, transaction) in rows {
        for leg in pool.legs(transaction) {
            out.extend_from_slice(posting_row(leg, ground).as_bytes());
        }
    }
}

/// Captures of all that is left of the holds with the ids `holds`.
pub fn captures(out: &mut Vec<u8>, rows: &[Row], holds: Ids) {
    for (row, &(id, _)) in rows.iter().enumerate() {
        out.extend_from_slice(item_row(id, ItemKind::Capture, holds.at(row), 0).as_bytes());
    }
}

fn item_row(id: u128, kind: ItemKind, link: u128, postings: usize) -> ItemRow {
    ItemRow {
        id: U128::new(id),
        reference: U128::new(0),
        code: U16::new(CODE),
        flags: U16::new(0),
        value_date: U16::new(0),
        voucher_length: U16::new(0),
        posting_count: U16::new(postings as u16),
        kind: kind as u8,
        reserved: 0,
        timeout: U32::new(0),
        link: U128::new(link),
    }
}

fn posting_row(leg: &Leg, ground: &Ground) -> PostingRow {
    PostingRow {
        account: U128::new(ground.accounts.id(leg.account)),
        amount: U128::new(u128::from(leg.amount.unsigned_abs())),
        asset: U32::new(ground.asset),
        side: if leg.amount < 0 { Side::Debit } else { Side::Credit } as u8,
        index: 0,
        reserved: [0; 10],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::Books;
    use crate::ids::{IdOrder, IdSource};
    use crate::workload::{Random, Shape, WORKLOADS, Workload};
    use bytes::Bytes;
    use florin_core::request::{PostForm, PostRequest};
    use rand::SeedableRng;

    #[test]
    fn rows_of_every_workload_are_well_formed() {
        for shape in WORKLOADS.iter().map(|workload| workload.shape) {
            let batch = shape.batch_max();
            let workload = Workload { shape, repeats_percent: 0, reads_percent: 0, ids: IdOrder::Random, batch };
            let ground = Ground::for_test(50, shape);
            let mut pool = Pool::build(&workload, &ground, &Books::for_test(52), &mut Random::seed_from_u64(1));
            let (first, ids) = (pool.next_request(), IdSource::new(IdOrder::Random, 1, 2).take(batch));
            let rows: Vec<Row> = (0..batch).map(|row| (ids.at(row), first + row as u32)).collect();
            let mut payload = Vec::new();
            match shape.form() {
                PostForm::Transfers => transfers(&mut payload, &rows, shape == Shape::Holds, &pool, &ground),
                PostForm::Items => journals(&mut payload, &rows, &pool, &ground),
            }
            check(shape.form(), &rows, payload);
            let mut payload = Vec::new();
            captures(&mut payload, &rows, ids);
            check(PostForm::Items, &rows, payload);
        }
    }

    fn check(form: PostForm, rows: &[Row], payload: Vec<u8>) {
        let request = PostRequest::parse(1, 0, form, rows.len() as u32, Bytes::from(payload)).expect("a request");
        for (index, row) in rows.iter().enumerate() {
            let item = request.item(index);
            assert_eq!(item.id, row.0);
            assert_eq!(request.check_shape(index, &item), Ok(()));
        }
    }
}
