//! One connection to PostgreSQL with its prepared statements, and what a client has to do around a call: repeat it after a
//! deadlock, and take the exact way where the fast one met a repeat or a refusal.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error, NoTls, Statement};

use crate::error::CompareError;
use crate::rows::Calls;
use crate::transfers::Columns;

/// What the formulations raise where they do not decide a call themselves.
const NOT_DECIDED: &str = "FL001";

/// What became of the transfers of a call.
#[derive(Debug, Default)]
pub struct Posted {
    /// Outcomes in order; the codes are in `sql/ledger.sql`.
    pub outcomes: Vec<i16>,
    /// How often the call was repeated after a deadlock.
    pub retries: u64,
    /// Whether the exact way was taken.
    pub one_by_one: bool,
}

/// Connects. The connection's own task ends with the client.
pub async fn connect(config: &Config) -> Result<Client, CompareError> {
    let (client, connection) = config.connect(NoTls).await.map_err(failed("connecting"))?;
    tokio::spawn(connection);
    Ok(client)
}

/// An error of PostgreSQL with what was asked of it.
pub fn failed(what: &str) -> impl Fn(Error) -> CompareError + '_ {
    move |source| CompareError::Postgres { what: what.to_string(), source }
}

/// A connection that posts.
pub struct Session {
    client: Client,
    calls: Calls,
    post: Statement,
    one_by_one: Statement,
    lock: Statement,
}

impl Session {
    /// Connects and prepares; the ledger and the formulation must be there.
    pub async fn open(config: &Config, calls: Calls, commit_delay_us: u32) -> Result<Session, CompareError> {
        let client = connect(config).await?;
        let post = match calls {
            Calls::One | Calls::Pipelined => "select post_transfer($1, $2, $3, $4, $5, $6)",
            Calls::Arrays => "select post_transfers($1, $2, $3, $4, $5, $6)",
        };
        let one_by_one = "select post_one_by_one($1, $2, $3, $4, $5, $6)";
        let lock = "select from accounts where id = any ($1::bigint[] || $2::bigint[]) order by id for no key update";
        let prepare = failed("preparing");
        client.batch_execute(&format!("set commit_delay = {commit_delay_us}")).await.map_err(&prepare)?;
        let post = client.prepare(post).await.map_err(&prepare)?;
        let one_by_one = client.prepare(one_by_one).await.map_err(&prepare)?;
        let lock = client.prepare(lock).await.map_err(&prepare)?;
        Ok(Session { client, calls, post, one_by_one, lock })
    }

    /// Transfers that a call may have at most.
    pub fn transfers_max(&self) -> usize {
        if self.calls == Calls::One { 1 } else { usize::MAX }
    }

    /// Posts the transfers of a call and waits until they are durable.
    pub async fn post(&self, columns: &Columns) -> Result<Posted, Error> {
        let mut posted = Posted::default();
        loop {
            let tried = match (posted.one_by_one, self.calls) {
                (true, _) => self.arrays(&self.one_by_one, columns).await,
                (false, Calls::Arrays) => self.arrays(&self.post, columns).await,
                (false, Calls::One) => self.one(columns).await,
                (false, Calls::Pipelined) => self.pipelined(columns).await,
            };
            let error = match tried {
                Ok(outcomes) => return Ok(Posted { outcomes, ..posted }),
                Err(error) => error,
            };
            match error.code() {
                Some(code) if *code == SqlState::T_R_DEADLOCK_DETECTED => posted.retries += 1,
                Some(code) if !posted.one_by_one && is_undecided(code) => posted.one_by_one = true,
                _ => return Err(error),
            }
        }
    }

    async fn one(&self, columns: &Columns) -> Result<Vec<i16>, Error> {
        assert_eq!(columns.ids.len(), 1, "one transfer per call");
        Ok(vec![self.client.query_one(&self.post, &columns.one(0)).await?.try_get(0)?])
    }

    async fn arrays(&self, statement: &Statement, columns: &Columns) -> Result<Vec<i16>, Error> {
        self.client.query_one(statement, &columns.arrays()).await?.try_get(0)
    }

    /// A transaction of many calls in one go: nothing is waited for until all is sent.
    async fn pipelined(&self, columns: &Columns) -> Result<Vec<i16>, Error> {
        type Step<'a> = Pin<Box<dyn Future<Output = Result<Option<i16>, Error>> + Send + 'a>>;
        let client = &self.client;
        let mut steps: Vec<Step<'_>> = Vec::with_capacity(columns.ids.len() + 3);
        steps.push(Box::pin(async { client.batch_execute("begin").await.map(|()| None) }));
        steps.push(Box::pin(async {
            client.execute(&self.lock, &[&columns.debits, &columns.credits]).await.map(|_| None)
        }));
        for index in 0..columns.ids.len() {
            steps.push(Box::pin(async move {
                client.query_one(&self.post, &columns.one(index)).await?.try_get(0).map(Some)
            }));
        }
        // After an error this rolls back.
        steps.push(Box::pin(async { client.batch_execute("commit").await.map(|()| None) }));

        let mut done: Vec<Option<Result<Option<i16>, Error>>> = steps.iter().map(|_| None).collect();
        poll_fn(|context| {
            for (step, done) in steps.iter_mut().zip(&mut done) {
                if let Poll::Ready(result) = step.as_mut().poll(context) {
                    *done = Some(result);
                }
            }
            Poll::Ready(())
        })
        .await;
        let mut results = Vec::with_capacity(steps.len());
        for (step, done) in steps.into_iter().zip(done) {
            results.push(match done {
                Some(result) => result,
                None => step.await,
            });
        }
        // All answers are in; the first error is the one that the others follow from.
        results.into_iter().filter_map(Result::transpose).collect()
    }
}

/// Whether the fast form left the decision to the exact one: a repeated id, a malformed transfer, or a refusal.
fn is_undecided(code: &SqlState) -> bool {
    *code == SqlState::UNIQUE_VIOLATION || *code == SqlState::CHECK_VIOLATION || code.code() == NOT_DECIDED
}
