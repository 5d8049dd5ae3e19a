//! The ticket: all that a client needs to reach a host, as one word.

use std::{fmt, net::SocketAddr, str::FromStr};

use bincode::{BorrowDecode, Encode};
use bytes::BytesMut;
use data_encoding::BASE32_NOPAD_NOCASE;
use p2p_provider::{PeerAddr, PeerId, SecretKey};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::codec;

/// A ticket with a secret begins with this; the digit is the version of the format.
const PREFIX: &str = "tp2p1";

/// A ticket without one, for a client whose key the host knows. To software from before it this is a ticket of another
/// version, which it says.
const PREFIX_KEYED: &str = "tp2pk1";

/// The longest ticket, in characters. A ticket with sixteen addresses and four relays has about a thousand.
const LENGTH_MAX: usize = 4096;

/// Bytes of the SHA-256 that guards against typing errors.
const CHECKSUM_BYTES: usize = 4;

/// Where a host is, who it is, and the secret that it asks for.
///
/// Whoever has a ticket with a secret may send requests to the host: treat it as a password. One without is of use only to
/// a client whose key the host [knows](crate::pairing). The `Display` is the whole ticket, the `Debug` hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The host.
    pub host: PeerAddr,
    /// What it asks for; nothing if it knows the client's key.
    pub secret: Option<TicketSecret>,
}

impl Ticket {
    /// What the client presents to the host.
    pub(crate) fn credential(&self) -> &[u8] {
        self.secret.as_ref().map_or(&[], |secret| secret.as_bytes())
    }
}

/// The secret of a [`Ticket`]: 32 bytes.
#[derive(Clone)]
pub struct TicketSecret([u8; 32]);

impl TicketSecret {
    /// A fresh secret.
    #[must_use]
    pub fn generate() -> Self {
        Self::from(SecretKey::generate())
    }

    /// The bytes, for storage.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; 32] {
        self.0
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares in constant time.
    pub(crate) fn matches(&self, credential: &[u8]) -> bool {
        self.0.ct_eq(credential).into()
    }
}

impl From<SecretKey> for TicketSecret {
    /// Ticket secrets are kept in [key files](p2p_provider::key_file).
    fn from(key: SecretKey) -> Self {
        Self(key.to_bytes())
    }
}

impl PartialEq for TicketSecret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for TicketSecret {}

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSecret(..)")
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("host", &self.host).finish_non_exhaustive()
    }
}

/// The encoded content, in wire order.
#[derive(Encode, BorrowDecode)]
struct Content {
    id: [u8; 32],
    secret: [u8; 32],
    direct: Vec<SocketAddr>,
    relays: Vec<String>,
}

/// The same without a secret.
#[derive(Encode, BorrowDecode)]
struct KeyedContent {
    id: [u8; 32],
    direct: Vec<SocketAddr>,
    relays: Vec<String>,
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, direct, relays) = (self.host.id.0, self.host.direct.clone(), self.host.relays.clone());
        let mut bytes = BytesMut::new();
        let (prefix, checked) = if let Some(secret) = &self.secret {
            codec::encode(&Content { id, secret: secret.0, direct, relays }, &mut bytes);
            (PREFIX, "")
        } else {
            codec::encode(&KeyedContent { id, direct, relays }, &mut bytes);
            (PREFIX_KEYED, PREFIX_KEYED)
        };
        let checksum = checksum(checked, &bytes);
        bytes.extend_from_slice(&checksum);
        write!(f, "{prefix}{}", BASE32_NOPAD_NOCASE.encode(&bytes).to_ascii_lowercase())
    }
}

impl FromStr for Ticket {
    type Err = ParseTicketError;

    /// Accepts upper and lower case, and white space around and inside (line breaks of mail programs).
    fn from_str(text: &str) -> Result<Self, ParseTicketError> {
        let text: String =
            text.chars().filter(|c| !c.is_whitespace()).take(LENGTH_MAX + 1).collect::<String>().to_ascii_lowercase();
        if text.is_empty() {
            return Err(ParseTicketError::Empty);
        }
        if text.len() > LENGTH_MAX {
            return Err(ParseTicketError::TooLong);
        }
        let (encoded, keyed, checked) = match (text.strip_prefix(PREFIX), text.strip_prefix(PREFIX_KEYED)) {
            (Some(encoded), _) => (encoded, false, ""),
            (_, Some(encoded)) => (encoded, true, PREFIX_KEYED),
            _ if text.starts_with("tp2p") => return Err(ParseTicketError::Version),
            _ => return Err(ParseTicketError::Prefix),
        };
        let bytes = BASE32_NOPAD_NOCASE.decode(encoded.as_bytes()).map_err(|_| ParseTicketError::Damaged)?;
        let (bytes, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(ParseTicketError::Damaged)?;
        if checksum(checked, bytes) != *sum {
            return Err(ParseTicketError::Damaged);
        }
        let damaged = |_| ParseTicketError::Damaged;
        if keyed {
            let KeyedContent { id, direct, relays } = codec::decode(bytes).map_err(damaged)?;
            return Ok(Self { host: PeerAddr { id: PeerId(id), direct, relays }, secret: None });
        }
        let Content { id, secret, direct, relays } = codec::decode(bytes).map_err(damaged)?;
        Ok(Self { host: PeerAddr { id: PeerId(id), direct, relays }, secret: Some(TicketSecret(secret)) })
    }
}

/// Over a ticket's prefix, if it is to be told apart by that, and its content.
fn checksum(prefix: &str, bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = Sha256::new().chain_update(prefix).chain_update(bytes).finalize();
    std::array::from_fn(|i| digest[i])
}

/// The text is not a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseTicketError {
    /// There is no text.
    #[error("the ticket is empty; copy the word that `tunnel-p2p host` prints")]
    Empty,
    /// Something else.
    #[error("this is not a ticket: tickets begin with '{PREFIX}'; copy the word that `tunnel-p2p host` prints")]
    Prefix,
    /// From another version.
    #[error("this ticket is of another version; bring host and client to the same version")]
    Version,
    /// Mistyped or cut.
    #[error("the ticket is damaged (mistyped or cut off); copy it again")]
    Damaged,
    /// Far longer than a ticket can be.
    #[error("the text is over {LENGTH_MAX} characters long, which no ticket is")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            host: PeerAddr {
                id: PeerId([7; 32]),
                direct: vec!["192.0.2.1:17420".parse().unwrap(), "[2001:db8::1]:17420".parse().unwrap()],
                relays: vec!["https://relay.example.org/".to_owned()],
            },
            secret: Some(TicketSecret([9; 32])),
        }
    }

    #[test]
    fn a_ticket_without_a_secret_survives_its_text_and_holds_none() {
        let keyed = Ticket { secret: None, ..ticket() };
        let text = keyed.to_string();
        assert!(text.starts_with("tp2pk1"), "{text}");
        assert_eq!(text.parse(), Ok(keyed.clone()));
        assert_eq!(text.to_uppercase().parse(), Ok(keyed.clone()));
        assert!(keyed.credential().is_empty());
        // One kind is not taken for the other.
        assert_eq!(text.replacen("tp2pk1", "tp2p1", 1).parse::<Ticket>(), Err(ParseTicketError::Damaged));
        let other = ticket().to_string().replacen("tp2p1", "tp2pk1", 1);
        assert_eq!(other.parse::<Ticket>(), Err(ParseTicketError::Damaged));
    }

    #[test]
    fn a_ticket_survives_its_text_in_any_case_and_with_line_breaks() {
        let text = ticket().to_string();
        assert_eq!(text.parse(), Ok(ticket()));
        assert_eq!(text.to_uppercase().parse(), Ok(ticket()));
        let broken: String =
            text.chars().enumerate().flat_map(|(i, c)| if i % 40 == 39 { vec![c, '\n'] } else { vec![c] }).collect();
        assert_eq!(format!("  {broken}\r\n").parse(), Ok(ticket()));
    }

    #[test]
    fn the_format_does_not_change_by_accident() {
        let bare = Ticket { host: PeerAddr::new(PeerId([0; 32])), secret: Some(TicketSecret([0; 32])) };
        let zeros = "a".repeat(105);
        let text = bare.to_string();
        assert!(text.starts_with(&format!("tp2p1{zeros}")), "{text}");
        assert_eq!(text.len(), 5 + (66usize + 4).div_ceil(5) * 8, "{text}");
    }

    #[test]
    fn the_secret_is_not_printed_for_debugging() {
        assert!(!format!("{:?}", ticket()).contains("9, 9"));
    }

    #[test]
    fn each_kind_of_wrong_text_has_its_own_message() {
        let good = ticket().to_string();
        assert_eq!("".parse::<Ticket>(), Err(ParseTicketError::Empty));
        assert_eq!("https://example.org".parse::<Ticket>(), Err(ParseTicketError::Prefix));
        assert_eq!(good.replacen("tp2p1", "tp2p2", 1).parse::<Ticket>(), Err(ParseTicketError::Version));
        assert_eq!(good[..good.len() - 9].parse::<Ticket>(), Err(ParseTicketError::Damaged));
        assert_eq!(good.repeat(20).parse::<Ticket>(), Err(ParseTicketError::TooLong));
    }

    proptest! {
        #[test]
        fn a_changed_character_is_noticed(position in 5usize..100, with in "[a-z2-7]") {
            let good = ticket().to_string();
            let mut changed = good.clone();
            changed.replace_range(position..=position, &with);
            prop_assume!(changed != good);
            prop_assert_eq!(changed.parse::<Ticket>(), Err(ParseTicketError::Damaged));
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".*") {
            text.parse::<Ticket>().ok();
            format!("{PREFIX}{text}").parse::<Ticket>().ok();
            format!("{PREFIX_KEYED}{text}").parse::<Ticket>().ok();
        }
    }
}
