//! Serial number arithmetic (RFC 1982).

/// Whether version `a` of a zone is newer than version `b`. Of two that are half the circle apart
/// neither is (RFC 1982 §3.2).
pub const fn is_newer(a: u32, b: u32) -> bool {
    let ahead = a.wrapping_sub(b);
    ahead != 0 && ahead < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_go_round_in_a_circle() {
        for (a, b, newer) in [
            (1, 0, true),
            (0, 1, false),
            (7, 7, false),
            (0, u32::MAX, true),
            (u32::MAX, 0, false),
            ((1 << 31) - 1, 0, true),
            (1 << 31, 0, false),
            (0, 1 << 31, false),
            (2_026_000_000, 100, true),
        ] {
            assert_eq!(is_newer(a, b), newer, "{a} after {b}");
        }
    }
}
