//! Institutions in replies, one row each.

use florin_core::institution::Institution;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use super::rows::InstitutionRow;
use super::{ReplyError, finish, put_text, take_rows, take_text};

/// Appends the payload. The header's count is the number of institutions.
pub fn encode(institutions: &[(u32, Institution)], out: &mut Vec<u8>) {
    for (number, institution) in institutions {
        let (name, name_length) = put_text(&institution.name);
        let (number, open_day) = (U32::new(*number), U16::new(institution.open_day));
        let row = InstitutionRow { number, open_day, name_length, reserved: 0, name };
        out.extend_from_slice(row.as_bytes());
    }
}

/// Reads a payload.
pub fn decode(count: u32, mut payload: &[u8]) -> Result<Vec<(u32, Institution)>, ReplyError> {
    let rows: &[InstitutionRow] = take_rows(&mut payload, count as usize, "institutions")?;
    finish(payload, "institutions")?;
    let institution = |row: &InstitutionRow| {
        let name = take_text(&row.name, row.name_length, "name")?.to_owned();
        Ok((row.number.get(), Institution { name, open_day: row.open_day.get() }))
    };
    rows.iter().map(institution).collect()
}
