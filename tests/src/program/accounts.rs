//! Who plays in a program: institutions, assets and accounts with their limits.

use crate::model::item::{Control, Heave, Opening};
use crate::model::{AMOUNT_MAX, BALANCE_MAX};
use crate::rng::Rng;

/// An asset of a program.
#[derive(Clone, Debug)]
pub struct KnownAsset {
    /// Number.
    pub number: u32,
    /// Code.
    pub code: &'static str,
    /// Decimal places.
    pub scale: u8,
    /// Not registered at the beginning.
    pub late: bool,
}

impl KnownAsset {
    /// The record that registers it.
    pub fn control(&self, id: u128) -> Control {
        Control::asset(id, self.number, self.code, self.scale)
    }
}

/// An account of a program.
#[derive(Clone, Debug)]
pub struct KnownAccount {
    /// How it is opened.
    pub opening: Opening,
    /// Not opened at the beginning.
    pub late: bool,
}

/// How large amounts and limits are.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Amounts of postings.
    pub amounts: &'static [u128],
    /// Floors of accounts.
    pub floors: &'static [Option<i128>],
    /// Ceilings of accounts.
    pub ceilings: &'static [Option<i128>],
}

const SMALL: Measure = Measure {
    amounts: &[1, 1, 10, 40, 90],
    floors: &[Some(0), Some(0), Some(0), Some(-50), Some(-200), Some(60), None],
    ceilings: &[None, None, None, None, Some(0), Some(100), Some(200), Some(-30)],
};
const LAST_COINS: Measure = Measure {
    amounts: &[1, 2, 3],
    floors: &[Some(0), Some(0), Some(-1), Some(-5), Some(2)],
    ceilings: &[None, Some(0), Some(3), Some(6), Some(-2)],
};
const PLENTY: Measure =
    Measure { amounts: &[1, 99, 10_000, 1_234_567], floors: &[None, Some(-100_000_000), Some(0)], ceilings: &[None] };
const MAX: i128 = AMOUNT_MAX as i128;
const HUGE: Measure = Measure {
    amounts: &[1, AMOUNT_MAX, AMOUNT_MAX, AMOUNT_MAX - 1, AMOUNT_MAX / 2],
    floors: &[Some(0), Some(-MAX), Some(-2 * MAX), Some(MAX), Some(-BALANCE_MAX), None],
    ceilings: &[None, Some(BALANCE_MAX), Some(MAX), Some(3 * MAX - 1), Some(-MAX)],
};

/// The cast of a program.
#[derive(Clone, Debug)]
pub struct Cast {
    /// Tenants, the house first; they use the same account numbers.
    pub institutions: Vec<u32>,
    /// The last of them is not registered at the beginning.
    pub last_is_late: bool,
    /// Assets.
    pub assets: Vec<KnownAsset>,
    /// Accounts. The first of each asset has no limits, so that money can come from somewhere.
    pub accounts: Vec<KnownAccount>,
    /// Amounts and limits.
    pub measure: Measure,
    /// Of a hundred postings, how many go to the first few accounts.
    pub hot_percent: usize,
}

impl Cast {
    /// A random cast.
    pub fn random(rng: &mut Rng) -> Cast {
        let institutions = rng.pick::<&[u32]>(&[&[1], &[1], &[1, 2], &[1, 7, u32::MAX]]).to_vec();
        let last_is_late = institutions.len() > 1 && rng.chance(20);
        let codes = ["CZK", "EUR", "BTC"];
        let assets: Vec<KnownAsset> = (0..rng.pick(&[1, 1, 2, 3]))
            .map(|i| KnownAsset {
                number: [203, 978, 7][i],
                code: codes[i],
                scale: [2, 2, 8][i],
                late: i > 0 && rng.chance(15),
            })
            .collect();
        let measure = rng.pick(&[SMALL, SMALL, LAST_COINS, LAST_COINS, PLENTY, HUGE]);
        let small_numbers = rng.chance(30);
        let mut accounts = vec![];
        for i in 0..rng.pick(&[2, 4, 8, 20]) {
            let mut number = if small_numbers { i as u128 + 1 } else { rng.next_u128() | 1 };
            // Bytes that decide a program may say the same number twice; a seed never does.
            while accounts.iter().any(|known: &KnownAccount| known.opening.account == number) {
                number = number.wrapping_add(2);
            }
            let asset = assets[if i < assets.len() { i } else { rng.below(assets.len()) }].number;
            let opening = opening(rng, &measure, number, asset, i < assets.len());
            let late = i > 0 && rng.chance(10);
            accounts.push(KnownAccount { opening, late });
        }
        Cast { institutions, last_is_late, assets, accounts, measure, hot_percent: rng.pick(&[0, 30, 80]) }
    }

    /// A tenant, mostly the house, now and then one that does not exist.
    pub fn institution(&self, rng: &mut Rng) -> u32 {
        match rng.below(100) {
            0 => rng.pick(&[0, 99, u32::MAX]),
            1..=40 => rng.pick(&self.institutions),
            _ => self.institutions[0],
        }
    }

    /// Tenants that are there from the beginning.
    pub fn early_institutions(&self) -> &[u32] {
        &self.institutions[..self.institutions.len() - usize::from(self.last_is_late)]
    }

    /// Two accounts brought to the edge of the range, if amounts are large enough to cross it.
    pub fn heave(&self, rng: &mut Rng) -> Option<Heave> {
        if self.measure.amounts != HUGE.amounts || rng.chance(30) {
            return None;
        }
        let debit = self.accounts.iter().filter(|a| !a.late).nth(rng.below(self.accounts.len()))?;
        let fits = |a: &&KnownAccount| {
            !a.late && a.opening.asset == debit.opening.asset && a.opening.account != debit.opening.account
        };
        let others: Vec<&KnownAccount> = self.accounts.iter().filter(fits).collect();
        let credit = others.get(rng.below(others.len().max(1)))?;
        let amount = (BALANCE_MAX - rng.pick(&[0, 1, MAX, 3 * MAX])) as u128;
        Some(Heave { debit: debit.opening.account, credit: credit.opening.account, amount })
    }

    /// An account for a posting in this asset, or any account if it has none.
    pub fn account(&self, rng: &mut Rng, asset: u32) -> u128 {
        let fitting: Vec<u128> =
            self.accounts.iter().filter(|a| a.opening.asset == asset).map(|a| a.opening.account).collect();
        if fitting.is_empty() || rng.chance(1) {
            return self.accounts[rng.below(self.accounts.len())].opening.account;
        }
        let hot = fitting.len().min(2);
        if rng.chance(self.hot_percent) { fitting[rng.below(hot)] } else { rng.pick(&fitting) }
    }

    /// Some account numbers, among them one that does not exist.
    pub fn some_numbers(&self, rng: &mut Rng) -> Vec<u128> {
        let mut numbers: Vec<u128> = self.accounts.iter().map(|a| a.opening.account).collect();
        numbers.push(rng.next_u128() | 1);
        numbers
    }

    /// An opening of an account that may exist already, perhaps with a field changed or malformed.
    pub fn opening_again(&self, rng: &mut Rng) -> Opening {
        let late: Vec<&KnownAccount> = self.accounts.iter().filter(|a| a.late).collect();
        let known = if !late.is_empty() && rng.chance(50) {
            late[rng.below(late.len())]
        } else {
            &self.accounts[rng.below(self.accounts.len())]
        };
        let mut o = known.opening.clone();
        if rng.chance(20) {
            o.account = rng.next_u128() | 1;
        }
        for _ in 0..rng.pick(&[0, 0, 1, 1, 2]) {
            change(rng, &mut o);
        }
        o
    }
}

fn opening(rng: &mut Rng, measure: &Measure, number: u128, asset: u32, unlimited: bool) -> Opening {
    let mut o = Opening::new(number, asset, rng.below(2) as u8);
    o.category = rng.below(3) as u8;
    if rng.chance(30) {
        o = o.with_label(rng.pick(&["salary", "účet č. 7", "Q"])).with_alarm(rng.pick(&[0, 100, -100]));
        o.owner = rng.next_u128();
        o.subject = rng.word() as u32;
    }
    if unlimited {
        return o;
    }
    let (floor, ceiling) = (rng.pick(measure.floors), rng.pick(measure.ceilings));
    match (floor, ceiling) {
        (Some(f), Some(c)) if f > c => o.with_floor(f),
        (Some(f), Some(c)) => o.with_floor(f).with_ceiling(c),
        (Some(f), None) => o.with_floor(f),
        (None, Some(c)) => o.with_ceiling(c),
        (None, None) => o,
    }
}

/// Changes one field, to another good value or to a malformed one.
fn change(rng: &mut Rng, o: &mut Opening) {
    match rng.below(20) {
        0 => o.asset = rng.pick(&[203, 978, 7, 99, 0]),
        1 => o.owner ^= 1 << rng.below(128),
        2 => o.subject ^= 1 << rng.below(32),
        3 => o.normal_side ^= 1,
        4 => o.category = (o.category + 1) % 3,
        5 => *o = o.clone().with_floor(o.floor ^ 1),
        6 => *o = o.clone().with_ceiling(o.ceiling ^ 1),
        7 => *o = o.clone().with_alarm(o.alarm ^ 1),
        8 => *o = o.clone().with_label("another"),
        9 => o.limit_flags &= !1,
        10 => o.account = 0,
        11 => o.normal_side = 2,
        12 => o.reserved = 1,
        13 => o.limit_flags |= 8,
        14 => o.alarm = 5,
        15 => *o = o.clone().with_floor(10).with_ceiling(9),
        16 => {
            *o = o.clone().with_alarm(rng.pick(&[BALANCE_MAX, BALANCE_MAX + 1, -BALANCE_MAX - 1, i128::MIN, i128::MAX]))
        }
        17 => o.label_length = rng.pick(&[1, 64, 65, 255]),
        18 => (o.label, o.label_length) = (vec![0xff, 0xfe], 2),
        _ => o.category = 3,
    }
}
