//! The thread that moves packets between the two devices when the directions say so.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    thread::set_current_timer_slack,
};
use tokio::time::Instant;
use tun_rs::{DeviceBuilder, SyncDevice};

use super::{
    conditions::Conditions,
    counters::Counters,
    direction::Direction,
    prompt::PromptThreads,
    schedule::{Change, Schedule, Towards},
};

/// As Ethernet and nearly every path on the internet.
const MTU: u16 = 1500;

/// Packets that are read from a device before the other one has its turn.
const BURST: usize = 64;

/// How long the thread sleeps if nothing is due.
const IDLE: Duration = Duration::from_secs(1);

/// How long an answer of the thread is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A device in the calling thread's namespace, down and without addresses. No offloads: what is read is what a wire carries.
pub(crate) fn tun(name: &str) -> Result<SyncDevice> {
    let device = DeviceBuilder::new().name(name).mtu(MTU).enable(false).build_sync();
    let device = device.with_context(|| format!("the TUN device {name} could not be made"))?;
    device.set_nonblocking(true)?;
    Ok(device)
}

enum Order {
    Change(Vec<Change>),
    Count(mpsc::SyncSender<Both<Counters>>),
    Stop,
}

/// One for each direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Both<T> {
    pub(crate) to_host: T,
    pub(crate) to_gateway: T,
}

impl<T> Both<T> {
    fn of(&mut self, towards: Towards) -> &mut T {
        match towards {
            Towards::Host => &mut self.to_host,
            Towards::Gateway => &mut self.to_gateway,
        }
    }
}

/// A running link. Dropping it stops the thread and removes the devices.
#[derive(Debug)]
pub(crate) struct Link {
    orders: mpsc::SyncSender<Order>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    /// Joins the devices; both directions begin with the same conditions.
    pub(crate) fn start(
        threads: &PromptThreads,
        host: SyncDevice,
        gateway: SyncDevice,
        conditions: Conditions,
        seed: u64,
    ) -> Result<Self> {
        let (orders, inbox) = mpsc::sync_channel(64);
        let wake = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let mut wire = Wire {
            host,
            gateway,
            wake: wake.clone(),
            inbox,
            started: Instant::now(),
            schedule: Schedule::default(),
            directions: Both {
                to_host: Direction::new(conditions, seed, 0),
                to_gateway: Direction::new(conditions, seed, 1),
            },
        };
        let thread = threads.spawn(move || {
            // Timers of usual threads are 50 µs late.
            _ = set_current_timer_slack(std::num::NonZeroU64::new(1));
            wire.run();
        })?;
        Ok(Self { orders, wake, thread: Some(thread) })
    }

    /// Changes both directions, now.
    pub(crate) fn set(&self, conditions: Conditions) -> Result<()> {
        self.change(Change::both(Duration::ZERO, conditions).to_vec())
    }

    /// Plans changes.
    pub(crate) fn change(&self, changes: Vec<Change>) -> Result<()> {
        self.order(Order::Change(changes))
    }

    /// What has happened since this was asked last.
    pub(crate) fn take_counters(&self) -> Result<Both<Counters>> {
        let (answer, answers) = mpsc::sync_channel(1);
        self.order(Order::Count(answer))?;
        answers.recv_timeout(PATIENCE).context("the link does not answer")
    }

    fn order(&self, order: Order) -> Result<()> {
        self.orders.send(order).map_err(|_| anyhow!("the link has ended"))?;
        rustix::io::write(&self.wake, &1_u64.to_ne_bytes())?;
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.order(Order::Stop).is_ok()
            && let Some(thread) = self.thread.take()
        {
            _ = thread.join();
        }
    }
}

struct Wire {
    host: SyncDevice,
    gateway: SyncDevice,
    wake: Arc<OwnedFd>,
    inbox: mpsc::Receiver<Order>,
    started: Instant,
    schedule: Schedule,
    directions: Both<Direction>,
}

impl Wire {
    fn run(&mut self) {
        let mut buffer = vec![0; 65_536];
        loop {
            let now = self.now();
            while let Some(change) = self.schedule.due(now) {
                self.directions.of(change.towards).change(now, change.conditions);
            }
            self.deliver();
            let Ok(ordered) = self.wait() else { return };
            if ordered && !self.obey() {
                return;
            }
            let started = self.started;
            receive(&self.gateway, &mut self.directions.to_host, started, &mut buffer);
            receive(&self.host, &mut self.directions.to_gateway, started, &mut buffer);
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn deliver(&mut self) {
        let started = self.started;
        for (direction, device) in
            [(&mut self.directions.to_host, &self.host), (&mut self.directions.to_gateway, &self.gateway)]
        {
            while let Some((due, packet)) = direction.depart(started.elapsed()) {
                match device.send(&packet) {
                    Ok(_) => direction.counters.deliver(packet.len(), started.elapsed().saturating_sub(due)),
                    // The device is down.
                    Err(_) => direction.counters.refused += 1,
                }
            }
        }
    }

    /// Waits until something is due or comes; whether there is an order.
    fn wait(&self) -> io::Result<bool> {
        let directions = [self.directions.to_host.next(), self.directions.to_gateway.next()];
        let next = directions.into_iter().flatten().chain(self.schedule.next()).min();
        let now = self.now();
        let wait = next.map_or(IDLE, |next| next.saturating_sub(now)).min(IDLE);
        let mut fds = [
            PollFd::from_borrowed_fd(self.host.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.gateway.as_fd(), PollFlags::IN),
            PollFd::new(&self.wake, PollFlags::IN),
        ];
        match poll(&mut fds, Some(&timespec(wait))) {
            Ok(_) => Ok(fds[2].revents().contains(PollFlags::IN)),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Does what was ordered; whether to go on.
    fn obey(&mut self) -> bool {
        let mut drain = [0; 8];
        _ = rustix::io::read(&self.wake, &mut drain);
        while let Ok(order) = self.inbox.try_recv() {
            match order {
                Order::Change(changes) => {
                    let now = self.now();
                    for change in changes {
                        self.schedule.add(now, change);
                    }
                }
                Order::Count(answer) => {
                    let to_host = std::mem::take(&mut self.directions.to_host.counters);
                    let to_gateway = std::mem::take(&mut self.directions.to_gateway.counters);
                    _ = answer.try_send(Both { to_host, to_gateway });
                }
                Order::Stop => return false,
            }
        }
        true
    }
}

fn receive(from: &SyncDevice, direction: &mut Direction, started: Instant, buffer: &mut [u8]) {
    for _ in 0..BURST {
        let Ok(length) = from.recv(buffer) else { return };
        direction.arrive(started.elapsed(), buffer[..length].to_vec());
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
