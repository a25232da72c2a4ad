//! What has to be there before a run: the asset, the accounts, and the money that some workloads begin with.

use std::collections::VecDeque;
use std::rc::Rc;

use florin_core::account::AccountKey;
use florin_core::asset::Asset;
use florin_core::outcome::Outcome;
use florin_core::request::Side;
use florin_net::{Client, ClientOptions, NewAccount, Transaction};

use crate::books::Books;
use crate::error::BenchError;
use crate::workload::Shape;

/// Ordinary accounts have ids from this number on.
const ACCOUNT_BASE: u128 = 0xb3c4_0000_0000_0000;
/// Accounts with a floor, apart from the ordinary ones.
const SPECIAL_BASE: u128 = 0xb3c5_0000_0000_0000;
/// Accounts opened in one request.
const OPENINGS: u32 = 5_000;
/// Requests under way while accounts are opened.
const OPENING_REQUESTS: usize = 4;
/// `platform`: the ordinary accounts have no floor, so that nothing is refused.
const PLATFORM: u8 = 2;
/// What an account with plenty of money is topped up to, minor units: for 10^10 transfers.
const PLENTY: u64 = 1 << 50;

/// The accounts of a run, by index: the ordinary ones, then those with a floor.
#[derive(Clone, Debug)]
pub struct Accounts {
    ordinary: u32,
    special: Vec<u128>,
}

impl Accounts {
    /// How many.
    pub fn count(&self) -> u32 {
        self.ordinary + self.special.len() as u32
    }

    /// How many of them are ordinary.
    pub fn ordinary(&self) -> u32 {
        self.ordinary
    }

    /// The id of an account by its index.
    pub fn id(&self, index: u32) -> u128 {
        if index < self.ordinary { account_id(index) } else { self.special[(index - self.ordinary) as usize] }
    }
}

/// The id of an ordinary account by its index.
pub fn account_id(index: u32) -> u128 {
    // The multiplication spreads the ids over their range, as ids of real systems are; an odd factor keeps them apart.
    ACCOUNT_BASE << 64 | u128::from((u64::from(index) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A ledger that is ready for runs.
#[derive(Debug)]
pub struct Prepared {
    /// Accounts and asset.
    pub ground: Rc<Ground>,
    /// Balances and versions, as they must be.
    pub books: Books,
}

/// What rows are made of.
#[derive(Debug)]
pub struct Ground {
    /// Number of the asset.
    pub asset: u32,
    /// The accounts.
    pub accounts: Accounts,
    /// Two accounts that meet in workloads of two, on different shards where there are several: their indexes.
    pub pair: (u32, u32),
    institution: u32,
    shards: usize,
}

impl Ground {
    /// The shard of an account.
    pub fn home(&self, index: u32) -> u8 {
        AccountKey { institution: self.institution, account: self.accounts.id(index) }.home(self.shards)
    }

    /// Whether some pair of ordinary accounts is what a shape wants of the shards.
    fn suits(&self, shape: Shape) -> Result<(), BenchError> {
        match shape {
            Shape::TwoShards if self.home(self.pair.0) == self.home(self.pair.1) => Err(BenchError::Refused(
                "no two accounts are on different shards; give the server several shards (--shards 2) and more accounts".into(),
            )),
            Shape::OneShard if self.accounts.ordinary() as usize <= self.shards => Err(BenchError::Refused(
                "there must be more accounts than shards for two to be on one; give --accounts".into(),
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
impl Ground {
    /// Accounts that nobody has opened.
    pub fn for_test(ordinary: u32, shape: Shape) -> Ground {
        let accounts = Accounts { ordinary, special: vec![u128::MAX - 1, u128::MAX] };
        let pair = if shape == Shape::LastCoin { (ordinary, ordinary + 1) } else { (0, 1) };
        Ground { asset: 978, accounts, pair, institution: 1, shards: 2 }
    }
}

/// Registers the asset, opens the accounts of a shape and gives them their money, unless all that is there. `seed` must
/// differ between all calls on a ledger.
pub async fn prepare(
    address: &str,
    accounts: u32,
    shape: Shape,
    asset: &Asset,
    seed: u64,
) -> Result<Prepared, BenchError> {
    let client = Client::connect(address, ClientOptions::default()).await?;
    let asset = register(&client, asset).await?;
    let shards = client.stats().await?.get("shards").and_then(serde_json::Value::as_u64).unwrap_or(1) as usize;
    let home = |account: u128| AccountKey { institution: client.institution(), account }.home(shards);
    // Ids that are tried for the second of two accounts, until it is on another shard than the first.
    let second =
        |id: &dyn Fn(u32) -> u128, most: u32| (1..most).find(|&index| home(id(index)) != home(id(0))).unwrap_or(1);
    let special_id = |index: u32| SPECIAL_BASE << 64 | u128::from(index + 1);
    let special = match shape {
        Shape::HotDebit => vec![special_id(1_000)],
        Shape::HotDebitEmpty => vec![special_id(1_001)],
        Shape::LastCoin => vec![special_id(0), special_id(second(&special_id, 1_000))],
        _ => Vec::new(),
    };
    let pair = match shape {
        Shape::LastCoin => (accounts, accounts + 1),
        _ => (0, second(&account_id, accounts)),
    };
    let accounts = Accounts { ordinary: accounts, special };
    let ground = Ground { asset, accounts, pair, institution: client.institution(), shards };
    ground.suits(shape)?;
    open(&client, asset, ground.accounts.ordinary, &ground.accounts.special).await?;
    fund(&client, shape, asset, &ground.accounts, seed).await?;
    let books = Books::read(&client, &ground.accounts).await?;
    Ok(Prepared { ground: Rc::new(ground), books })
}

async fn register(client: &Client, asset: &Asset) -> Result<u32, BenchError> {
    if let Some(known) = client.assets().await?.into_iter().find(|a| a.code == asset.code) {
        return Ok(known.number);
    }
    let id = u128::from(asset.number) << 64 | 0xb3c4_a55e;
    refuse_unless_posted("the asset", client.register_asset(id, asset).await?.outcome)?;
    Ok(asset.number)
}

async fn open(client: &Client, asset: u32, ordinary: u32, special: &[u128]) -> Result<(), BenchError> {
    let mut under_way = VecDeque::with_capacity(OPENING_REQUESTS);
    for first in (0..ordinary).step_by(OPENINGS as usize) {
        let openings: Vec<NewAccount> = (first..ordinary.min(first.saturating_add(OPENINGS)))
            .map(|index| NewAccount {
                category: PLATFORM,
                floor: None,
                ..NewAccount::new(account_id(index), asset, Side::Credit)
            })
            .collect();
        let client = client.clone();
        under_way.push_back(tokio::spawn(async move { client.open_accounts(&openings).await }));
        if under_way.len() == OPENING_REQUESTS {
            finish_opening(under_way.pop_front()).await?;
        }
    }
    while !under_way.is_empty() {
        finish_opening(under_way.pop_front()).await?;
    }
    if special.is_empty() {
        return Ok(());
    }
    let openings: Vec<NewAccount> = special.iter().map(|&id| NewAccount::new(id, asset, Side::Credit)).collect();
    check_opened(&client.open_accounts(&openings).await?)
}

type Opening = tokio::task::JoinHandle<Result<florin_core::entry::PostReply, florin_net::ClientError>>;

async fn finish_opening(opening: Option<Opening>) -> Result<(), BenchError> {
    let Some(opening) = opening else { return Ok(()) };
    let reply = opening.await.map_err(|e| BenchError::Refused(format!("an opening was lost: {e}")))??;
    check_opened(&reply)
}

fn check_opened(reply: &florin_core::entry::PostReply) -> Result<(), BenchError> {
    reply.runs.iter().try_for_each(|run| refuse_unless_posted("an account", run.first.outcome))
}

/// Gives the accounts with a floor what they begin with, from the first ordinary account.
async fn fund(client: &Client, shape: Shape, asset: u32, accounts: &Accounts, seed: u64) -> Result<(), BenchError> {
    let wanted = match shape {
        Shape::HotDebit => PLENTY,
        Shape::LastCoin => 1,
        _ => return Ok(()),
    };
    let mut there: i128 = 0;
    for account in client.accounts(&accounts.special).await? {
        there += account.map_or(0, |account| account.posted);
    }
    let missing = i128::from(wanted) - there;
    let Some(amount) = u128::try_from(missing).ok().filter(|&missing| missing > 0) else { return Ok(()) };
    let id = u128::from(seed) << 64 | 0xb3c4_f00d;
    let transfer = Transaction::transfer(id, account_id(0), accounts.special[0], asset, amount);
    let reply = client.post(&[transfer], false).await?;
    reply.runs.iter().try_for_each(|run| refuse_unless_posted("the first money", run.first.outcome))
}

fn refuse_unless_posted(what: &str, outcome: Outcome) -> Result<(), BenchError> {
    if outcome == Outcome::Posted {
        return Ok(());
    }
    Err(BenchError::Refused(format!("{what} was refused: {}. {}", outcome.name(), outcome.info().help)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_ids_differ() {
        let ids: std::collections::HashSet<u128> = (0..100_000).map(account_id).collect();
        assert_eq!(ids.len(), 100_000);
        let accounts = Accounts { ordinary: 2, special: vec![9] };
        assert_eq!((accounts.count(), accounts.id(1), accounts.id(2)), (3, account_id(1), 9));
    }
}
