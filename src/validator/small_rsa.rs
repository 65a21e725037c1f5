//! RSA signatures by keys of 512 to 1,023 bits, which `ring` does not verify.
//!
//! Such keys are weak, and RFC 3110 §2 and RFC 5702 §2.1 allow them: a zone that has one is still
//! better checked than not. Nothing here is secret, so the time it takes may depend on it; the size
//! of the modulus bounds it.

use num_bigint::BigUint;
use ring::digest;

/// Sizes of moduli in bits.
pub(super) const BITS: std::ops::Range<usize> = 512..1024;

/// A hash with what PKCS #1 writes before it (RFC 8017 §9.2, note 1).
pub(super) struct Hash {
    algorithm: &'static digest::Algorithm,
    prefix: &'static [u8],
}

/// SHA-1.
pub(super) static SHA1: Hash = Hash {
    algorithm: &digest::SHA1_FOR_LEGACY_USE_ONLY,
    prefix: &[0x30, 0x21, 0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0, 4, 0x14],
};

/// SHA-256.
pub(super) static SHA256: Hash = Hash {
    algorithm: &digest::SHA256,
    prefix: &[0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20],
};

/// Whether `signature` is that of `message` by the key with exponent `e` and modulus `n`, which has
/// no leading zeros (RSASSA-PKCS1-v1_5, RFC 8017 §8.2.2). The whole encoded message is made and
/// compared, so there is nothing to parse that could be parsed wrongly.
pub(super) fn verify(hash: &Hash, e: &[u8], n: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let digest = digest::digest(hash.algorithm, message);
    let tail = [&[0], hash.prefix, digest.as_ref()].concat();
    // At least eight octets of padding: that much room there is with 512 bits, for these hashes.
    let Some(padding) = n.len().checked_sub(tail.len() + 2).filter(|len| *len >= 8) else {
        return false;
    };
    let encoded = [&[0, 1], vec![0xff; padding].as_slice(), &tail].concat();
    let [e, n, signature] = [e, n, signature].map(BigUint::from_bytes_be);
    signature < n && signature.modpow(&e, &n) == BigUint::from_bytes_be(&encoded)
}
