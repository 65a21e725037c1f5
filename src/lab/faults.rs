//! Everything that can be made to go wrong, as words of a world's text.

use std::net::IpAddr;
use std::time::Duration;

use super::text::{LabError, Line, Mistake, Records, name};
use crate::wire::{Name, Record, RecordType};

/// Something wrong with the data of a zone (`$BREAK`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// Only at this owner; everywhere when there is none.
    pub owner: Option<Name>,
    /// Only with RRsets of this type.
    pub rtype: Option<RecordType>,
}

impl Fault {
    /// Reads `KIND [OWNER [TYPE]]`.
    ///
    /// # Errors
    ///
    /// [`LabError`] for words that are none of these.
    pub fn read(line: &Line, origin: &Name) -> Result<Self, LabError> {
        let at = |mistake: Mistake| mistake.at(line.number);
        let kind = FaultKind::from_word(line.word(0, "a kind of fault")?)
            .ok_or_else(|| at(Mistake::Expected("a kind of fault")))?;
        let owner = line.words(1).next().map(|word| name(word, origin));
        let rtype = line.words(2).next().map(str::parse);
        Ok(Self {
            kind,
            owner: owner.transpose().map_err(|e| at(e.into()))?,
            rtype: rtype.transpose().map_err(|_| at(Mistake::Expected("a record type")))?,
        })
    }

    /// Whether it concerns the RRset of that owner and type.
    pub fn concerns(&self, owner: &Name, rtype: RecordType) -> bool {
        self.owner.as_ref().is_none_or(|name| name == owner)
            && self.rtype.is_none_or(|only| only == rtype)
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $type { $($(#[$variant_doc])* $variant),* }

        impl $type {
            /// What that word of a world's text stands for.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// Kinds of [`Fault`].
    FaultKind {
        /// The signature ended two days ago.
        Expired "expired",
        /// The signature begins in two days.
        NotYetValid "not-yet-valid",
        /// The signature ends before it begins.
        Backwards "backwards",
        /// There is no signature.
        Unsigned "unsigned",
        /// One bit of the signature is wrong.
        Corrupt "corrupt",
        /// Signed with a key that is not in the zone.
        ForeignKey "foreign-key",
        /// DNSKEY is signed by the zone-signing key only.
        NotBySep "not-by-sep",
        /// The signer's name is the parent zone.
        ParentSigner "parent-signer",
        /// The signature names an algorithm that nobody knows.
        UnknownAlgorithm "unknown-algorithm",
        /// The Labels field says that the owner came from a wildcard.
        FewerLabels "fewer-labels",
        /// The Labels field counts more labels than the owner has.
        MoreLabels "more-labels",
        /// Denials come without NSEC and NSEC3.
        NoProof "no-proof",
        /// Of the NSEC and NSEC3 records of a denial the last is missing.
        HalfProof "half-proof",
        /// Twenty wrong signatures come before the right one.
        Flood "flood",
        /// The CNAME that comes with a DNAME leads elsewhere.
        WrongSynthesis "wrong-synthesis",
    }
}

words! {
    /// What the parent says about the keys of a zone (`$DS`).
    DsKind {
        /// SHA-256 digest of the key-signing key.
        Sha256 "sha256",
        /// SHA-1 digest.
        Sha1 "sha1",
        /// SHA-384 digest.
        Sha384 "sha384",
        /// The right tag and a wrong digest.
        WrongDigest "wrong-digest",
        /// A key that the zone does not have.
        WrongKey "wrong-key",
        /// An algorithm that nobody knows.
        UnknownAlgorithm "unknown-algorithm",
        /// A digest type that nobody knows.
        UnknownDigest "unknown-digest",
    }
}

/// How a server misbehaves (`$SERVER`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Behavior {
    /// One of those without a parameter.
    Plain(Plain),
    /// Everything comes so much later.
    Delay(Duration),
    /// Never answers, over that transport only.
    SilentOver(super::Transport),
    /// Refuses questions of that type.
    RefuseType(RecordType),
    /// Does not answer questions of that type.
    DropType(RecordType),
    /// Adds a record to every response with that question name, or to all.
    Inject {
        /// Where to.
        section: crate::wire::Section,
        /// Only for questions of that name or below.
        below: Name,
        /// What.
        record: Record,
    },
    /// Refers everybody who asks at or below a zone to a server of another name and address.
    Refer {
        /// The zone.
        zone: Name,
        /// Its alleged server.
        server: Name,
        /// Glue.
        glue: Option<IpAddr>,
    },
    /// Largest response over UDP.
    UdpSize(usize),
}

words! {
    /// Kinds of [`Behavior`] without a parameter.
    Plain {
        /// Never answers.
        Silent "silent",
        /// Answers only the second time it is asked the same.
        Lossy "lossy",
        /// Cannot be reached: connections are refused.
        Unreachable "unreachable",
        /// REFUSED.
        Refuse "refuse",
        /// SERVFAIL.
        ServFail "servfail",
        /// NOTIMP.
        NotImp "notimp",
        /// FORMERR.
        FormErr "formerr",
        /// Knows none of its zones: NOERROR, no AA, no records.
        Lame "lame",
        /// Refers to the root, whatever is asked.
        Upward "upward",
        /// FORMERR to queries with EDNS, the question and OPT left out.
        EdnsFormErr "edns-formerr",
        /// NOTIMP to queries with EDNS.
        EdnsNotImp "edns-notimp",
        /// SERVFAIL to queries with EDNS.
        EdnsServFail "edns-servfail",
        /// BADVERS to queries with EDNS.
        EdnsBadVers "edns-badvers",
        /// Does not answer queries with EDNS.
        EdnsDrop "edns-drop",
        /// Ignores EDNS: no OPT, no DNSSEC records, 512 octets.
        EdnsIgnore "edns-ignore",
        /// Leaves DNSSEC records out.
        Strip "strip",
        /// Never sets AA.
        NoAa "no-aa",
        /// TC and nothing else over UDP.
        Truncate "truncate",
        /// TC over UDP and over TCP.
        TruncateAlways "truncate-always",
        /// Accepts connections and closes them when asked.
        TcpClose "tcp-close",
        /// A response with another id comes first.
        SpoofId "spoof-id",
        /// A response to another question comes first.
        SpoofQuestion "spoof-question",
        /// A datagram that is no message comes first.
        SpoofRunt "spoof-runt",
        /// The query itself comes back first.
        SpoofQuery "spoof-query",
        /// Five responses with other ids come first.
        SpoofFlood "spoof-flood",
        /// Responses have another id, always.
        WrongId "wrong-id",
        /// Responses are about another question, always.
        WrongQuestion "wrong-question",
        /// Responses are cut off in the middle of the header.
        Runt "runt",
        /// Names in responses are in lower case.
        LowerCase "lower-case",
        /// NXDOMAIN for empty non-terminals.
        EntNxDomain "ent-nxdomain",
        /// Resolves for whoever sets RD, from all zones of the world.
        Recursive "recursive",
    }
}

impl Behavior {
    /// Reads one behavior: a word, with its parameters where it has some.
    ///
    /// # Errors
    ///
    /// [`LabError`] for words that are none of these.
    pub fn read(line: &Line) -> Result<Self, LabError> {
        let at = |mistake: Mistake| mistake.at(line.number);
        let root = Name::root();
        let owner = |i, what| -> Result<Name, LabError> {
            name(line.word(i, what)?, &root).map_err(|e| at(e.into()))
        };
        let rtype = || -> Result<RecordType, LabError> {
            let word = line.word(1, "a record type")?;
            word.parse().map_err(|_| at(Mistake::Expected("a record type")))
        };
        let number = |what| -> Result<u32, LabError> {
            line.word(1, what)?.parse().map_err(|_| at(Mistake::Expected(what)))
        };
        Ok(match line.word(0, "a behavior")? {
            "delay" => Self::Delay(Duration::from_millis(number("milliseconds")?.into())),
            "silent-udp" => Self::SilentOver(super::Transport::Udp),
            "silent-tcp" => Self::SilentOver(super::Transport::Tcp),
            "refuse-type" => Self::RefuseType(rtype()?),
            "drop-type" => Self::DropType(rtype()?),
            "udp-size" => Self::UdpSize(number("octets")? as usize),
            "refer" => {
                let glue = line.words(3).next().map(str::parse).transpose();
                Self::Refer {
                    zone: owner(1, "a zone")?,
                    server: owner(2, "a server name")?,
                    glue: glue.map_err(|_| at(Mistake::Expected("an address")))?,
                }
            }
            "inject" => Self::Inject {
                section: match line.word(1, "a section")? {
                    "answer" => crate::wire::Section::Answer,
                    "authority" => crate::wire::Section::Authority,
                    "additional" => crate::wire::Section::Additional,
                    _ => return Err(at(Mistake::Expected("a section"))),
                },
                below: owner(2, "a name")?,
                record: Records::new(root, 300)
                    .record(&Line { indented: false, ..line.after(3) })?,
            },
            word => Self::Plain(
                Plain::from_word(word).ok_or_else(|| at(Mistake::Expected("a behavior")))?,
            ),
        })
    }
}
