//! A router forgets its flows, as one that restarts or that runs out of room does.

use anyhow::{Context, Result, bail};
use netlink_sys::{Socket, SocketAddr};
use patchbay::Router;

/// `NETLINK_NETFILTER` of `linux/netlink.h`.
const NETFILTER: isize = 12;

/// `IPCTNL_MSG_CT_DELETE` of the subsystem `NFNL_SUBSYS_CTNETLINK` (`linux/netfilter/nfnetlink_conntrack.h`): of a flow if
/// one is named, else of all.
const DELETE_FLOWS: u16 = (1 << 8) | 2;

/// `NLM_F_REQUEST | NLM_F_ACK`.
const ACKNOWLEDGED_REQUEST: u16 = 1 | 4;

/// `NLMSG_ERROR`, which also acknowledges.
const ERROR: u16 = 2;

/// Deletes every flow that the router knows. The tool `conntrack -F` does the same where it is installed.
pub(crate) fn forget_flows(router: &Router) -> Result<()> {
    router.run_sync(flush)
}

fn flush() -> Result<()> {
    let mut socket = Socket::new(NETFILTER).context("no netlink to netfilter")?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&request(), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    match error_code(&answer) {
        Some(0) => Ok(()),
        Some(code) => {
            let error = std::io::Error::from_raw_os_error(-code);
            bail!("the kernel does not delete flows: {error}")
        }
        None => bail!("the kernel answers something else: {answer:?}"),
    }
}

/// A message header and an empty `nfgenmsg`.
fn request() -> Vec<u8> {
    let mut message = Vec::with_capacity(20);
    message.extend(20_u32.to_ne_bytes());
    message.extend(DELETE_FLOWS.to_ne_bytes());
    message.extend(ACKNOWLEDGED_REQUEST.to_ne_bytes());
    // Sequence number and sender.
    message.extend([0; 8]);
    // Family: any. Version and resource: 0.
    message.extend([0; 4]);
    message
}

fn error_code(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let code = i32::from_ne_bytes(answer.get(16..20)?.try_into().ok()?);
    (kind == ERROR).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_is_told_from_an_error() {
        let answer = |kind: u16, code: i32| {
            let mut bytes = request();
            bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
            bytes[16..20].copy_from_slice(&code.to_ne_bytes());
            bytes
        };
        assert_eq!(error_code(&answer(ERROR, 0)), Some(0));
        assert_eq!(error_code(&answer(ERROR, -1)), Some(-1));
        assert_eq!(error_code(&answer(3, 0)), None);
        assert_eq!(error_code(&[]), None);
    }
}
