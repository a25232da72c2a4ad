//! Assets in replies, one row each.

use florin_core::asset::Asset;
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::rows::AssetRow;
use super::{ReplyError, finish, put_text, take_rows, take_text};

/// Appends the payload. The header's count is the number of assets.
pub fn encode(assets: &[Asset], out: &mut Vec<u8>) {
    for asset in assets {
        let (code, code_length) = put_text(&asset.code);
        let row = AssetRow { number: U32::new(asset.number), scale: asset.scale, code_length, reserved: [0; 2], code };
        out.extend_from_slice(row.as_bytes());
    }
}

/// Reads a payload.
pub fn decode(count: u32, mut payload: &[u8]) -> Result<Vec<Asset>, ReplyError> {
    let rows: &[AssetRow] = take_rows(&mut payload, count as usize, "assets")?;
    finish(payload, "assets")?;
    let asset = |row: &AssetRow| {
        let code = take_text(&row.code, row.code_length, "code")?.to_owned();
        Ok(Asset { number: row.number.get(), code, scale: row.scale })
    };
    rows.iter().map(asset).collect()
}
