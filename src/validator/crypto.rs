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

use super::small_rsa;
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
/// RSA/SHA-1 and RSA/SHA-256 keys may be smaller ([`small_rsa::BITS`]), those of RSA/SHA-512 may not
/// (RFC 5702 §2.2).
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 1024..=4096;
/// Greatest public exponent: the largest Fermat number plus slack that anybody uses (2^32 + 1).
const MAX_EXPONENT: u64 = (1 << 32) + 1;

impl Algorithm {
    /// The algorithm of that number; `None` when it is not supported.
    ///
    /// Differs on purpose from RFC 9905 §3, which has operators treat 5 and 7 as insecure: as with
    /// every other validator today they count by default, since a zone that signs with them is
    /// still better checked than not. `val-accept-sha1: no` follows the RFC.
    pub(super) fn supported(number: u8, config: &Config) -> Option<Self> {
        Some(match number {
            3 | 6 if is_believed(config.fake_sha1 || config.fake_dsa) => Self::Fake,
            5 | 7 if is_believed(config.fake_sha1) => Self::Fake,
            5 | 7 if config.val_accept_sha1 => Self::RsaSha1,
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
                let form = &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY;
                rsa(form, Some(&small_rsa::SHA1), public_key, message, signature)
            }
            Self::RsaSha256 => {
                let form = &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
                rsa(form, Some(&small_rsa::SHA256), public_key, message, signature)
            }
            Self::RsaSha512 => {
                let form = &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY;
                rsa(form, None, public_key, message, signature)
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
            // No key at all makes one of nothing (RFC 4034 §3.1.8).
            Self::Fake => !signature.is_empty(),
        }
    }
}

/// Whether an option that makes us believe signatures and digests unseen is on. It cannot be in what
/// users install, whatever the configuration says: only builds with the feature `fake-sha1` have
/// code for it.
pub(super) fn is_believed(option: bool) -> bool {
    cfg!(any(test, feature = "fake-sha1")) && option
}

/// A point as SEC 1 §2.3.3 writes it; DNSSEC leaves out the first octet (RFC 6605 §4).
fn uncompressed<const LEN: usize>(point: &[u8]) -> [u8; LEN] {
    let mut key = [4; LEN];
    if let Some(rest) = key.get_mut(1..).filter(|rest| rest.len() == point.len()) {
        rest.copy_from_slice(point);
    }
    key
}

/// `small`: the hash for keys that are too small for `form`, where they are allowed.
fn rsa(
    form: &'static RsaParameters,
    small: Option<&small_rsa::Hash>,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    let Some(key) = RsaKey::parse(key).filter(RsaKey::has_usable_exponent) else { return false };
    // RFC 8017 §8.2.2 step 1: the signature is as long as the modulus.
    if signature.len() != key.n.len() {
        return false;
    }
    let bits = key.modulus_bits();
    match small {
        _ if MODULUS_BITS.contains(&bits) => {
            RsaPublicKeyComponents { n: key.n, e: key.e }.verify(form, message, signature).is_ok()
        }
        Some(hash) if small_rsa::BITS.contains(&bits) => {
            small_rsa::verify(hash, key.e, key.n, message, signature)
        }
        _ => false,
    }
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

    fn has_usable_exponent(&self) -> bool {
        let exponent = match self.e {
            [] => return false,
            e if e.len() > 5 => return false,
            e => e.iter().fold(0u64, |sum, octet| sum << 8 | u64::from(*octet)),
        };
        (3..=MAX_EXPONENT).contains(&exponent) && exponent % 2 == 1
    }
}

fn without_zeros(octets: &[u8]) -> &[u8] {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    octets.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use ring::signature::{
        Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair,
    };

    use super::*;
    use crate::wire::{Dnskey, Name, Rdata, Rrsig};

    const MESSAGE: &[u8] = b"signed octets";
    /// RSA/SHA-1 over [`MESSAGE`] by the key of [`rsa_key`]: no library here makes such any more.
    const SHA1_SIGNATURE: &str = "yMIoL9sff4vrO5fxO7V3C02ytHwttJJh06cAZXSuk0oaWde/Yr7GgBiEnDsUQ6bDFDTNdrmhagbbrAg9yM+Z9TvNj09Y0MJpYlgKf2v6gdiydaOL0uzUaOAQSqvRMbQSIhZMTCVSarveIanyZzmN1n5fyUHF8RGWSG7FORoMQKCTmKV7Lbr1PUFgj7fQVHhuO07fRmCspFFqo3mJiusxvbbCBIvj0LbeVcgS9CVq5K/2s8Ln774FW1r0Q/cwRrurMA5jMHppfkYc9GGtzeuuejxp9x9akXXHipwXYG97H8K1QdD0DfE1wPpP9LGQhuAJC2TH01i2KihayT0W2OiTqw==";
    /// Keys of 512 and 1024 bits with RSA/SHA-256 over [`MESSAGE`].
    const SMALL: [(&str, &str); 2] = [
        (
            "AwEAAbqS1+bxta2NvUElU/oZ9pngsU4PuVdtXoYKd1fqRpeZ75FLnDJfoa64NcX4v+O6RH9GrdLg5u58/0bdBxtSRDU=",
            "B5Ka+gqaA4yvQRq/h5A9v9vTV8V9eOnOCBlZ1P6/thAXdec2HtUDE5cro90jjk6bF5jv23pdvfgh+AIbKf7FFQ==",
        ),
        (
            "AwEAAfB/HVYT2f7LegOSL+4a95DyDdpgVGzz+uPqqHjGWEPyj767IwkAMXiS2kVlrg7Uy6YHNuiQ+cWzhUG+a7jv0ANifAWwMj/GZ2xJD+cHhwnan1UiKzixPJuUbWdo/SJNHcKhj+k9bjH8DK5fdzMywjQjXMUWLL5IdvqzLwJHMI9/",
            "tMNo4OnP88iSCFmEqrwrWbXx3i7l6zCJe9/nYyvZcnQtv+as+ttGi5Bc4D6JHCqF1stZEdzA7/SDxojRFlKn4BqNnuNG7C4fEDrCAh6Vu4rFG9XGReQxADTPfZLL41qOePrfz2dMN/+AZfe71FaidoPi9/e31Ad6eWqXXCICyWI=",
        ),
    ];

    fn octets(text: &str) -> Vec<u8> {
        BASE64.decode(text.as_bytes()).unwrap()
    }

    fn rsa_key() -> RsaKeyPair {
        RsaKeyPair::from_pkcs8(include_bytes!("../lab/rsa2048.pk8")).unwrap()
    }

    /// Exponent and modulus of that key.
    fn rsa_parts() -> (Vec<u8>, Vec<u8>) {
        let parts = RsaPublicKeyComponents::<Vec<u8>>::from(rsa_key().public());
        (parts.e, parts.n)
    }

    fn short_form(e: &[u8], n: &[u8]) -> Vec<u8> {
        [&[u8::try_from(e.len()).unwrap()], e, n].concat()
    }

    fn rsa_signature(padding: &'static dyn ring::signature::RsaEncoding) -> Vec<u8> {
        let key = rsa_key();
        let mut signature = vec![0; key.public().modulus_len()];
        let rng = ring::rand::SystemRandom::new();
        key.sign(padding, &rng, MESSAGE, &mut signature).unwrap();
        signature
    }

    #[test]
    fn rsa_verifies_with_each_of_its_hashes_and_no_other() {
        use Algorithm::*;
        let (e, n) = rsa_parts();
        let key = short_form(&e, &n);
        let signatures = [
            (RsaSha1, octets(SHA1_SIGNATURE)),
            (RsaSha256, rsa_signature(&RSA_PKCS1_SHA256)),
            (RsaSha512, rsa_signature(&RSA_PKCS1_SHA512)),
        ];
        for (made_by, signature) in &signatures {
            for (algorithm, _) in &signatures {
                let good = algorithm.verify(&key, MESSAGE, signature);
                assert_eq!(good, algorithm == made_by, "{made_by:?} as {algorithm:?}");
            }
            assert!(!made_by.verify(&key, b"other octets", signature));
            assert!(!made_by.verify(&key, MESSAGE, &signature[1..]), "a leading octet is missing");
            let longer = [&[0], &signature[..]].concat();
            assert!(!made_by.verify(&key, MESSAGE, &longer), "longer than the modulus");
        }
    }

    #[test]
    fn rsa_keys_are_read_in_every_form_of_rfc_3110_section_2() {
        let (e, n) = rsa_parts();
        let signature = rsa_signature(&RSA_PKCS1_SHA256);
        let good = |key: &[u8]| Algorithm::RsaSha256.verify(key, MESSAGE, &signature);
        let long_form = [&[0, 0, 3], &e[..], &n].concat();
        let padded = [&[0, 0, 5, 0, 0], &e[..], &[0, 0], &n].concat();
        let mut even = e.clone();
        *even.last_mut().unwrap() -= 1;
        for (why, key, usable) in [
            ("short form", short_form(&e, &n), true),
            ("long form", long_form, true),
            ("leading zeros", padded, true),
            ("nothing", vec![], false),
            ("no exponent", short_form(&[], &n), false),
            ("exponent 1", short_form(&[1], &n), false),
            ("even exponent", short_form(&even, &n), false),
            ("exponent above 2^32 + 1", short_form(&[1, 0, 0, 0, 3], &n), false),
            ("six octets of exponent", short_form(&[1, 0, 0, 0, 0, 1], &n), false),
            ("exponent cut short", vec![200, 1, 0, 1], false),
            ("long form cut short", vec![0, 1], false),
            ("no modulus", short_form(&e, &[]), false),
            ("modulus of 4104 bits", short_form(&e, &[&[0xff; 257], &n[..]].concat()), false),
        ] {
            assert_eq!(good(&key), usable, "{why}");
        }
    }

    #[test]
    fn rsa_keys_have_at_least_512_bits_rfc_5702_section_2_1() {
        for (key, signature) in SMALL {
            let (key, signature) = (octets(key), octets(signature));
            assert!(Algorithm::RsaSha256.verify(&key, MESSAGE, &signature));
            assert!(!Algorithm::RsaSha256.verify(&key, b"other octets", &signature));
            assert!(!Algorithm::RsaSha1.verify(&key, MESSAGE, &signature));
            assert!(!Algorithm::RsaSha512.verify(&key, MESSAGE, &signature));
            for at in [0, 20, signature.len() - 1] {
                let mut wrong = signature.clone();
                wrong[at] ^= 1;
                assert!(!Algorithm::RsaSha256.verify(&key, MESSAGE, &wrong), "{at}");
            }
            // A signature is less than the modulus (RFC 8017 §5.2.2).
            assert!(!Algorithm::RsaSha256.verify(&key, MESSAGE, &vec![0xff; signature.len()]));
        }
        let tiny = short_form(&[3], &[0xff; 63]);
        for signature in [vec![0; 63], vec![1; 63]] {
            assert!(!Algorithm::RsaSha256.verify(&tiny, MESSAGE, &signature), "504 bits");
        }
    }

    /// The example of an RFC: DNSKEY, data that was signed up to the owner, RRSIG.
    fn example(
        dnskey: &str,
        rrsig_head: &[u8],
        signer: &str,
        record: &[u8],
        signature: &str,
    ) -> bool {
        let key = Rdata::from_bytes(octets(dnskey));
        let key = Dnskey::parse(&key).unwrap();
        let signer: Name = signer.parse().unwrap();
        let head = [rrsig_head, &key.key_tag.to_be_bytes(), signer.as_wire()].concat();
        let rrsig = Rdata::from_bytes([&head, &octets(signature)[..]].concat());
        let signature = Rrsig::parse(&rrsig).unwrap();
        let data = [&head, record].concat();
        Algorithm::supported(key.algorithm, &Config::default()).unwrap().verify(
            key.public_key,
            &data,
            signature.signature,
        )
    }

    #[test]
    fn ecdsa_and_ed25519_verify_the_examples_of_their_rfcs() {
        // 2010-09-09 10:04:39 and 10:20:25, a month earlier each; www.example.net. A 192.0.2.1.
        let a = b"\x03www\x07example\x03net\0\0\x01\0\x01\0\0\x0e\x10\0\x04\xc0\0\x02\x01";
        let p256 = [
            &[0, 1, 13, 3, 0, 0, 0x0e, 0x10][..],
            &1_284_026_679u32.to_be_bytes(),
            &1_281_607_479u32.to_be_bytes(),
        ]
        .concat();
        let p384 = [
            &[0, 1, 14, 3, 0, 0, 0x0e, 0x10][..],
            &1_284_027_625u32.to_be_bytes(),
            &1_281_608_425u32.to_be_bytes(),
        ]
        .concat();
        // example.com. MX 10 mail.example.com.
        let mx =
            b"\x07example\x03com\0\0\x0f\0\x01\0\0\x0e\x10\0\x14\0\x0a\x04mail\x07example\x03com\0";
        let ed = [
            &[0, 15, 15, 2, 0, 0, 0x0e, 0x10][..],
            &1_440_021_600u32.to_be_bytes(),
            &1_438_207_200u32.to_be_bytes(),
        ]
        .concat();
        let cases = [
            (
                "RFC 6605 section 6.1",
                "AQEDDRqIyIYV1Df7uL+eGUKhkp8oVicGrmwr05nnsb+20ennW5K0qkKReuHGG3Ae8DXD/nvjAJy6/lovcTFskC3PDQA=",
                p256,
                "example.net.",
                &a[..],
                "qx6wLYqmh+l9oCKTN6qIc+bw6ya+KJ8oMz0YP107epXAyGmt+3SNruPFKG7tZoLBLlUzGGus7ZwmwWep666VCw==",
            ),
            (
                "RFC 6605 section 6.2",
                "AQEDDsSmGjYVnRjnyfpz6y/P2q5MH9hGNzAyfkhKyorwVUrptcP3oLF70gA7TSYcnpuUQjqYEOivF9Q0UhJK22EPjgfr/P7l+OTQcGPK6euRehpbq/CP5pVTYBelv6kyN+5uNA==",
                p384,
                "example.net.",
                &a[..],
                "/L5hDKIvGDyI1fcARX3z65qrmPsVz73QD1Mr5CEqOiLP95hxQouuroGCeZOvzFaxsT8Glr74hbavRKayJNuydCuzWTSSPdz7wnqXL5bdcJzusdnI0RSMROxxwGipWcJm",
            ),
            (
                "RFC 8080 section 6.1",
                "AQEDD5dNlqItIkvAGtuRUJFHfUTM2RyaQaEUMAEBF9UsWSQO",
                ed,
                "example.com.",
                &mx[..],
                "oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg==",
            ),
        ];
        for (why, key, head, signer, record, signature) in cases {
            assert!(example(key, &head, signer, record, signature), "{why}");
            let mut other = record.to_vec();
            *other.last_mut().unwrap() ^= 1;
            assert!(!example(key, &head, signer, &other, signature), "{why}: other data");
        }
    }

    #[test]
    fn keys_and_signatures_of_the_wrong_form_do_not_verify() {
        use Algorithm::*;
        for algorithm in [RsaSha1, RsaSha256, RsaSha512, EcdsaP256, EcdsaP384, Ed25519] {
            for len in [0, 1, 31, 32, 33, 63, 64, 65, 95, 96, 97, 300] {
                for fill in [0, 4, 0xff] {
                    let (key, signature) = (vec![fill; len], vec![fill; 2 * len]);
                    assert!(!algorithm.verify(&key, MESSAGE, &signature), "{algorithm:?} {len}");
                    assert!(!algorithm.verify(&key, MESSAGE, &[0; 64]), "{algorithm:?} {len}");
                }
            }
        }
    }

    #[test]
    fn ed25519_refuses_a_scalar_that_is_not_reduced_rfc_8032_section_5_1_7() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = pair.public_key().as_ref();
        let good = pair.sign(MESSAGE).as_ref().to_vec();
        assert!(Algorithm::Ed25519.verify(key, MESSAGE, &good));
        // The order of the group, little-endian; S + L is the same scalar.
        let order: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9,
            0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let mut malleable = good;
        let mut carry = 0u16;
        for (octet, add) in malleable[32..].iter_mut().zip(order) {
            carry += u16::from(*octet) + u16::from(add);
            *octet = carry.to_be_bytes()[1];
            carry >>= 8;
        }
        assert!(!Algorithm::Ed25519.verify(key, MESSAGE, &malleable));
    }

    #[test]
    fn only_tests_believe_old_algorithms_unseen() {
        let config = Config::default();
        let fake = Config { fake_sha1: true, ..Config::default() };
        let strict = Config { val_accept_sha1: false, ..Config::default() };
        let fake_dsa = Config { fake_dsa: true, ..Config::default() };
        for number in 0..=255 {
            let known = Algorithm::supported(number, &config);
            assert_eq!(
                known.is_some(),
                matches!(number, 5 | 7 | 8 | 10 | 13 | 14 | 15),
                "{number}"
            );
            assert_ne!(known, Some(Algorithm::Fake));
            let modern = matches!(number, 8 | 10 | 13 | 14 | 15);
            assert_eq!(Algorithm::supported(number, &strict).is_some(), modern, "{number}");
            let believed = Algorithm::supported(number, &fake) == Some(Algorithm::Fake);
            assert_eq!(believed, matches!(number, 3 | 5 | 6 | 7), "{number}");
            let believed = Algorithm::supported(number, &fake_dsa) == Some(Algorithm::Fake);
            assert_eq!(believed, matches!(number, 3 | 6), "{number}");
        }
        assert!(Algorithm::Fake.verify(&[], MESSAGE, &[0]));
        assert!(!Algorithm::Fake.verify(&[], MESSAGE, &[]), "nothing is no signature");
    }

    #[test]
    fn verifications_weigh_what_they_cost() {
        let (e, n) = rsa_parts();
        let large = short_form(&e, &[&n[..], &n].concat());
        for (algorithm, key, weight, bits) in [
            (Algorithm::RsaSha256, short_form(&e, &n), 1, 2048),
            (Algorithm::RsaSha1, large, 2, 4096),
            (Algorithm::RsaSha512, vec![], 1, 0),
            (Algorithm::EcdsaP256, vec![0; 64], 2, 256),
            (Algorithm::EcdsaP384, vec![0; 96], 8, 384),
            (Algorithm::Ed25519, vec![0; 32], 2, 256),
        ] {
            assert_eq!((algorithm.weight(&key), algorithm.key_bits(&key)), (weight, bits));
        }
    }
}
