//! Requests of many kinds.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, interval, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::task::AbortOnDropHandle;

use super::{
    super::{
        cell::Cell,
        link::{Chance, Loss},
        small::Target,
        world::connect,
    },
    stage::{Setting, Stage, p2p},
};
use crate::{
    http::{Answer, Ending, Get},
    pattern,
    record::Record,
    statistics::quantile,
};

/// How long the download beside a WebSocket lasts.
const LASTING: Duration = Duration::from_secs(10);

/// How often a message is sent.
const EVERY: Duration = Duration::from_millis(50);

/// Bytes of a message.
const MESSAGE: u64 = 256;

/// How long an echo may take.
const ECHO_PATIENCE: Duration = Duration::from_secs(30);

/// Requests at once.
const WORKERS: u64 = 6;

/// The binary logarithms of the smallest and the largest body: 1 KiB and 4 MiB.
const SIZES: (f64, f64) = (10.0, 22.0);

/// Echoes of a WebSocket beside a download.
pub(crate) async fn websocket(setting: Setting) -> Result<Record> {
    let mut stage = Stage::open(setting, Cell::DEFAULT).await?;
    let target = p2p(0);
    let idle = stage.world.gateway.spawn(async move |_| echoes(target, LASTING / 5).await)?;
    note_echoes(&mut stage, "alone", &AbortOnDropHandle::new(idle).await.context("a task panicked")?);
    let download = stage.download(0, LASTING).await?;
    let beside = stage.world.gateway.spawn(async move |_| echoes(target, LASTING).await)?;
    note_echoes(&mut stage, "beside the download", &AbortOnDropHandle::new(beside).await.context("a task panicked")?);
    let transfer = download.end().await?;
    stage.note_transfer("download", &transfer);
    stage.note_reconnects(Some(0));
    Ok(stage.record)
}

/// What came back, in seconds, and what went wrong.
#[derive(Debug, Default)]
struct Echoes {
    times: Vec<f64>,
    failure: Option<String>,
}

fn note_echoes(stage: &mut Stage, name: &str, echoes: &Echoes) {
    for (share, word) in [(0.5, "p50"), (0.95, "p95")] {
        if let Some(time) = quantile(&echoes.times, share) {
            stage.record.time(&format!("echo {word} {name}"), Duration::from_secs_f64(time));
        }
    }
    if let Some(failure) = &echoes.failure {
        stage.record.fail(format!("WebSocket, {name}: {failure}"));
    }
}

async fn echoes(target: Target, lasting: Duration) -> Echoes {
    let mut echoes = Echoes::default();
    if let Err(error) = converse(target, lasting, &mut echoes.times).await {
        echoes.failure = Some(format!("{error:#}"));
    }
    echoes
}

/// Sends messages at their time, whether or not those before have come back.
async fn converse(target: Target, lasting: Duration, times: &mut Vec<f64>) -> Result<()> {
    let stream = connect(target.address, target.controller).await?;
    _ = stream.set_nodelay(true);
    let url = format!("ws://{}/echo", target.address);
    let (socket, _) = tokio_tungstenite::client_async(url, stream).await.context("no WebSocket")?;
    let (mut sink, mut source) = socket.split();
    let sent = Arc::new(std::sync::Mutex::new(Vec::<Instant>::new()));
    let sending = async {
        let mut ticks = interval(EVERY);
        let ends = Instant::now() + lasting;
        let mut count = 0;
        while Instant::now() < ends {
            ticks.tick().await;
            sent.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(Instant::now());
            sink.send(Message::Binary(pattern::bytes(count * MESSAGE, MESSAGE))).await?;
            count += 1;
        }
        sink.close().await?;
        anyhow::Ok(count)
    };
    let receiving = async {
        let mut count = 0;
        loop {
            let message = timeout(ECHO_PATIENCE, source.next()).await.context("no echo")?;
            let data = match message {
                Some(Ok(Message::Binary(data))) => data,
                Some(Ok(Message::Close(_))) | None => return anyhow::Ok(count),
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(error.into()),
            };
            anyhow::ensure!(pattern::difference(count * MESSAGE, &data).is_none(), "message {count} has wrong bytes");
            let sent = sent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let at = sent.get(usize::try_from(count)?).context("an echo of nothing")?;
            times.push(at.elapsed().as_secs_f64());
            count += 1;
        }
    };
    let (sent, received) = tokio::try_join!(sending, receiving)?;
    anyhow::ensure!(sent == received, "{received} of {sent} messages came back");
    Ok(())
}

/// Everything that apps do, over a link that loses.
pub(crate) async fn mixed(setting: Setting) -> Result<Record> {
    let (seed, lasting) = (setting.seed, Duration::from_secs_f64(setting.minutes * 60.0));
    let mut stage = Stage::open(setting, Cell { loss: Loss::Random { rate: 0.02 }, ..Cell::DEFAULT }).await?;
    let ends = Instant::now() + lasting;
    let mut workers = Vec::new();
    for worker in 0..WORKERS {
        let chance = Chance::new(seed, 100 + worker);
        let working = stage.world.gateway.spawn(async move |_| work(chance, ends).await)?;
        workers.push(AbortOnDropHandle::new(working));
    }
    let (mut count, mut bytes, mut failed) = (0, 0, 0);
    for worker in workers {
        for answer in worker.await.context("a worker panicked")? {
            count += 1;
            bytes += answer.bytes;
            if !answer.is_complete() {
                failed += 1;
                stage.record.fail_answer("a request", &answer);
            }
        }
    }
    stage.record.count("requests", count);
    stage.record.count("failed", failed);
    stage.record.speed("all together", super::super::transfer::per_second(bytes, lasting));
    stage.note_reconnects(Some(0));
    Ok(stage.record)
}

/// One request after the other, each over a connection of its own.
async fn work(chance: Chance, ends: Instant) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut index = 0;
    while Instant::now() < ends {
        let bytes = size(chance.at(index));
        let upload = chance.at(index + 1) < 0.5;
        index += 2;
        let mut answer = Answer::new();
        answer.ending = match one(bytes, upload, &mut answer).await {
            Ok(()) => Ending::Complete,
            Err(ending) => ending,
        };
        answer.ended = Instant::now();
        answers.push(answer);
    }
    answers
}

async fn one(bytes: u64, upload: bool, answer: &mut Answer) -> Result<(), Ending> {
    let target = p2p(0);
    let stream = connect(target.address, target.controller).await;
    let stream = stream.map_err(|error| Ending::NoAnswer(error.to_string()))?;
    let mut connection = crate::http::Connection::over(stream).await?;
    if upload {
        connection.put(bytes, target.patience, answer).await
    } else {
        let get = Get { hashed: false, patience: target.patience, ..Get::new(bytes) };
        connection.ask(&get, answer).await
    }
}

/// Small ones are as frequent as large ones.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "4 MiB at most")]
fn size(chance: f64) -> u64 {
    let (least, most) = SIZES;
    (least + chance * (most - least)).exp2() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_of_all_sizes() {
        assert_eq!((size(0.0), size(0.5), size(1.0)), (1024, 65_536, 4 << 20));
    }
}
