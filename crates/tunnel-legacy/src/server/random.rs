//! Chance, passed in.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use data_encoding::HEXLOWER;
use fastrand::Rng;

/// Where tokens and ids come from.
#[derive(Clone)]
pub struct Random(Source);

#[derive(Clone)]
enum Source {
    System,
    Seeded(Arc<Mutex<Rng>>),
}

impl Random {
    /// The operating system's randomness: tokens cannot be guessed.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// The same tokens and ids in every run, for tests and simulations. Never for a server that others reach.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(Rng::with_seed(seed)))))
    }

    /// A fresh token: a random UUID, as the published server makes them.
    pub(super) fn token(&self) -> Result<String, RandomError> {
        let mut bytes = [0; 16];
        self.fill(&mut bytes)?;
        // RFC 9562 §5.4: version 4, variant 10.
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = HEXLOWER.encode(&bytes);
        Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
    }

    pub(super) fn u64(&self) -> Result<u64, RandomError> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        match &self.0 {
            Source::System => getrandom::fill(bytes).map_err(RandomError),
            Source::Seeded(rng) => {
                rng.lock().unwrap_or_else(PoisonError::into_inner).fill(bytes);
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Random::system",
            Source::Seeded(_) => "Random::seeded",
        })
    }
}

/// The operating system has no randomness to give.
#[derive(Debug, thiserror::Error)]
#[error("the operating system has no randomness to give")]
pub struct RandomError(#[source] getrandom::Error);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_uuids_of_version_4() {
        for random in [Random::system(), Random::seeded(7)] {
            let token = random.token().unwrap();
            let lengths: Vec<usize> = token.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12]);
            assert_eq!(&token[14..15], "4");
            assert!(["8", "9", "a", "b"].contains(&&token[19..20]));
            assert_ne!(token, random.token().unwrap());
        }
        assert_eq!(Random::seeded(1).token().unwrap(), Random::seeded(1).token().unwrap());
    }
}
