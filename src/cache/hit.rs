//! Answering from stored wire bytes: copy, patch, append OPT. No allocation.
//!
//! Patched are the id, the flags, the question, the TTLs, and the order of addresses. Everything
//! else is as it was stored.
//!
//! # RFCs
//!
//! 4035 §3.2 (AD, CD, DO), 6840 §5.7 and §5.8 (AD), 6891 §6 (OPT), 8767 (expired data), 8914
//! (Extended DNS Errors).

use super::entry::{Entry, Rotation};
use super::settings::Settings;
use crate::clock::Now;
use crate::config::Ede;
use crate::status::{Reason, SecurityStatus};
use crate::wire::{Class, EdnsOption, Header, Rcode, RecordType};

/// A query as the hot path reads it, without memory of its own.
#[derive(Clone, Copy, Debug)]
pub struct HotQuery<'a> {
    /// Query id.
    pub id: u16,
    /// Flags as in [`Header::bits`](crate::wire::Header::bits); RD, AD and CD matter.
    pub flags: u16,
    /// QNAME as sent: uncompressed wire form with the root label, checked.
    pub name_wire: &'a [u8],
    /// QTYPE.
    pub rtype: RecordType,
    /// QCLASS.
    pub class: Class,
    /// What OPT said, when there was one.
    pub edns: Option<HotEdns>,
}

/// The parts of OPT that a hit needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HotEdns {
    /// UDP payload size the client can take, in octets, as it came.
    pub udp_size: u16,
    /// DNSSEC OK.
    pub dnssec_ok: bool,
}

/// What was written for a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hit {
    /// Octets written, OPT included.
    pub len: usize,
    /// Response code, as the client was told.
    pub rcode: Rcode,
    /// Where the question ends.
    pub question_end: usize,
    /// Where the answer section ends.
    pub answer_end: usize,
    /// Where the authority section ends.
    pub authority_end: usize,
    /// Where OPT begins; equal to `len` when there is none. It is the last record, so that options
    /// can be appended.
    pub opt_at: usize,
    /// Status of the data, whatever the client was told.
    pub status: SecurityStatus,
    /// Seconds until the answer expires; 0 when it has.
    pub ttl_left: u32,
    /// The answer has expired and is served nevertheless (RFC 8767).
    pub expired: bool,
    /// Refresh the answer: it has expired, or will soon and `prefetch` is on, and no attempt has
    /// failed shortly before (RFC 9520 §3.2).
    pub refresh_due: bool,
}

/// Extended DNS Errors in one answer at most.
const MAX_EDES: usize = 2;

impl HotQuery<'_> {
    fn header(&self) -> Header {
        Header { bits: self.flags, ..Header::default() }
    }

    fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec_ok)
    }

    /// Whether the client does its own validation, and we let it: it may have what nobody has
    /// validated, and what is bogus.
    pub(super) fn checking_disabled(&self, settings: &Settings) -> bool {
        self.header().cd() && !settings.ignore_cd
    }
}

/// Octets of OPT without options.
const OPT_LEN: usize = 11;

/// Writes the answer for a client; `None` when `out` is too small, or the entry is for another
/// name. `cached`: this is not the first client to be told. That the data has expired is for the
/// caller to tell the client (RFC 8914 §4.4).
pub(super) fn write(
    entry: &Entry<'_>,
    query: &HotQuery<'_>,
    cached: bool,
    settings: &Settings,
    now: Now,
    out: &mut [u8],
) -> Option<Hit> {
    let bogus = entry.status == SecurityStatus::Bogus;
    let withheld = bogus && !query.checking_disabled(settings) && !settings.permissive;
    let expired = cached && entry.expires <= now.unix;
    let variant = entry.variant(query.dnssec_ok());
    let end = match (withheld, settings.minimal_responses) {
        (true, _) => variant.question_end,
        (false, true) => variant.minimal_end,
        (false, false) => variant.wire.len(),
    };
    out.get_mut(..end)?.copy_from_slice(&variant.wire[..end]);

    let question = out.get_mut(Header::LEN..variant.question_end)?;
    let (name, fields) = question.split_at_mut_checked(question.len().checked_sub(4)?)?;
    if !name.eq_ignore_ascii_case(query.name_wire) {
        return None;
    }
    name.copy_from_slice(query.name_wire);
    fields[..2].copy_from_slice(&query.rtype.0.to_be_bytes());

    let age = entry.stored.until(now.unix);
    for at in variant.ttls().take_while(|at| *at < end) {
        let field = out.get_mut(at..at + 4)?.first_chunk_mut()?;
        let ttl = match (settings.original_ttl, expired) {
            (true, _) => u32::from_be_bytes(*field),
            (false, true) => settings.stale_reply_ttl,
            (false, false) => u32::from_be_bytes(*field).saturating_sub(age),
        };
        *field = ttl.to_be_bytes();
    }
    if settings.roundrobin && !withheld {
        rotate(variant.rotation, query.id, out);
    }

    let rcode = if withheld { Rcode::SERVFAIL } else { entry.rcode };
    let [_, answers, authorities, additionals] = Header::read(variant.wire)?.counts;
    let shown = |count: u16, begins: usize| if end > begins { count } else { 0 };
    let counts = [
        1,
        shown(answers, variant.question_end),
        shown(authorities, variant.answer_end),
        shown(additionals, variant.authority_end) + u16::from(query.edns.is_some()),
    ];
    let proven = entry.status == SecurityStatus::Secure
        // Expired data is still proven as long as its signatures are valid.
        && (!expired || now.unix < entry.signed_until)
        && matches!(rcode, Rcode::NOERROR | Rcode::NXDOMAIN | Rcode::YXDOMAIN);
    let wants_ad = query.header().ad() || query.dnssec_ok();
    let header = Header { id: query.id, bits: 0, counts }
        .with_qr(true)
        .with_ra(true)
        .with_rd(query.header().rd())
        .with_cd(query.header().cd())
        .with_ad(proven && wants_ad && counts[1] + counts[2] > 0)
        .with_rcode(rcode);
    out[..Header::LEN].copy_from_slice(&header.to_bytes());

    let mut reasons = [None; MAX_EDES];
    // Bogus data that is given nevertheless, under CD, is a failure.
    let good = matches!(rcode, Rcode::NOERROR | Rcode::NXDOMAIN | Rcode::YXDOMAIN) && !bogus;
    if settings.ede == Ede::All || settings.ede == Ede::Failures && !good {
        let remembered = cached && entry.is_failure();
        reasons = [entry.reason, remembered.then_some(Reason::CachedFailure)];
    }
    let len = match query.edns {
        Some(edns) => write_opt(out, end, edns, rcode, reasons, settings)?,
        None => end,
    };
    let ttl_left = now.unix.until(entry.expires);
    let lifetime = entry.stored.until(entry.expires);
    Some(Hit {
        len,
        rcode,
        question_end: variant.question_end,
        answer_end: variant.answer_end.min(end),
        authority_end: variant.authority_end.min(end),
        opt_at: end,
        status: entry.status,
        ttl_left,
        expired,
        refresh_due: expired
            || settings.prefetch && !entry.is_failure() && !bogus && ttl_left <= lifetime / 10,
    })
}

/// Brings another address to the front, which one depends on the id of the query.
fn rotate(Rotation { at, len, count }: Rotation, id: u16, out: &mut [u8]) {
    if count > 1
        && let Some(records) = out.get_mut(at..at + len * count)
    {
        records.rotate_left(len * (usize::from(id) % count));
    }
}

/// Appends OPT with Extended DNS Errors; returns the end.
fn write_opt(
    out: &mut [u8],
    at: usize,
    edns: HotEdns,
    rcode: Rcode,
    reasons: [Option<Reason>; MAX_EDES],
    settings: &Settings,
) -> Option<usize> {
    let (fixed, mut rest) = out.get_mut(at..)?.split_at_mut_checked(OPT_LEN)?;
    let mut options = 0u16;
    for reason in reasons.into_iter().flatten() {
        let text = reason.text().as_bytes();
        let len = u16::try_from(text.len() + 2).ok()?;
        let (option, tail) = rest.split_at_mut_checked(4 + usize::from(len))?;
        for (field, word) in [EdnsOption::EDE, len, reason.ede().0].into_iter().enumerate() {
            option[2 * field..2 * field + 2].copy_from_slice(&word.to_be_bytes());
        }
        option[6..].copy_from_slice(text);
        options += 4 + len;
        rest = tail;
    }
    let [size_high, size_low] = settings.edns_size.to_be_bytes();
    let [len_high, len_low] = options.to_be_bytes();
    // RFC 3225 §3: DO is copied.
    let flags = if edns.dnssec_ok { 0x80 } else { 0 };
    fixed.copy_from_slice(&[
        0,
        0,
        41,
        size_high,
        size_low,
        rcode.high(),
        0,
        flags,
        0,
        len_high,
        len_low,
    ]);
    Some(at + OPT_LEN + usize::from(options))
}

#[cfg(test)]
mod tests;
