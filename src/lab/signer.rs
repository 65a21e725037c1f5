//! Keys made at run time, and the signatures and digests made with them.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair,
};

use super::text::Mistake;
use crate::wire::{Dnskey, Name, Rdata, RecordType, Rrset, canonical_rdata};

/// The one RSA key there is, 2048 bits, PKCS #8: no library here makes RSA keys. Known to
/// everybody, so good for tests only.
const RSA_KEY: &[u8] = include_bytes!("rsa2048.pk8");

/// What a key signs with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// RSA/SHA-256 (RFC 5702).
    RsaSha256,
    /// RSA/SHA-512 (RFC 5702).
    RsaSha512,
    /// ECDSA P-256 with SHA-256 (RFC 6605).
    EcdsaP256,
    /// ECDSA P-384 with SHA-384 (RFC 6605).
    EcdsaP384,
    /// Ed25519 (RFC 8080).
    Ed25519,
    /// An algorithm number that nobody knows, with signatures that nobody can verify.
    Unknown,
}

impl Algorithm {
    /// The algorithm of that name in a world's text.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "rsasha256" => Self::RsaSha256,
            "rsasha512" => Self::RsaSha512,
            "ecdsap256" => Self::EcdsaP256,
            "ecdsap384" => Self::EcdsaP384,
            "ed25519" => Self::Ed25519,
            "unknown" => Self::Unknown,
            _ => return None,
        })
    }

    /// The number of the IANA registry.
    pub const fn number(self) -> u8 {
        match self {
            Self::RsaSha256 => 8,
            Self::RsaSha512 => 10,
            Self::EcdsaP256 => 13,
            Self::EcdsaP384 => 14,
            Self::Ed25519 => 15,
            Self::Unknown => 200,
        }
    }
}

/// A DNSKEY with its private half.
#[derive(Debug)]
pub struct Key {
    algorithm: Algorithm,
    pair: Pair,
    rdata: Rdata,
    tag: u16,
}

#[derive(Debug)]
enum Pair {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    None,
}

impl Key {
    /// Makes a key. The same `seed` gives the same Ed25519 key again, so that two servers of one
    /// zone agree; keys of other algorithms are random, except for RSA, which has but one.
    ///
    /// # Errors
    ///
    /// [`Mistake::Key`] when the library or the system's randomness fails.
    pub fn new(algorithm: Algorithm, flags: u16, seed: &[u8]) -> Result<Self, Mistake> {
        let seed = digest(&SHA256, seed);
        let (pair, public) = match algorithm {
            Algorithm::Ed25519 => {
                let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_ref());
                let pair = pair.map_err(|_| Mistake::Key)?;
                let public = pair.public_key().as_ref().to_vec();
                (Pair::Ed25519(pair), public)
            }
            Algorithm::EcdsaP256 | Algorithm::EcdsaP384 => {
                let pair = ecdsa(algorithm)?;
                // Without the octet that says the point is uncompressed (RFC 6605 §4).
                let public = pair.public_key().as_ref().get(1..).unwrap_or_default().to_vec();
                (Pair::Ecdsa(pair), public)
            }
            Algorithm::RsaSha256 | Algorithm::RsaSha512 => {
                let pair = RsaKeyPair::from_pkcs8(RSA_KEY).map_err(|_| Mistake::Key)?;
                let public = rsa_public(&pair)?;
                (Pair::Rsa(pair), public)
            }
            Algorithm::Unknown => (Pair::None, seed.as_ref().to_vec()),
        };
        let [high, low] = flags.to_be_bytes();
        let rdata = Rdata::from_bytes([&[high, low, 3, algorithm.number()], &public[..]].concat());
        let tag = Dnskey::parse(&rdata).map_or(0, |key| key.key_tag);
        Ok(Self { algorithm, pair, rdata, tag })
    }

    /// RDATA of the DNSKEY record.
    pub fn rdata(&self) -> &Rdata {
        &self.rdata
    }

    /// Key tag (RFC 4034 appendix B).
    pub fn tag(&self) -> u16 {
        self.tag
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn sign_octets(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let signed = match &self.pair {
            Pair::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
            Pair::Ecdsa(pair) => pair.sign(&random, message).ok().map(|s| s.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let padding = match self.algorithm {
                    Algorithm::RsaSha512 => &RSA_PKCS1_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &random, message, &mut signature).ok().map(|()| signature)
            }
            Pair::None => None,
        };
        // What cannot be signed gets octets that look like a signature.
        signed.unwrap_or_else(|| digest(&SHA384, message).as_ref().to_vec())
    }

    /// Signs an RRset under its own owner: a wildcard is signed before it is expanded.
    pub fn sign(&self, rrset: &Rrset, terms: &Terms) -> Rdata {
        let algorithm = terms.algorithm.unwrap_or_else(|| self.algorithm.number());
        let labels = terms
            .labels
            .unwrap_or_else(|| u8::try_from(rrset.owner.rrsig_labels()).unwrap_or(u8::MAX));
        let mut head = Vec::with_capacity(64);
        head.extend(rrset.rtype.0.to_be_bytes());
        head.extend([algorithm, labels]);
        head.extend(rrset.ttl.to_be_bytes());
        head.extend(terms.expiration.to_be_bytes());
        head.extend(terms.inception.to_be_bytes());
        head.extend(self.tag.to_be_bytes());
        head.extend_from_slice(terms.signer.to_lowercase().as_wire());
        let signature = self.sign_octets(&signed_octets(&head, rrset));
        Rdata::from_bytes([head, signature].concat())
    }

    /// RDATA of a DS record for this key (RFC 4034 §5.1.4).
    pub fn ds(&self, owner: &Name, digest_type: u8) -> Rdata {
        let algorithm = match digest_type {
            1 => &SHA1_FOR_LEGACY_USE_ONLY,
            4 => &SHA384,
            _ => &SHA256,
        };
        let owner = owner.to_lowercase();
        let digest = digest(algorithm, &[owner.as_wire(), self.rdata.as_bytes()].concat());
        let [high, low] = self.tag.to_be_bytes();
        let head = [high, low, self.algorithm.number(), digest_type];
        Rdata::from_bytes([&head[..], digest.as_ref()].concat())
    }
}

/// What a signature says besides the data it covers.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Zone of the key.
    pub signer: Name,
    /// Begin of validity, seconds modulo 2^32.
    pub inception: u32,
    /// End of validity, seconds modulo 2^32.
    pub expiration: u32,
    /// Another number in the Labels field than the owner has.
    pub labels: Option<u8>,
    /// Another algorithm number than the key has.
    pub algorithm: Option<u8>,
}

/// RFC 4034 §3.1.8.1: RRSIG RDATA without the signature, then the RRset in canonical form.
fn signed_octets(head: &[u8], rrset: &Rrset) -> Vec<u8> {
    let mut sorted: Vec<_> =
        rrset.rdata.iter().map(|rdata| canonical_rdata(rrset.rtype, rdata)).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let owner = rrset.owner.to_lowercase();
    let mut out = head.to_vec();
    for rdata in sorted {
        out.extend_from_slice(owner.as_wire());
        out.extend(rrset.rtype.0.to_be_bytes());
        out.extend(rrset.class.0.to_be_bytes());
        out.extend(rrset.ttl.to_be_bytes());
        out.extend(u16::try_from(rdata.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend_from_slice(&rdata);
    }
    out
}

fn ecdsa(algorithm: Algorithm) -> Result<EcdsaKeyPair, Mistake> {
    let random = SystemRandom::new();
    let curve = match algorithm {
        Algorithm::EcdsaP384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        _ => &ECDSA_P256_SHA256_FIXED_SIGNING,
    };
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(curve, &random).map_err(|_| Mistake::Key)?;
    EcdsaKeyPair::from_pkcs8(curve, pkcs8.as_ref(), &random).map_err(|_| Mistake::Key)
}

/// Exponent and modulus as RFC 3110 §2 puts them.
fn rsa_public(pair: &RsaKeyPair) -> Result<Vec<u8>, Mistake> {
    let public: ring::rsa::PublicKeyComponents<Vec<u8>> = pair.public().into();
    let len = u8::try_from(public.e.len()).map_err(|_| Mistake::Key)?;
    Ok([&[len], &public.e[..], &public.n[..]].concat())
}

/// RDATA types as a type bitmap (RFC 4034 §4.1.2).
pub(super) fn type_bitmap(types: impl IntoIterator<Item = RecordType>) -> Vec<u8> {
    let mut windows: std::collections::BTreeMap<u8, [u8; 32]> = std::collections::BTreeMap::new();
    for rtype in types {
        let [window, low] = rtype.0.to_be_bytes();
        let bits = windows.entry(window).or_insert([0; 32]);
        bits[usize::from(low / 8)] |= 0x80 >> (low % 8);
    }
    let mut out = Vec::new();
    for (window, bits) in windows {
        let len = bits.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
        out.push(window);
        out.push(u8::try_from(len).unwrap_or(32));
        out.extend_from_slice(&bits[..len]);
    }
    out
}

/// Hash of a name (RFC 5155 §5), SHA-1.
pub(super) fn nsec3_hash(name: &Name, salt: &[u8], iterations: u16) -> [u8; 20] {
    let hash = |octets: &[u8]| -> [u8; 20] {
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[octets, salt].concat());
        digest.as_ref().try_into().unwrap_or([0; 20])
    };
    (0..iterations).fold(hash(name.to_lowercase().as_wire()), |last, _| hash(&last))
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;
    use crate::wire::{Rrsig, TypeBitmap};

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    /// RFC 8080 §6.1: the key and signature of the example with tag 3613.
    #[test]
    fn ed25519_signatures_are_those_of_rfc_8080_section_6_1() {
        let seed =
            data_encoding::BASE64.decode(b"ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=").unwrap();
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let public = pair.public_key().as_ref().to_vec();
        let rdata = Rdata::from_bytes([&[1, 1, 3, 15], &public[..]].concat());
        let tag = Dnskey::parse(&rdata).unwrap().key_tag;
        let key = Key { algorithm: Algorithm::Ed25519, pair: Pair::Ed25519(pair), rdata, tag };
        assert_eq!(key.tag(), 3613);
        let mx = [&[0, 10][..], name("mail.example.com.").as_wire()].concat();
        let rrset =
            Rrset::new(name("Example.com."), RecordType::MX, 3600, vec![Rdata::from_bytes(mx)]);
        let terms = Terms {
            signer: name("example.COM."),
            inception: 1_438_207_200,
            expiration: 1_440_021_600,
            labels: None,
            algorithm: None,
        };
        let rdata = key.sign(&rrset, &terms);
        assert_eq!(
            data_encoding::BASE64.encode(Rrsig::parse(&rdata).unwrap().signature),
            "oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg=="
        );
        let ds = key.ds(&name("example.com."), 2);
        assert_eq!(
            data_encoding::HEXLOWER.encode(&ds.as_bytes()[4..]),
            "3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b"
        );
    }

    #[test]
    fn every_algorithm_makes_keys_and_equal_seeds_make_equal_ed25519_keys() {
        for word in ["rsasha256", "rsasha512", "ecdsap256", "ecdsap384", "ed25519", "unknown"] {
            let algorithm = Algorithm::from_word(word).unwrap();
            let key = Key::new(algorithm, 257, b"seed").unwrap();
            assert_eq!(Dnskey::parse(key.rdata()).unwrap().algorithm, algorithm.number(), "{word}");
        }
        let key = |seed| Key::new(Algorithm::Ed25519, 256, seed).unwrap();
        assert_eq!(key(b"a").rdata(), key(b"a").rdata());
        assert_ne!(key(b"a").rdata(), key(b"b").rdata());
        let signature = key(b"a").sign_octets(b"x");
        let public = key(b"a");
        let public = Dnskey::parse(public.rdata()).unwrap().public_key.to_vec();
        UnparsedPublicKey::new(&ED25519, public).verify(b"x", &signature).unwrap();
    }

    #[test]
    fn hashes_are_those_of_rfc_5155_appendix_a() {
        for (owner, hash) in [
            ("example.", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"),
            ("a.example.", "35mthgpgcu1qg68fab165klnsnk3dpvl"),
            ("*.w.example.", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"),
        ] {
            let got = nsec3_hash(&name(owner), &[0xaa, 0xbb, 0xcc, 0xdd], 12);
            assert_eq!(data_encoding::BASE32HEX_NOPAD.encode(&got).to_lowercase(), hash);
        }
    }

    #[test]
    fn bitmaps_can_be_read_back() {
        let types = [RecordType::A, RecordType::MX, RecordType::RRSIG, RecordType(1234)];
        let octets = type_bitmap(types);
        let bitmap = TypeBitmap::parse(&octets).unwrap();
        assert!(types.iter().all(|rtype| bitmap.contains(*rtype)));
        assert!(!bitmap.contains(RecordType::NS) && !bitmap.contains(RecordType(1235)));
    }
}
