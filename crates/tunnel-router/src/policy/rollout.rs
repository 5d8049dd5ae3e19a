//! Who takes part in a rollout: decided by the client id alone, everywhere alike (`spec/vectors/rollout.json`).

use sha2::{Digest, Sha256};

/// The number of buckets: a hundredth of a percent each.
pub const BUCKETS: u16 = 10_000;

/// Keeps the buckets of this rollout apart from any other use of the same hash.
const CONTEXT: &[u8] = b"tunnel-p2p rollout\0";

/// The bucket of a client, from 0 to 9,999. It takes part if its bucket is below a hundred times the percentage, so
/// whoever takes part at some percentage does so at every higher one.
#[must_use]
pub fn bucket(client_id: &str) -> u16 {
    let hash = Sha256::new().chain_update(CONTEXT).chain_update(client_id).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    // Below 10,000, so the cast loses nothing.
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below 10,000")]
    let bucket = (u64::from_be_bytes(first) % u64::from(BUCKETS)) as u16;
    bucket
}
