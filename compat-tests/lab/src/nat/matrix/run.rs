//! One run of a pair.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

use super::{Path, expected};
use crate::{
    http::{Answer, Get, get},
    nat::{
        topology::{Placement, Shared},
        world::{World, strings},
    },
    process::{PATIENCE, Product},
    record::Record,
};

/// How soon a pair that can speak directly must do so, counted from the first answer.
const DIRECT_WITHIN: Duration = Duration::from_secs(2);

/// How long a pair that must be relayed is watched for not being so.
const RELAYED_FOR: Duration = Duration::from_secs(2);

/// How often the path is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How often a gateway that is starting is tried.
const KNOCK: Duration = Duration::from_millis(5);

/// Bytes of a request that only looks at the path.
const SMALL: u64 = 1000;

/// Runs a pair once.
pub(crate) async fn run(product: Product, placement: Placement, bytes: u64) -> Result<Record> {
    let offline = placement == Placement::Together(Shared::Offline);
    let world = World::build(product, placement, usize::from(!offline)).await?;
    let _relays = world.all_relays().await?;
    let lookup: &[&str] = if offline { &["--lookup", "mdns"] } else { &[] };
    let host = [world.host_arguments(None), strings(lookup)].concat();
    let (mut running, ticket) = world.start_host(&host).await?;
    if offline {
        // Elsewhere than its ticket says, so that it must be looked up.
        running.crash().await?;
        world.host.renew_address().await?;
        running = world.start_host(&host).await?.0;
    }
    let _host = running;

    let gateway = [world.gateway_arguments(Some(&ticket), None), strings(lookup)].concat();
    let started = Instant::now();
    let _gateway = world.start_gateway(&gateway)?;
    let mut record = Record::default();
    let first = first_answer(&world, started, &mut record).await?;

    let wanted = expected(placement);
    let became_direct = watch(&world, &first, wanted.path, &mut record).await?;
    let whole = get(&world.gateway.device, Get::new(bytes)).await?;
    if !whole.is_complete() {
        record.fail_answer(&format!("the download of {bytes} bytes"), &whole);
    }
    record.text("path", whole.path.clone());
    record.speed("download", whole.bytes_per_second());
    if wanted.path == Path::Direct {
        record.time_within("direct", became_direct, DIRECT_WITHIN);
    }
    if whole.path != wanted.path.name() {
        record.fail(format!("the path is {}, must be {}: {}", whole.path, wanted.path.name(), wanted.why));
    }
    Ok(record)
}

/// Asks until the gateway answers with the file.
async fn first_answer(world: &World, started: Instant, record: &mut Record) -> Result<Answer> {
    let mut refused = 0;
    loop {
        let answer = get(&world.gateway.device, Get::new(SMALL)).await?;
        if let (true, Some(first_byte)) = (answer.is_complete(), answer.first_byte) {
            record.time("first byte", first_byte - started);
            record.text("first path", answer.path.clone());
            if refused > 0 {
                record.count("refused before", refused);
            }
            return Ok(answer);
        }
        if started.elapsed() > PATIENCE {
            bail!("the gateway has not answered within {PATIENCE:?}: {}", answer.describe());
        }
        // Until it listens nobody has refused anything.
        refused += usize::from(matches!(answer.ending, crate::http::Ending::Refused(_)));
        sleep(KNOCK).await;
    }
}

/// Looks at the path until it is direct, or until it has stayed relayed for long enough.
async fn watch(world: &World, first: &Answer, wanted: Path, record: &mut Record) -> Result<Option<Duration>> {
    let since = first.ended;
    let mut path = first.path.clone();
    let watched = match wanted {
        Path::Direct => DIRECT_WITHIN * 2,
        Path::Relayed => RELAYED_FOR,
    };
    loop {
        if path == Path::Direct.name() {
            return Ok(Some(since.elapsed()));
        }
        if since.elapsed() > watched {
            return Ok(None);
        }
        sleep(LOOK).await;
        let answer = get(&world.gateway.device, Get::new(SMALL)).await?;
        if !answer.is_complete() {
            record.fail_answer("a request after the first", &answer);
        }
        path = answer.path;
    }
}
