//! Real QUIC connections (noq-proto) over links in virtual time.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::{Ipv6Addr, SocketAddr},
    num::NonZeroUsize,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use noq_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig, FourTuple, ReadError,
    ServerConfig, StreamId, TransportConfig, VarInt, congestion::ControllerFactory,
};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::model::link::{Conditions, Link};

/// Datagrams that leave together, as in noq.
const SEGMENTS: NonZeroUsize = NonZeroUsize::new(10).unwrap();

/// Streams over which a bulk flow is spread: one alone would be limited by its window.
const STREAMS: usize = 16;

/// The width of a bin of throughput.
pub(crate) const BIN: Duration = Duration::from_millis(100);

/// What the application at the sender does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// Always has something to send.
    Bulk,
    /// Sends so many bytes, then does nothing.
    File(u64),
    /// Sends so many bytes at such intervals.
    Steps(u64, Duration),
}

/// A flow as it is set up.
pub(crate) struct Flow {
    pub(crate) controller: Arc<dyn ControllerFactory + Send + Sync>,
    pub(crate) source: Source,
    /// When it begins, from the beginning of the world.
    pub(crate) start: Duration,
}

struct Node {
    address: SocketAddr,
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    sends: bool,
}

struct Running {
    source: Source,
    start: Instant,
    /// Bytes that the application has had so far.
    offered: u64,
    next_step: Instant,
    written: u64,
    streams: Vec<StreamId>,
    turn: usize,
    received: u64,
    /// Bytes received in each [`BIN`] since the beginning of the world.
    bins: Vec<u64>,
    /// When the last byte came.
    last: Instant,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Arrival {
    at: Instant,
    order: u64,
    node: usize,
    data: Vec<u8>,
}

pub(crate) struct World {
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) forward: Link,
    pub(crate) backward: Link,
    nodes: Vec<Node>,
    flows: Vec<Running>,
    clients: Vec<ClientConfig>,
    arrivals: BinaryHeap<Reverse<Arrival>>,
    order: u64,
    /// Queueing delay of the forward link, every 5 ms.
    pub(crate) queue: Vec<Duration>,
    next_look: Instant,
}

static CERTIFICATE: LazyLock<(CertificateDer<'static>, Vec<u8>)> = LazyLock::new(|| {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    (certified.cert.der().clone(), certified.signing_key.serialize_der())
});

/// The settings of the product that matter here.
fn transport(controller: Arc<dyn ControllerFactory + Send + Sync>) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .congestion_controller_factory(controller)
        .stream_receive_window(VarInt::from_u32(1_250_000))
        .receive_window(VarInt::from_u32(64 << 20))
        .send_window(64 << 20)
        .keep_alive_interval(Some(Duration::from_secs(1)))
        .max_concurrent_uni_streams(64_u32.into());
    crate::model::tune(&mut transport);
    transport
}

impl World {
    /// The flows share a link: data goes forward, acknowledgements go backward.
    pub(crate) fn new(forward: Conditions, backward: Conditions, flows: Vec<Flow>, seed: u64) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any beginning; from here on time is virtual")]
        let start = Instant::now();
        let mut world = Self {
            start,
            now: start,
            forward: Link::new(forward, seed, start),
            backward: Link::new(backward, seed ^ 0xffff, start),
            nodes: Vec::new(),
            flows: Vec::new(),
            clients: Vec::new(),
            arrivals: BinaryHeap::new(),
            order: 0,
            queue: Vec::new(),
            next_look: start,
        };
        for (index, flow) in flows.into_iter().enumerate() {
            world.add(index, flow, seed);
        }
        world
    }

    fn add(&mut self, index: usize, flow: Flow, seed: u64) {
        let (certificate, key) = &*CERTIFICATE;
        let transport = Arc::new(transport(flow.controller));
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.clone()));
        let mut server = ServerConfig::with_single_cert(vec![certificate.clone()], key).unwrap();
        server.transport_config(Arc::clone(&transport));
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let mut client = ClientConfig::with_root_certificates(Arc::new(roots)).unwrap();
        client.transport_config(transport);
        for sends in [true, false] {
            let mut config = EndpointConfig::default();
            let mut bytes = [u8::from(sends); 32];
            bytes[..8].copy_from_slice(&seed.to_be_bytes());
            bytes[8..16].copy_from_slice(&(index as u64).to_be_bytes());
            config.rng_seed(Some(bytes));
            let server = (!sends).then(|| Arc::new(server.clone()));
            let port = 1000 + u16::try_from(self.nodes.len()).unwrap();
            self.nodes.push(Node {
                address: SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
                endpoint: Endpoint::new(Arc::new(config), server, true),
                connection: None,
                sends,
            });
        }
        let start = self.start + flow.start;
        self.flows.push(Running {
            source: flow.source,
            start,
            offered: 0,
            next_step: start,
            written: 0,
            streams: Vec::new(),
            turn: 0,
            received: 0,
            bins: Vec::new(),
            last: start,
        });
        self.clients.push(client);
    }

    /// Bytes that a flow has received in [`BIN`]s from one time to another.
    pub(crate) fn received(&self, flow: usize, from: Duration, to: Duration) -> u64 {
        let bin = |time: Duration| (time.as_nanos() / BIN.as_nanos()) as usize;
        let bins = &self.flows[flow].bins;
        bins.iter().take(bin(to).min(bins.len())).skip(bin(from)).sum()
    }

    /// What the application does from now on.
    pub(crate) fn set_source(&mut self, flow: usize, source: Source) {
        self.flows[flow].source = source;
        self.write(flow);
        self.flush(2 * flow);
    }

    pub(crate) fn total(&self, flow: usize) -> u64 {
        self.flows[flow].received
    }

    /// When the last byte of a flow came, from its own beginning.
    pub(crate) fn last_byte(&self, flow: usize) -> Duration {
        self.flows[flow].last - self.flows[flow].start
    }

    pub(crate) fn is_alive(&self, flow: usize) -> bool {
        self.nodes[2 * flow].connection.as_ref().is_some_and(|(_, connection)| !connection.is_closed())
    }

    /// Goes on until this time from the beginning, or until all files have arrived.
    pub(crate) fn run_until(&mut self, time: Duration) {
        let end = self.start + time;
        loop {
            self.act();
            let files = |flow: &Running| matches!(flow.source, Source::File(bytes) if flow.received == bytes);
            if self.flows.iter().all(files) {
                return;
            }
            let next = self.next_time();
            if next >= end {
                self.now = end;
                return;
            }
            self.now = next.max(self.now);
        }
    }

    fn next_time(&self) -> Instant {
        let timers = self.nodes.iter().filter_map(|node| node.connection.as_ref()?.1.poll_timeout());
        let arrival = self.arrivals.peek().map(|Reverse(arrival)| arrival.at);
        let starts = self.flows.iter().map(|flow| flow.start).filter(|&start| start > self.now);
        let steps = self.flows.iter().filter_map(|flow| match flow.source {
            Source::Steps(..) => Some(flow.next_step).filter(|&at| at > self.now),
            _ => None,
        });
        timers.chain(arrival).chain(starts).chain(steps).chain([self.next_look]).min().unwrap()
    }

    /// Does all that is due now.
    fn act(&mut self) {
        if self.now >= self.next_look {
            self.queue.push(self.forward.queue_delay(self.now));
            self.next_look = self.now + Duration::from_millis(5);
        }
        let mut touched = vec![false; self.nodes.len()];
        while self.arrivals.peek().is_some_and(|Reverse(arrival)| arrival.at <= self.now) {
            let Some(Reverse(arrival)) = self.arrivals.pop() else { break };
            touched[arrival.node] = true;
            self.arrive(arrival.node, &arrival.data);
        }
        for index in 0..self.nodes.len() {
            let now = self.now;
            if let Some((_, connection)) = &mut self.nodes[index].connection
                && connection.poll_timeout().is_some_and(|at| at <= now)
            {
                connection.handle_timeout(now);
                touched[index] = true;
            }
        }
        for flow in 0..self.flows.len() {
            if self.flows[flow].start <= self.now && self.nodes[2 * flow].connection.is_none() {
                let config = self.clients[flow].clone();
                let remote = self.nodes[2 * flow + 1].address;
                let now = self.now;
                let connection = self.nodes[2 * flow].endpoint.connect(now, config, remote, "localhost").unwrap();
                self.nodes[2 * flow].connection = Some(connection);
                touched[2 * flow] = true;
            }
            let step = matches!(self.flows[flow].source, Source::Steps(..)) && self.flows[flow].next_step <= self.now;
            if touched[2 * flow] || step {
                touched[2 * flow] = true;
                self.write(flow);
            }
            if touched[2 * flow + 1] {
                self.read(flow);
            }
        }
        for index in (0..self.nodes.len()).filter(|&index| touched[index]) {
            self.flush(index);
        }
    }

    fn arrive(&mut self, index: usize, data: &[u8]) {
        let peer = self.nodes[index ^ 1].address;
        let path = FourTuple::new(peer, None);
        let node = &mut self.nodes[index];
        let mut answer = Vec::new();
        match node.endpoint.handle(self.now, path, None, BytesMut::from(data), &mut answer) {
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                if let Some((_, connection)) = &mut node.connection {
                    connection.handle_event(event);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                if let Ok(connection) = node.endpoint.accept(incoming, self.now, &mut answer, None) {
                    node.connection = Some(connection);
                }
            }
            Some(DatagramEvent::Response(_)) | None => {}
        }
    }

    fn write(&mut self, flow: usize) {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let running = &mut self.flows[flow];
        match running.source {
            Source::Bulk => running.offered = u64::MAX,
            Source::File(bytes) => running.offered = bytes,
            Source::Steps(bytes, interval) => {
                while running.next_step <= self.now {
                    running.offered += bytes;
                    running.next_step += interval;
                }
            }
        }
        let Some((_, connection)) = &mut self.nodes[2 * flow].connection else { return };
        while connection.poll().is_some() {}
        if connection.is_handshaking() || connection.is_closed() {
            return;
        }
        while running.streams.len() < STREAMS
            && let Some(stream) = connection.streams().open(Dir::Uni)
        {
            running.streams.push(stream);
        }
        let mut blocked = 0;
        while running.written < running.offered && blocked < running.streams.len() {
            let stream = running.streams[running.turn % running.streams.len()];
            running.turn += 1;
            let length = (running.offered - running.written).min(ZEROS.len() as u64) as usize;
            match connection.send_stream(stream).write(&ZEROS[..length]) {
                Ok(bytes) => {
                    running.written += bytes as u64;
                    blocked = 0;
                }
                Err(_) => blocked += 1,
            }
        }
    }

    fn read(&mut self, flow: usize) {
        let running = &mut self.flows[flow];
        let Some((_, connection)) = &mut self.nodes[2 * flow + 1].connection else { return };
        while connection.poll().is_some() {}
        while connection.streams().accept(Dir::Uni).is_some() {}
        for &stream in &running.streams {
            let mut recv = connection.recv_stream(stream);
            let Ok(mut chunks) = recv.read(true) else { continue };
            let mut bytes = 0;
            loop {
                match chunks.next(usize::MAX) {
                    Ok(Some(chunk)) => bytes += Bytes::len(&chunk.bytes) as u64,
                    Ok(None) | Err(ReadError::Blocked | ReadError::Reset(_)) => break,
                }
            }
            _ = chunks.finalize();
            if bytes > 0 {
                let bin = ((self.now - self.start).as_nanos() / BIN.as_nanos()) as usize;
                if running.bins.len() <= bin {
                    running.bins.resize(bin + 1, 0);
                }
                running.bins[bin] += bytes;
                running.received += bytes;
                running.last = self.now;
            }
        }
    }

    fn flush(&mut self, index: usize) {
        let now = self.now;
        let mut buffer = Vec::new();
        loop {
            let node = &mut self.nodes[index];
            let Some((handle, connection)) = &mut node.connection else { return };
            while let Some(event) = connection.poll_endpoint_events() {
                if let Some(event) = node.endpoint.handle_event(*handle, event) {
                    connection.handle_event(event);
                }
            }
            buffer.clear();
            let Some(transmit) = connection.poll_transmit(now, SEGMENTS, &mut buffer) else { return };
            let link = if node.sends { &mut self.forward } else { &mut self.backward };
            for datagram in buffer.chunks(transmit.segment_size.unwrap_or(transmit.size)) {
                if let Some(at) = link.send(now, datagram.len()) {
                    self.order += 1;
                    let data = datagram.to_vec();
                    self.arrivals.push(Reverse(Arrival { at, order: self.order, node: index ^ 1, data }));
                }
            }
        }
    }
}
