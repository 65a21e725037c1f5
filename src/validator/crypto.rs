//! Signature algorithms: which we know, what one verification costs, and the verification itself.
//!
//! `ring` does the arithmetic. What it leaves to its caller is here: the key forms of RFC 3110,
//! RFC 6605 and RFC 8080, and the bounds on RSA keys that keep a single verification cheap.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519,
    RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey,
};

use crate::config::Config;

/// A signature algorithm we verify with. Every other number is unsupported: alone in a DS RRset it
/// makes the zone insecure, next to a known one it counts for nothing (RFC 6840 §5.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Algorithm {
    /// 5 and 7 (RFC 3110, RFC 5155 §2).
    RsaSha1,
    /// 8 (RFC 5702).
    RsaSha256,
    /// 10 (RFC 5702).
    RsaSha512,
    /// 13 (RFC 6605).
    EcdsaP256,
    /// 14 (RFC 6605).
    EcdsaP384,
    /// 15 (RFC 8080).
    Ed25519,
    /// An old algorithm that tests ask to be believed (`fake-sha1`, `fake-dsa`).
    Fake,
}

/// Bounds on the modulus in bits: what `ring` verifies, and what costs no more than it is worth.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 1024..=4096;
/// Greatest public exponent: the largest Fermat number plus slack that anybody uses (2^32 + 1).
const MAX_EXPONENT: u64 = (1 << 32) + 1;

impl Algorithm {
    /// The algorithm of that number; `None` when it is not supported.
    ///
    /// Differs on purpose from RFC 9905 §3, which has operators treat 5 and 7 as insecure: as in
    /// Unbound they validate, since a zone that signs with them is still better checked than not.
    pub(super) fn supported(number: u8, config: &Config) -> Option<Self> {
        Some(match number {
            3 | 6 if config.fake_sha1 || config.fake_dsa => Self::Fake,
            5 | 7 if config.fake_sha1 => Self::Fake,
            5 | 7 => Self::RsaSha1,
            8 => Self::RsaSha256,
            10 => Self::RsaSha512,
            13 => Self::EcdsaP256,
            14 => Self::EcdsaP384,
            15 => Self::Ed25519,
            _ => return None,
        })
    }

    /// What one verification with this key costs, in units of the budget.
    pub(super) fn weight(self, public_key: &[u8]) -> u32 {
        match self {
            Self::Fake => 0,
            Self::RsaSha1 | Self::RsaSha256 | Self::RsaSha512 => {
                if self.key_bits(public_key) > 2048 { 2 } else { 1 }
            }
            Self::EcdsaP256 | Self::Ed25519 => 2,
            Self::EcdsaP384 => 8,
        }
    }

    /// Size of a key in bits, as far as NSEC3 iterations are limited by it (RFC 5155 §10.3); 0 for
    /// a key that is no key.
    pub(super) fn key_bits(self, public_key: &[u8]) -> usize {
        match self {
            Self::RsaSha1 | Self::RsaSha256 | Self::RsaSha512 => {
                RsaKey::parse(public_key).map_or(0, |key| key.modulus_bits())
            }
            Self::EcdsaP256 | Self::Ed25519 => 256,
            Self::EcdsaP384 => 384,
            Self::Fake => 1024,
        }
    }

    /// Whether `signature` over `message` is that of `public_key`. A key or signature of the wrong
    /// form is a signature that does not verify.
    pub(super) fn verify(self, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::RsaSha1 => {
                rsa(&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, public_key, message, signature)
            }
            Self::RsaSha256 => {
                rsa(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, public_key, message, signature)
            }
            Self::RsaSha512 => {
                rsa(&RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, public_key, message, signature)
            }
            Self::EcdsaP256 => {
                let Ok(point) = <&[u8; 64]>::try_from(public_key) else { return false };
                let key = uncompressed::<65>(point);
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
                    .verify(message, signature)
                    .is_ok()
            }
            Self::EcdsaP384 => {
                let Ok(point) = <&[u8; 96]>::try_from(public_key) else { return false };
                let key = uncompressed::<97>(point);
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key)
                    .verify(message, signature)
                    .is_ok()
            }
            Self::Ed25519 => {
                UnparsedPublicKey::new(&ED25519, public_key).verify(message, signature).is_ok()
            }
            Self::Fake => true,
        }
    }
}

/// A point as SEC 1 §2.3.3 writes it; DNSSEC leaves out the first octet (RFC 6605 §4).
fn uncompressed<const LEN: usize>(point: &[u8]) -> [u8; LEN] {
    let mut key = [4; LEN];
    if let Some(rest) = key.get_mut(1..).filter(|rest| rest.len() == point.len()) {
        rest.copy_from_slice(point);
    }
    key
}

fn rsa(form: &'static RsaParameters, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Some(key) = RsaKey::parse(key).filter(RsaKey::is_usable) else { return false };
    // RFC 8017 §8.2.2 step 1: the signature is as long as the modulus.
    signature.len() == key.n.len()
        && RsaPublicKeyComponents { n: key.n, e: key.e }.verify(form, message, signature).is_ok()
}

/// An RSA key in the form of RFC 3110 §2, leading zeros removed.
struct RsaKey<'a> {
    e: &'a [u8],
    n: &'a [u8],
}

impl<'a> RsaKey<'a> {
    fn parse(key: &'a [u8]) -> Option<Self> {
        let (len, rest) = match key {
            [0, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            [len, rest @ ..] if *len > 0 => (usize::from(*len), rest),
            _ => return None,
        };
        let (e, n) = rest.split_at_checked(len)?;
        Some(Self { e: without_zeros(e), n: without_zeros(n) })
    }

    fn modulus_bits(&self) -> usize {
        let spare = self.n.first().map_or(0, |first| first.leading_zeros());
        self.n.len() * 8 - spare as usize
    }

    fn is_usable(&self) -> bool {
        let exponent = match self.e {
            [] => return false,
            e if e.len() > 5 => return false,
            e => e.iter().fold(0u64, |sum, octet| sum << 8 | u64::from(*octet)),
        };
        MODULUS_BITS.contains(&self.modulus_bits())
            && (3..=MAX_EXPONENT).contains(&exponent)
            && exponent % 2 == 1
    }
}

fn without_zeros(octets: &[u8]) -> &[u8] {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    octets.get(zeros..).unwrap_or_default()
}
