//! Damage to `ledger.json`. It has no checksum: what of it still reads as a manifest is judged by what it says. An id or a
//! size that is not the log's is refused by the log; when the ledger was made is believed.

use florin_wal::LedgerManifest;
use serde_json::Value;

use super::case::Case;
use super::tally::Tally;
use crate::disk::{Place, Recorder};
use crate::rng::Rng;

/// Damages the manifest and judges it.
pub fn damaged(place: &Place, case: &Case, what: &str, rng: &mut Rng, tally: &mut Tally) {
    let file = place.data().join("ledger.json");
    let whole = std::fs::read(&file).expect("the manifest of the ledger");
    let mut text = whole.clone();
    let how = change(&mut text, rng);
    if text == whole {
        tally.skipped += 1;
        return;
    }
    std::fs::write(&file, &text).expect("a folder of our own");
    let loaded = LedgerManifest::load(&place.data());
    std::fs::write(&file, &whole).expect("a folder of our own");
    let what = format!("{what}, {}, {how}: {}", case.what, String::from_utf8_lossy(&text));
    let verdicts = tally.kinds.entry("damage ledger.json").or_default();
    let said = said(&text);
    let Ok(manifest) = loaded else {
        assert!(said.is_none(), "{what}: reads as {said:?}, and is refused: {}", loaded.expect_err("refused"));
        verdicts.refused += 1;
        return;
    };
    let said = said.unwrap_or_else(|| panic!("{what}: taken for {manifest:?}"));
    let disk = Recorder::of(case.image.clone(), case.mode);
    let (recovered, seen) = place.recover_as(manifest, &disk, &case.history);
    let is_ours = said == self::said(&whole).expect("a whole manifest");
    assert_eq!(recovered.is_ok(), is_ours, "{what}");
    match recovered {
        Ok(_) => {
            assert!(seen.wrong.is_none() && seen.frames >= case.acknowledged, "{what}: all that was acknowledged");
            verdicts.fine += 1;
        }
        Err(_) => verdicts.refused += 1,
    }
}

fn change(text: &mut Vec<u8>, rng: &mut Rng) -> &'static str {
    let at = rng.below(text.len());
    match rng.below(8) {
        0..3 => {
            text[at] ^= 1 << rng.below(8);
            "a bit flipped"
        }
        3..5 => {
            let digits: Vec<usize> = (0..text.len()).filter(|&at| text[at].is_ascii_hexdigit()).collect();
            text[rng.pick(&digits)] = rng.pick(b"0123456789abcdef");
            "a digit changed"
        }
        5 => {
            text.truncate(at);
            "cut"
        }
        6 => {
            let end = (at + 1 + rng.below(16)).min(text.len());
            text[at..end].fill(rng.pick(&[0, b' ', b'1', 0xff]));
            "overwritten"
        }
        _ => {
            let part: Vec<u8> = text[at..(at + 1 + rng.below(20)).min(text.len())].to_vec();
            text.splice(at..at, part);
            "a part twice"
        }
    }
}

/// Id and segment size, if the text is a manifest of this format.
fn said(text: &[u8]) -> Option<(String, u64)> {
    let Value::Object(members) = serde_json::from_slice(text).ok()? else { return None };
    let number = |name: &str| members.get(name)?.as_u64();
    let id = members.get("ledger")?.as_str()?.to_ascii_lowercase();
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let segment_bytes = number("segment_bytes")?;
    let is_size = (64 << 10..=256 << 20).contains(&segment_bytes) && segment_bytes % 4096 == 0;
    let is_format = number("format")? == 1 && number("created_unix_ns").is_some();
    // A member that is there twice is one member here.
    let once = |name: &str| text.windows(name.len()).filter(|part| *part == name.as_bytes()).count() == 1;
    let names = ["\"ledger\"", "\"format\"", "\"segment_bytes\"", "\"created_unix_ns\""];
    (members.len() == 4 && names.iter().all(|name| once(name)) && is_id && is_size && is_format)
        .then_some((id, segment_bytes))
}
