//! Keys and values as octets: what the stores put into their [`Region`](super::region::Region).

use crate::wire::{Name, RecordType};

/// Octets that stand before the name in a key, at most: address, port.
const MAX_PREFIX: usize = 18;

/// A key on the stack: a prefix of fixed length and a name in lower case, so that case does not
/// matter.
pub(super) struct Key {
    octets: [u8; MAX_PREFIX + Name::MAX_LEN],
    len: usize,
}

impl Key {
    /// A key; `None` when the name is longer than names are.
    pub(super) fn new<const N: usize>(prefix: [u8; N], name_wire: &[u8]) -> Option<Self> {
        const { assert!(N <= MAX_PREFIX) };
        let mut octets = [0; MAX_PREFIX + Name::MAX_LEN];
        let len = N + name_wire.len();
        octets[..N].copy_from_slice(&prefix);
        let name = octets.get_mut(N..len).filter(|_| name_wire.len() <= Name::MAX_LEN)?;
        name.copy_from_slice(name_wire);
        // Length octets are below 'A', so folding the whole cannot change them.
        name.make_ascii_lowercase();
        Some(Self { octets, len })
    }

    /// The octets.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

/// Reads values back. Every method is `None` past the end.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `len` octets.
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(*head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[octet]| octet)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A `u16` as a length or count.
    pub(super) fn len(&mut self) -> Option<usize> {
        self.u16().map(usize::from)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// What [`put_octets`] wrote.
    pub(super) fn octets(&mut self) -> Option<&'a [u8]> {
        let len = self.len()?;
        self.take(len)
    }

    /// What [`put_name`] wrote.
    pub(super) fn name(&mut self) -> Option<Name> {
        Name::from_wire(self.octets()?).ok()
    }

    pub(super) fn rtype(&mut self) -> Option<RecordType> {
        self.u16().map(RecordType)
    }
}

/// Appends a length or count; `None` when it has no place in 16 bits.
pub(super) fn put_len(out: &mut Vec<u8>, len: usize) -> Option<()> {
    out.extend_from_slice(&u16::try_from(len).ok()?.to_be_bytes());
    Some(())
}

/// Appends octets with their length; `None` when they are too many.
pub(super) fn put_octets(out: &mut Vec<u8>, octets: &[u8]) -> Option<()> {
    put_len(out, octets.len())?;
    out.extend_from_slice(octets);
    Some(())
}

/// Appends a name in the case it has.
pub(super) fn put_name(out: &mut Vec<u8>, name: &Name) -> Option<()> {
    put_octets(out, name.as_wire())
}
