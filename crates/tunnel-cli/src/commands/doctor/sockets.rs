//! UDP sockets, their buffers, and the way out of this machine.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use p2p_provider::iroh::is_public;
use socket2::{Domain, Protocol, Socket, Type};

use super::check::{Check, Topic};

/// What Iroh asks the system for, in bytes (netwatch 0.19).
const BUFFER_WANTED: usize = 7 << 20;

/// Below this bursts of a fast link are lost: 10 ms at 1 Gbit/s. Linux counts its own bookkeeping in, and so does this.
const BUFFER_ENOUGH: usize = 2 << 20;

/// A socket that goes there takes the address that the default route has. Nothing is sent. Documentation addresses
/// (RFC 5737, RFC 3849), so that no route but the default one has them.
const OUTSIDE_V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 9);
const OUTSIDE_V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9);

/// What the system said.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) v4: io::Result<()>,
    pub(super) v6: io::Result<()>,
    pub(super) host_port: u16,
    pub(super) port: io::Result<()>,
    pub(super) buffer_bytes: io::Result<usize>,
    /// From which address packets leave, by family.
    pub(super) out_v4: io::Result<IpAddr>,
    pub(super) out_v6: io::Result<IpAddr>,
    pub(super) bind: Option<IpAddr>,
}

impl Facts {
    /// Asks the system. Nothing is sent.
    pub(super) fn collect(bind: Option<IpAddr>, host_port: u16) -> Self {
        let (any_v4, any_v6) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let open = |address: IpAddr| UdpSocket::bind((address, 0)).map(drop);
        let of_family = |any: IpAddr| match bind {
            Some(address) if address.is_ipv4() == any.is_ipv4() => address,
            _ => any,
        };
        Self {
            v4: open(of_family(any_v4)),
            v6: open(of_family(any_v6)),
            host_port,
            port: UdpSocket::bind((bind.unwrap_or(any_v4), host_port)).map(drop),
            buffer_bytes: buffer(),
            out_v4: way_out(any_v4, OUTSIDE_V4),
            out_v6: way_out(any_v6, OUTSIDE_V6),
            bind,
        }
    }

    /// Whether packets may leave the machine at all.
    pub(super) fn stays_here(&self) -> bool {
        self.bind.is_some_and(|address| address.is_loopback())
    }

    /// What follows.
    pub(super) fn checks(&self) -> Vec<Check> {
        let mut checks = vec![self.sockets(), self.port(), self.buffers()];
        match self.bind {
            Some(address) => {
                let why = format!("--bind keeps this to {address}");
                checks.extend([Topic::Ipv4, Topic::Ipv6].map(|topic| Check::not_checked(topic, &why)));
            }
            None => checks.extend([self.ipv4(), self.ipv6()]),
        }
        checks
    }

    fn sockets(&self) -> Check {
        match (&self.v4, &self.v6, self.bind) {
            (Err(error), _, Some(IpAddr::V4(address))) => cannot_open(&address.into(), error),
            (_, Err(error), Some(IpAddr::V6(address))) => cannot_open(&address.into(), error),
            (_, _, Some(address)) => Check::ok(Topic::Sockets, format!("can be opened at {address}")),
            (Ok(()), Ok(()), None) => Check::ok(Topic::Sockets, "can be opened, for IPv4 and IPv6"),
            (Ok(()), Err(error), None) => Check::note(Topic::Sockets, format!("for IPv4 only; for IPv6: {error}")),
            (Err(error), Ok(()), None) => Check::note(Topic::Sockets, format!("for IPv6 only; for IPv4: {error}")),
            (Err(error), Err(_), None) => Check::failed(Topic::Sockets, format!("cannot be opened: {error}")).next(
                "look what keeps this user from opening sockets: a container, a sandbox, or a limit of open files \
                 (ulimit -n)",
            ),
        }
    }

    fn port(&self) -> Check {
        let port = self.host_port;
        match &self.port {
            Ok(()) => Check::ok(Topic::HostPort, format!("UDP {port} is free; a host that starts here takes it")),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Check::note(
                Topic::HostPort,
                format!("UDP {port} is in use: as it should be if a host runs on this machine"),
            )
            .next(format!(
                "if none does, `ss -lunp | grep {port}` shows who has it; `tunnel-p2p host --port 17421` takes another"
            )),
            Err(error) => Check::problem(Topic::HostPort, format!("UDP {port} cannot be opened: {error}"))
                .next("choose a port above 1023: `tunnel-p2p host --port 17420`, or `port` in [host]"),
        }
    }

    fn buffers(&self) -> Check {
        match self.buffer_bytes {
            Ok(bytes) if bytes >= BUFFER_ENOUGH => {
                Check::ok(Topic::Buffers, format!("{} to receive", kibibytes(bytes)))
            }
            Ok(bytes) => Check::note(
                Topic::Buffers,
                format!(
                    "{} to receive, {} are wanted: enough up to some 100 Mbit/s, beyond that bursts may be lost",
                    kibibytes(bytes),
                    kibibytes(BUFFER_WANTED)
                ),
            )
            .next("for faster links, on Linux: sysctl -w net.core.rmem_max=7500000 net.core.wmem_max=7500000"),
            Err(ref error) => Check::not_checked(Topic::Buffers, format!("the system does not tell: {error}")),
        }
    }

    fn ipv4(&self) -> Check {
        match (&self.out_v4, &self.out_v6) {
            (Ok(address), _) if is_public(*address) => {
                Check::ok(Topic::Ipv4, format!("leaves from {address}, a public address"))
            }
            (Ok(address), _) => {
                Check::ok(Topic::Ipv4, format!("leaves from {address}, a private address: there is a NAT router"))
            }
            (Err(_), Ok(_)) => {
                Check::note(Topic::Ipv4, "there is no way out: hosts and gateways with IPv4 only need a relay")
            }
            (Err(error), Err(_)) => Check::failed(
                Topic::Ipv4,
                format!("there is no way out, nor over IPv6: this machine is alone ({error})"),
            )
            .next("connect it to a network; on this machine alone everything works with --bind 127.0.0.1"),
        }
    }

    fn ipv6(&self) -> Check {
        match &self.out_v6 {
            Ok(address) if is_public(*address) => {
                Check::ok(Topic::Ipv6, format!("leaves from {address}, a public address"))
            }
            Ok(address) => Check::note(
                Topic::Ipv6,
                format!("leaves from {address}, a private address: it does not reach the internet"),
            ),
            Err(_) => Check::note(
                Topic::Ipv6,
                "there is no way out; with IPv6 on both sides a direct path is found more often",
            ),
        }
    }
}

fn cannot_open(address: &IpAddr, error: &io::Error) -> Check {
    Check::failed(Topic::Sockets, format!("cannot be opened at {address}: {error}"))
        .next("give --bind an address of this machine (`ip address` lists them), or leave it out")
}

fn way_out(from: IpAddr, to: SocketAddr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((from, 0))?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

/// How much of what is wanted the system gives.
fn buffer() -> io::Result<usize> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(BUFFER_WANTED)?;
    socket.recv_buffer_size()
}

fn kibibytes(bytes: usize) -> String {
    format!("{} KiB", bytes / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::State;

    fn facts() -> Facts {
        Facts {
            v4: Ok(()),
            v6: Ok(()),
            host_port: 17_420,
            port: Ok(()),
            buffer_bytes: Ok(8 << 20),
            out_v4: Ok("192.168.1.4".parse().unwrap()),
            out_v6: Ok("2001:db8::4".parse().unwrap()),
            bind: None,
        }
    }

    fn state(facts: &Facts, topic: Topic) -> (State, String) {
        let check = facts.checks().into_iter().find(|check| check.topic == topic).unwrap();
        (check.state, [check.found, check.next.unwrap_or_default()].join(" / "))
    }

    fn refused(kind: io::ErrorKind) -> io::Error {
        io::Error::from(kind)
    }

    #[test]
    fn an_ordinary_machine_has_nothing_to_say() {
        assert!(facts().checks().iter().all(|check| check.state == State::Ok && check.next.is_none()));
    }

    #[test]
    fn a_port_in_use_is_no_fault_of_a_machine_with_a_host() {
        let facts = Facts { port: Err(refused(io::ErrorKind::AddrInUse)), ..facts() };
        let (state, text) = state(&facts, Topic::HostPort);
        assert_eq!(state, State::Note);
        assert!(text.contains("if a host runs") && text.contains("--port 17421"), "{text}");
    }

    #[test]
    fn small_buffers_are_noted_with_the_setting() {
        let (state, text) = state(&Facts { buffer_bytes: Ok(416 << 10), ..facts() }, Topic::Buffers);
        assert_eq!(state, State::Note);
        assert!(text.contains("416 KiB") && text.contains("rmem_max"), "{text}");
    }

    #[test]
    fn a_machine_without_a_network_is_told_so_once() {
        let none = || Err(refused(io::ErrorKind::NetworkUnreachable));
        let facts = Facts { out_v4: none(), out_v6: none(), ..facts() };
        assert_eq!(state(&facts, Topic::Ipv4).0, State::Failed);
        assert_eq!(state(&facts, Topic::Ipv6).0, State::Note);
        let only_v6 = Facts { out_v4: none(), ..self::facts() };
        assert_eq!(state(&only_v6, Topic::Ipv4).0, State::Note);
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let facts = Facts {
            v4: Err(refused(io::ErrorKind::AddrNotAvailable)),
            bind: Some("192.0.2.77".parse().unwrap()),
            ..facts()
        };
        assert_eq!(state(&facts, Topic::Sockets).0, State::Failed);
        assert_eq!(state(&facts, Topic::Ipv4).0, State::NotChecked);
    }

    #[test]
    fn the_system_is_asked_without_a_packet() {
        let facts = Facts::collect(Some(Ipv4Addr::LOCALHOST.into()), 0);
        assert!(facts.v4.is_ok() && facts.port.is_ok() && facts.buffer_bytes.is_ok());
        assert!(facts.stays_here());
    }
}
