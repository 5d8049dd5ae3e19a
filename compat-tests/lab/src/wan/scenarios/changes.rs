//! A link that changes, or is away for a while, in the middle of a download.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use super::{
    super::{
        cell::Cell,
        link::{Change, Conditions},
        world::{plug_in, unplug},
    },
    recovery::recovery,
    stage::{Setting, Stage, offset},
};
use crate::{
    availability::{Availability, Watch},
    record::Record,
};

/// How long a download goes on before something happens.
const BEFORE: Duration = Duration::from_secs(4);

/// How long it is watched afterwards.
const AFTER: Duration = Duration::from_secs(8);

/// How long the slow part of the change of rate is.
const SLOW: Duration = Duration::from_secs(8);

/// Its rate, in megabits per second.
const SLOW_MBIT: f64 = 5.0;

/// How soon requests must be answered after a dead zone of which nothing told: the product tries every second.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// The same if the interface told. Two round trips come on top.
const ANSWER_WITHIN_TOLD: Duration = Duration::from_secs(1);

/// How a link is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gap {
    /// Packets are lost, and nothing tells.
    Swallowed,
    /// The gateway's interface is down.
    Unplugged,
}

/// Fast, slow, fast.
pub(crate) async fn rate(setting: Setting) -> Result<Record> {
    let mut stage = Stage::open(setting, Cell::DEFAULT).await?;
    let fast = stage.cell.conditions();
    // The queue is memory in a device: it stays as large as it was.
    let slow = Conditions { queue_bytes: fast.queue_bytes, ..Cell { rate_mbit: SLOW_MBIT, ..stage.cell }.conditions() };
    let download = stage.download(0, BEFORE + SLOW + AFTER).await?;
    let (first, second) = (Change::both(BEFORE, slow), Change::both(BEFORE + SLOW, fast));
    let planned = Instant::now();
    stage.world.link.change([first, second].concat())?;
    let transfer = download.end().await?;
    stage.note_transfer("download", &transfer);
    let (buckets, begin) = (transfer.buckets(), offset(transfer.started, planned));
    let within = stage.recovery_max();
    let slow_ends = usize::try_from((begin + BEFORE + SLOW).as_millis() / 100)?.min(buckets.len());
    let slowed = recovery(&buckets[..slow_ends], begin + BEFORE, SLOW_MBIT * 1e6 / 8.0);
    stage.record.time_within("slow and full after", slowed, within);
    let quickened = recovery(&buckets, begin + BEFORE + SLOW, stage.cell.bytes_per_second());
    stage.record.time_within("fast and full after", quickened, within);
    stage.note_reconnects(Some(0));
    Ok(stage.record)
}

/// Nothing passes for a moment.
pub(crate) async fn blackout(setting: Setting, lasting: Duration) -> Result<Record> {
    let mut stage = Stage::open(setting, Cell::DEFAULT).await?;
    let usual = stage.cell.conditions();
    let black = Conditions { blackout: true, ..usual };
    let download = stage.download(0, BEFORE + lasting + AFTER).await?;
    let planned = Instant::now();
    stage.world.link.change([Change::both(BEFORE, black), Change::both(BEFORE + lasting, usual)].concat())?;
    let transfer = download.end().await?;
    stage.note_transfer("download", &transfer);
    let ends = offset(transfer.started, planned) + BEFORE + lasting;
    let full = recovery(&transfer.buckets(), ends, stage.cell.bytes_per_second());
    stage.record.time_within("full speed after", full, stage.recovery_max());
    stage.note_reconnects(Some(0));
    Ok(stage.record)
}

/// Nothing passes for longer than connections live. A download that is under way may be cut, but not wrong.
pub(crate) async fn dead_zone(setting: Setting, lasting: Duration, gap: Gap) -> Result<Record> {
    let mut stage = Stage::open(setting, Cell::DEFAULT).await?;
    let usual = stage.cell.conditions();
    let download = stage.download(0, BEFORE + lasting + AFTER).await?;
    sleep(BEFORE / 2).await;
    let watch = Watch::begin(&stage.world.gateway)?;
    sleep(BEFORE / 2).await;
    match gap {
        Gap::Swallowed => stage.world.link.set(Conditions { blackout: true, ..usual })?,
        Gap::Unplugged => unplug(&stage.world.gateway)?,
    }
    sleep(lasting).await;
    match gap {
        Gap::Swallowed => stage.world.link.set(usual)?,
        Gap::Unplugged => plug_in(&stage.world.gateway)?,
    }
    let over = Instant::now();
    sleep(AFTER).await;
    let availability = Availability::of(&watch.end().await?, over);
    availability.note(&mut stage.record);
    let within = match gap {
        Gap::Swallowed => ANSWER_WITHIN,
        Gap::Unplugged => ANSWER_WITHIN_TOLD + stage.cell.rtt() * 2,
    };
    stage.record.time_within("answers again after", availability.back, within);
    let transfer = download.end().await?;
    let word = match &transfer.answer.ending {
        crate::http::Ending::Complete => "went on",
        crate::http::Ending::Wrong(_) => {
            stage.record.fail_answer("the download", &transfer.answer);
            "wrong"
        }
        _ => "cut",
    };
    stage.record.text("download", word);
    if word == "went on" {
        let back = recovery(&transfer.buckets(), offset(transfer.started, over), stage.cell.bytes_per_second());
        match back {
            Some(back) => stage.record.time("download at full speed after", back),
            None => stage.record.text("download at full speed after", format!("more than {AFTER:?}")),
        }
    }
    stage.note_reconnects(None);
    Ok(stage.record)
}
