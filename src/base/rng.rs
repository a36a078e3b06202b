//! Chance as it is given to the cores: a seeded generator, so that a test replays to the byte.
//!
//! ChaCha, because tags, branches, nonces and SSRCs must not be guessable (RFC 3261 19.3, RFC 3550 8).

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// A seeded, cryptographically strong generator.
#[derive(Clone, Debug)]
pub struct Rng(ChaCha12Rng);

impl Rng {
    /// The seed comes from `sys::clock::seed()` in the service and is a constant in tests.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// For tests and simulations: a short seed.
    pub fn from_u64(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }

    /// A generator for another core, independent of this one's later output.
    pub fn fork(&mut self) -> Self {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        Self::new(seed)
    }

    /// Uniform over all values.
    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Uniform over all values.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..bound`; 0 when `bound` is 0. The bias of the modulus is below 2^-32 for small bounds.
    pub fn below(&mut self, bound: u32) -> u32 {
        if bound == 0 { 0 } else { (self.u64() % u64::from(bound)) as u32 }
    }

    /// `len` lower-case hexadecimal digits: tags, branches, Call-IDs.
    pub fn hex(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from_digit(self.below(16), 16).unwrap_or('0')).collect()
    }

    /// A random (version 4) UUID in its usual text form.
    pub fn uuid(&mut self) -> String {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_replays_and_forks_differ() {
        let mut a = Rng::from_u64(7);
        let mut b = Rng::from_u64(7);
        assert_eq!(a.uuid(), b.uuid());
        assert_ne!(a.fork().u64(), a.u64());
        assert_eq!(a.hex(32).len(), 32);
        assert_eq!(b.below(0), 0);
    }
}
