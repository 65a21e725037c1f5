//! DNS cookies: a client that shows the one it was given has the address it claims to have.
//!
//! The cookies are those of RFC 9018, so that several servers with the same secret take each
//! other's. Nothing is remembered about clients.
//!
//! # RFCs
//!
//! 7873 (cookies), 9018 (how a server cookie is made).

use std::hash::Hasher;
use std::net::IpAddr;

use rand::RngExt;
use siphasher::sip::SipHasher24;

use crate::clock::{Now, Rng};

/// Octets of the cookie that the client makes.
const CLIENT_LEN: usize = 8;
/// Octets of both cookies together, as we make them.
const FULL_LEN: usize = 24;
/// Octets that a server cookie of any kind can have (RFC 7873 §4).
const SERVER_LEN: std::ops::RangeInclusive<usize> = 8..=32;
/// RFC 9018 §4.2.
const VERSION: u8 = 1;
/// Seconds a cookie is good for (RFC 9018 §4.3).
const LIFETIME: i32 = 3600;
/// Seconds after which a client gets a new one.
const RENEWAL: i32 = 1800;
/// Seconds that the clock of another server may be ahead.
const AHEAD: i32 = 300;

/// The option as it came: the client's cookie, and the one it was given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cookie {
    client: [u8; CLIENT_LEN],
    /// The server's, when it has the length of ours.
    server: Option<[u8; FULL_LEN - CLIENT_LEN]>,
    /// There is a server cookie, of whatever kind.
    has_server: bool,
}

impl Cookie {
    /// Reads the option; `None` when its length is impossible (RFC 7873 §5.2.2).
    pub fn read(data: &[u8]) -> Option<Self> {
        let (client, server) = data.split_first_chunk()?;
        let has_server = !server.is_empty();
        if has_server && !SERVER_LEN.contains(&server.len()) {
            return None;
        }
        Some(Self { client: *client, server: server.try_into().ok(), has_server })
    }
}

/// What a client's cookie is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It has the address it says.
    Valid,
    /// It has none of ours yet.
    New,
    /// It is none of ours, or of a time long ago.
    Invalid,
}

/// The secrets cookies are made with.
#[derive(Clone, Debug)]
pub struct Cookies {
    /// The active one first; the others are still accepted.
    secrets: Vec<[u8; 16]>,
}

impl Cookies {
    /// Cookies made with the first of those secrets; with a random one where there is none.
    pub fn new(secrets: &[[u8; 16]], rng: &mut Rng) -> Self {
        let secrets = if secrets.is_empty() { vec![rng.random()] } else { secrets.to_vec() };
        Self { secrets }
    }

    /// What a cookie is worth, and the one to give back: the same while it is young.
    pub fn judge(&self, cookie: &Cookie, client: IpAddr, now: Now) -> (Standing, [u8; FULL_LEN]) {
        let fresh = || {
            let secret = self.secrets.first().copied().unwrap_or_default();
            let mut server = [0; 16];
            server[0] = VERSION;
            server[4..8].copy_from_slice(&now.unix.serial().to_be_bytes());
            let hash = hash(&secret, &cookie.client, &server, client);
            server[8..].copy_from_slice(&hash);
            joined(&cookie.client, &server)
        };
        let Some(server) = cookie.server else {
            let standing = if cookie.has_server { Standing::Invalid } else { Standing::New };
            return (standing, fresh());
        };
        match self.age(cookie, &server, client, now) {
            Some((age, true)) if age <= RENEWAL => {
                (Standing::Valid, joined(&cookie.client, &server))
            }
            Some(_) => (Standing::Valid, fresh()),
            None => (Standing::Invalid, fresh()),
        }
    }

    /// Seconds since a cookie was made, and whether with the active secret; `None` when it is not
    /// ours or not of this time.
    fn age(
        &self,
        cookie: &Cookie,
        server: &[u8; 16],
        client: IpAddr,
        now: Now,
    ) -> Option<(i32, bool)> {
        let made = u32::from_be_bytes(*server.get(4..)?.first_chunk()?);
        // Serial numbers (RFC 1982): the clock of 32 bits runs over in 2106.
        let age = now.unix.serial().wrapping_sub(made).cast_signed();
        if server[0] != VERSION || !(-AHEAD..=LIFETIME).contains(&age) {
            return None;
        }
        let made_with =
            |secret: &[u8; 16]| server[8..] == hash(secret, &cookie.client, server, client);
        let at = self.secrets.iter().position(made_with)?;
        Some((age, at == 0))
    }
}

/// SipHash-2-4 over both cookies without the hash, and the address (RFC 9018 §4.4).
fn hash(secret: &[u8; 16], client: &[u8; 8], server: &[u8; 16], ip: IpAddr) -> [u8; 8] {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(client);
    hasher.write(&server[..8]);
    match ip {
        IpAddr::V4(ip) => hasher.write(&ip.octets()),
        IpAddr::V6(ip) => hasher.write(&ip.octets()),
    }
    hasher.finish().to_le_bytes()
}

fn joined(client: &[u8; 8], server: &[u8; 16]) -> [u8; FULL_LEN] {
    let mut full = [0; FULL_LEN];
    full[..CLIENT_LEN].copy_from_slice(client);
    full[CLIENT_LEN..].copy_from_slice(server);
    full
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use rand::SeedableRng;

    use super::*;
    use crate::clock::{Mono, UnixTime};

    fn secret(text: &str) -> [u8; 16] {
        HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
    }

    fn judge(secrets: &[&str], cookie: &str, client: &str, second: u64) -> (Standing, String) {
        let secrets: Vec<_> = secrets.iter().map(|text| secret(text)).collect();
        let cookies = Cookies::new(&secrets, &mut Rng::seed_from_u64(1));
        let cookie = Cookie::read(&HEXLOWER.decode(cookie.as_bytes()).unwrap()).unwrap();
        let now = Now::new(Mono::ZERO, UnixTime(second));
        let (standing, full) = cookies.judge(&cookie, client.parse().unwrap(), now);
        (standing, HEXLOWER.encode(&full))
    }

    const OLD: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
    const V6_OLD: &str = "dd3bdf9344b678b185a6f5cb60fca715";
    const V6_NEW: &str = "445536bcd2513298075a5d379663c962";

    #[test]
    fn cookies_are_those_of_rfc_9018_appendix_a() {
        let first = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        let renewed = "2464c4abcf10c957010000005cf7a871d4a564a1442aca77";
        let (v4, other) = ("198.51.100.100", "203.0.113.203");
        let v6 = "2001:db8:220:1:59de:d0f4:8769:82b8";
        let reserved = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
        let v6_old = "22681ab97d52c298010000005cf7c57926556bd0934c72f8";
        use Standing::*;
        for (secrets, cookie, client, second, standing, want) in [
            (vec![OLD], &first[..16], v4, 1_559_731_985, New, first),
            (vec![OLD], first, v4, 1_559_731_985 + 60, Valid, first),
            (vec![OLD], first, v4, 1_559_734_385, Valid, renewed),
            (
                vec![OLD],
                reserved,
                other,
                1_559_734_700,
                Invalid,
                "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e",
            ),
            (vec![OLD], reserved, other, 1_559_728_000, Valid, reserved),
            (
                vec![V6_NEW, V6_OLD],
                v6_old,
                v6,
                1_559_741_961,
                Valid,
                "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
            ),
        ] {
            let got = judge(&secrets, cookie, client, second);
            assert_eq!(got, (standing, want.to_owned()), "{cookie} at {second}");
        }
    }

    #[test]
    fn what_is_not_ours_or_not_of_this_time_is_worth_nothing() {
        let full = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        let made = 1_559_731_985;
        let client = "198.51.100.100";
        for (cookie, client, second, standing) in [
            (full.to_owned(), client, made - 300, Standing::Valid),
            (full.to_owned(), client, made - 301, Standing::Invalid),
            (full.to_owned(), client, made + 3600, Standing::Valid),
            (full.to_owned(), client, made + 3601, Standing::Invalid),
            (full.to_owned(), "198.51.100.101", made, Standing::Invalid),
            (full.replace("0100", "0200"), client, made, Standing::Invalid),
            (full.replace("9480", "9481"), client, made, Standing::Invalid),
            (full[..32].to_owned(), client, made, Standing::Invalid),
        ] {
            assert_eq!(judge(&[OLD], &cookie, client, second).0, standing, "{cookie} {second}");
        }
        for len in [0, 7, 9, 15, 41] {
            assert_eq!(Cookie::read(&vec![1; len]), None, "{len} octets");
        }
    }
}
