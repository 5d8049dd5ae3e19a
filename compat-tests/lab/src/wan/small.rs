//! Small requests beside a transfer: what an app feels of it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use patchbay::Device;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::task::AbortOnDropHandle;

use super::world::connect;
use crate::http::{Answer, Connection, Ending, Get};

/// Bytes of each.
pub(crate) const SMALL: u64 = 1024;

/// How often one is made.
const EVERY: Duration = Duration::from_millis(50);

/// Connections that wait for requests, opened before anything is measured: two round trips of 600 ms.
const CONNECTIONS: usize = 24;

/// Who is asked, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) controller: Option<&'static str>,
    /// How long an answer may take.
    pub(crate) patience: Duration,
}

/// Requests all the time, whether or not those before have been answered.
#[derive(Debug)]
pub(crate) struct SmallRequests {
    enough: Arc<AtomicBool>,
    answers: AbortOnDropHandle<Vec<Answer>>,
}

impl SmallRequests {
    /// Opens connections, then begins to ask. Dropping it stops at once.
    pub(crate) async fn begin(device: &Device, target: Target) -> Result<Self> {
        let enough = Arc::new(AtomicBool::new(false));
        let opening = device.spawn(async move |_| Pool::open(target).await)?;
        let pool = AbortOnDropHandle::new(opening).await.context("a request panicked")??;
        let answers = device.spawn({
            let enough = enough.clone();
            async move |_| ask(pool, &enough).await
        })?;
        Ok(Self { enough, answers: AbortOnDropHandle::new(answers) })
    }

    /// Stops asking and waits for what has been asked; in the order in which it was asked.
    pub(crate) async fn end(self) -> Result<Vec<Answer>> {
        self.enough.store(true, Ordering::Relaxed);
        self.answers.await.context("a request panicked")
    }
}

async fn ask(pool: Arc<Pool>, enough: &AtomicBool) -> Vec<Answer> {
    let mut asking = JoinSet::new();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !enough.load(Ordering::Relaxed) {
        ticks.tick().await;
        let pool = pool.clone();
        asking.spawn(async move { pool.ask().await });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by_key(|answer| answer.started);
    answers
}

/// Connections that are not in use.
#[derive(Debug)]
struct Pool {
    target: Target,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    async fn open(target: Target) -> Result<Arc<Self>> {
        let mut opening = JoinSet::new();
        for _ in 0..CONNECTIONS {
            opening.spawn(open(target));
        }
        let mut idle = Vec::new();
        while let Some(opened) = opening.join_next().await {
            let opened = opened.context("a request panicked")?;
            idle.push(opened.map_err(|ending| anyhow::anyhow!("no connection: {ending:?}"))?);
        }
        Ok(Arc::new(Self { target, idle: Mutex::new(idle) }))
    }

    async fn ask(&self) -> Answer {
        let mut answer = Answer::new();
        answer.ending = match tokio::time::timeout(self.target.patience, self.converse(&mut answer)).await {
            Ok(Ok(())) => Ending::Complete,
            Ok(Err(ending)) => ending,
            Err(_) => Ending::NoAnswer(format!("nothing within {:?}", self.target.patience)),
        };
        answer.ended = Instant::now();
        answer
    }

    async fn converse(&self, answer: &mut Answer) -> Result<(), Ending> {
        let mut connection = match self.take() {
            Some(connection) => connection,
            None => open(self.target).await?,
        };
        connection.ask(&Get { hashed: false, ..Get::new(SMALL) }, answer).await?;
        // One that was closed is not given back.
        if connection.is_ready().await {
            self.idle().push(connection);
        }
        Ok(())
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle();
        idle.retain(|connection| !connection.is_closed());
        idle.pop()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn open(target: Target) -> Result<Connection, Ending> {
    let stream = connect(target.address, target.controller).await;
    Connection::over(stream.map_err(|error| Ending::NoAnswer(error.to_string()))?).await
}
