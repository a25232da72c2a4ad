//! A marketplace's day: its accounts and some 200,000 payments, fees, refunds and payouts, the same every time.
//!
//! Pure. Money is made nowhere: what a merchant gets has come through card clearing, from the bank, or from a buyer.

use florin_core::asset::Asset;
use florin_core::request::Side;
use florin_net::{NewAccount, Transaction};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::ids::account_of_name;

/// Accounts of buyers.
pub const BUYERS: usize = 2_000;
/// Accounts of merchants.
pub const MERCHANTS: usize = 200;
/// The merchant whose statement is shown: small enough to be read.
pub const SHOWN_MERCHANT: usize = 150;
/// Payouts to all merchants and a settlement of the cards are made after this many other transactions.
const PAYOUT_EVERY: usize = 10_000;
/// Sales that may be refunded.
const REFUNDABLE_MAX: usize = 5_000;
/// The day is the same every time.
const SEED: u64 = 1494;

const PERSONAL: u8 = 0;
const ENTERPRISE: u8 = 1;
const PLATFORM: u8 = 2;

/// A kind of account, for the totals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// What buyers have in their wallets: owed to them.
    Buyers,
    /// What merchants have earned and not been paid: owed to them.
    Merchants,
    /// What the marketplace has earned.
    Fees,
    /// What the card scheme owes the marketplace.
    CardClearing,
    /// The marketplace's account at its bank.
    Bank,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] = [Kind::Bank, Kind::CardClearing, Kind::Buyers, Kind::Merchants, Kind::Fees];

    /// Its name in a table.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Buyers => "buyers' wallets",
            Kind::Merchants => "merchants",
            Kind::Fees => "fees earned",
            Kind::CardClearing => "card clearing",
            Kind::Bank => "bank",
        }
    }

    /// The side that raises its balance.
    pub fn normal_side(self) -> Side {
        match self {
            Kind::Bank | Kind::CardClearing => Side::Debit,
            Kind::Buyers | Kind::Merchants | Kind::Fees => Side::Credit,
        }
    }

    /// The kind of a label.
    pub fn of_label(label: &str) -> Option<Kind> {
        match label {
            "fees" => Some(Kind::Fees),
            "card-clearing" => Some(Kind::CardClearing),
            "bank" => Some(Kind::Bank),
            _ if label.starts_with("buyer-") => Some(Kind::Buyers),
            _ if label.starts_with("merchant-") => Some(Kind::Merchants),
            _ => None,
        }
    }
}

/// A merchant's name.
pub fn merchant_name(index: usize) -> String {
    format!("merchant-{index:03}")
}

fn buyer_name(index: usize) -> String {
    format!("buyer-{index:04}")
}

/// All accounts to open.
pub fn accounts(asset: &Asset) -> Vec<NewAccount> {
    let account = |name: String, kind: Kind| {
        let category = match kind {
            Kind::Buyers => PERSONAL,
            Kind::Merchants => ENTERPRISE,
            Kind::Fees | Kind::CardClearing | Kind::Bank => PLATFORM,
        };
        NewAccount {
            account: account_of_name(&name),
            asset: asset.number,
            normal_side: kind.normal_side(),
            category,
            subject: 0,
            owner: 0,
            floor: (category != PLATFORM).then_some(0),
            ceiling: None,
            alarm: None,
            label: name,
        }
    };
    let mut all = vec![
        account("bank".to_string(), Kind::Bank),
        account("card-clearing".to_string(), Kind::CardClearing),
        account("fees".to_string(), Kind::Fees),
    ];
    all.extend((0..BUYERS).map(|i| account(buyer_name(i), Kind::Buyers)));
    all.extend((0..MERCHANTS).map(|i| account(merchant_name(i), Kind::Merchants)));
    all
}

/// A sale that may be refunded: merchant, what the buyer paid, order number.
type Sale = (usize, u128, u128);

/// Makes the day. What it believes of balances only makes the amounts sensible; the ledger decides.
struct Maker {
    random: SmallRng,
    asset: u32,
    buyers: Vec<u128>,
    merchants: Vec<u128>,
    wallet: Vec<u128>,
    earned: Vec<u128>,
    on_cards: u128,
    sales: Vec<Sale>,
    id_base: u128,
    made: Vec<Transaction>,
}

/// The day's transactions, about `count` of them. `id_base` has its lower 48 bits free; ids count up from it.
pub fn transactions(count: usize, asset: &Asset, id_base: u128) -> Vec<Transaction> {
    let mut maker = Maker {
        random: SmallRng::seed_from_u64(SEED),
        asset: asset.number,
        buyers: (0..BUYERS).map(|i| account_of_name(&buyer_name(i))).collect(),
        merchants: (0..MERCHANTS).map(|i| account_of_name(&merchant_name(i))).collect(),
        wallet: vec![0; BUYERS],
        earned: vec![0; MERCHANTS],
        on_cards: 0,
        sales: Vec::with_capacity(REFUNDABLE_MAX),
        id_base,
        made: Vec::with_capacity(count + MERCHANTS),
    };
    let mut until_payout = PAYOUT_EVERY;
    while maker.made.len() < count {
        match maker.random.random_range(0..100) {
            0..5 => maker.top_up(),
            5..8 => maker.refund(),
            8..20 => maker.wallet_sale(),
            _ => maker.card_sale(),
        }
        until_payout -= 1;
        if until_payout == 0 {
            maker.payouts();
            until_payout = PAYOUT_EVERY;
        }
    }
    maker.made
}

impl Maker {
    fn push(&mut self, code: u16, reference: u128, voucher: String, postings: &[(Side, u128, u128)]) {
        let mut transaction = Transaction::journal(self.id_base + self.made.len() as u128 + 1)
            .with_code(code)
            .with_reference(reference)
            .with_voucher(voucher);
        for &(side, account, amount) in postings {
            transaction = transaction.with_posting(side, account, self.asset, amount);
        }
        self.made.push(transaction);
    }

    fn order(&self) -> u128 {
        1_000_000 + self.made.len() as u128
    }

    /// Cents: mostly small baskets, a few large ones.
    fn price(&mut self) -> u128 {
        let cents = match self.random.random_range(0..10) {
            0..6 => self.random.random_range(499..4_000),
            6..9 => self.random.random_range(4_000..15_000),
            _ => self.random.random_range(15_000..90_000u32),
        };
        u128::from(cents)
    }

    /// Some merchants sell much more than others.
    fn merchant(&mut self) -> usize {
        let (a, b) = (self.random.random_range(0..MERCHANTS), self.random.random_range(0..MERCHANTS));
        a.min(b)
    }

    fn top_up(&mut self) {
        let buyer = self.random.random_range(0..BUYERS);
        let amount = u128::from(self.random.random_range(2..=30u32)) * 1_000;
        self.wallet[buyer] += amount;
        let postings = [(Side::Debit, account_of_name("bank"), amount), (Side::Credit, self.buyers[buyer], amount)];
        self.push(3, 0, r#"{"kind":"top-up"}"#.to_string(), &postings);
    }

    fn card_sale(&mut self) {
        let price = self.price();
        self.on_cards += price;
        self.sale(1, account_of_name("card-clearing"), price, "card");
    }

    fn wallet_sale(&mut self) {
        let (buyer, price) = (self.random.random_range(0..BUYERS), self.price());
        if self.wallet[buyer] >= price {
            self.wallet[buyer] -= price;
            self.sale(2, self.buyers[buyer], price, "wallet");
        } else if self.random.random_range(0..4) == 0 {
            // Some try anyway, and are declined.
            let (payer, order, merchant) = (self.buyers[buyer], self.order(), self.merchant());
            let fee = fee(price);
            let postings = [
                (Side::Debit, payer, price),
                (Side::Credit, self.merchants[merchant], price - fee),
                (Side::Credit, account_of_name("fees"), fee),
            ];
            self.push(2, order, format!(r#"{{"order":"{order}","pay":"wallet"}}"#), &postings);
        } else {
            self.card_sale();
        }
    }

    fn sale(&mut self, code: u16, payer: u128, price: u128, how: &str) {
        let (order, merchant, fee) = (self.order(), self.merchant(), fee(price));
        self.earned[merchant] += price - fee;
        if self.sales.len() < REFUNDABLE_MAX {
            self.sales.push((merchant, price, order));
        }
        let postings = [
            (Side::Debit, payer, price),
            (Side::Credit, self.merchants[merchant], price - fee),
            (Side::Credit, account_of_name("fees"), fee),
        ];
        self.push(code, order, format!(r#"{{"order":"{order}","pay":"{how}"}}"#), &postings);
    }

    fn refund(&mut self) {
        if self.sales.is_empty() {
            return self.card_sale();
        }
        let (merchant, price, order) = self.sales.swap_remove(self.random.random_range(0..self.sales.len()));
        self.earned[merchant] = self.earned[merchant].saturating_sub(price);
        self.on_cards = self.on_cards.saturating_sub(price);
        let postings =
            [(Side::Debit, self.merchants[merchant], price), (Side::Credit, account_of_name("card-clearing"), price)];
        self.push(4, order, format!(r#"{{"refund of order":"{order}"}}"#), &postings);
    }

    fn payouts(&mut self) {
        let settled = self.on_cards * 9 / 10;
        self.on_cards -= settled;
        let (bank, cards) = (account_of_name("bank"), account_of_name("card-clearing"));
        self.push(
            6,
            0,
            r#"{"kind":"card settlement"}"#.to_string(),
            &[(Side::Debit, bank, settled), (Side::Credit, cards, settled)],
        );
        for merchant in 0..MERCHANTS {
            // Not all of it: refunds come later.
            let amount = self.earned[merchant] * 7 / 10;
            if amount > 0 {
                self.earned[merchant] -= amount;
                let postings = [(Side::Debit, self.merchants[merchant], amount), (Side::Credit, bank, amount)];
                self.push(5, 0, r#"{"kind":"payout"}"#.to_string(), &postings);
            }
        }
    }
}

/// 2.9 % and 25 cents.
fn fee(price: u128) -> u128 {
    price * 29 / 1_000 + 25
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_day_is_balanced_has_unique_ids_and_is_the_same_every_time() {
        let eur = Asset { number: 978, code: "EUR".to_string(), scale: 2 };
        let known: HashSet<u128> = accounts(&eur).iter().map(|a| a.account).collect();
        assert_eq!(known.len(), BUYERS + MERCHANTS + 3);
        let day = transactions(30_000, &eur, 1 << 64);
        assert!(day.len() >= 30_000);
        let mut ids = HashSet::new();
        for transaction in &day {
            assert!(ids.insert(transaction.id));
            let sum = |side| transaction.postings.iter().filter(|p| p.side == side).map(|p| p.amount).sum::<u128>();
            assert_eq!(sum(Side::Debit), sum(Side::Credit));
            assert!(transaction.postings.iter().all(|p| p.amount > 0 && known.contains(&p.account)));
        }
        for code in 1..=6 {
            assert!(day.iter().any(|t| t.code == code), "code {code}");
        }
        assert_eq!(day, transactions(30_000, &eur, 1 << 64));
    }

    #[test]
    fn every_account_has_its_kind() {
        let eur = Asset { number: 978, code: "EUR".to_string(), scale: 2 };
        for account in accounts(&eur) {
            let kind = Kind::of_label(&account.label).expect("a kind");
            assert_eq!(kind.normal_side(), account.normal_side, "{}", account.label);
        }
    }
}
