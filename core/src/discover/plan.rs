//! What a [`Discovery`](super::Discovery) asks for, and what it is told.

use alloc::string::String;
use alloc::vec::Vec;

use super::found::Seen;
use crate::failure::spelled_enum;

/// An order: something to look up. All that come together are looked up at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// Comes back in the answer.
    pub id: u32,
    /// What.
    pub question: Question,
    /// Milliseconds in which it is answered, or [`Trouble::TimedOut`].
    pub within_ms: u64,
}

/// What is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The MX records of a domain (RFC 5321 section 5).
    Mx {
        /// In A-labels, without a final dot.
        domain: String,
    },
    /// The SRV records of a name (RFC 2782).
    Srv {
        /// With its underscores, as in `_imaps._tcp.example.org`.
        name: String,
    },
    /// One GET over https, with a certificate that is verified. No redirect is followed: it is the answer.
    Get {
        /// It begins with `https://`.
        url: String,
        /// At the addresses of the Internet alone: another host has named this one, and must not reach into a private network.
        public_only: bool,
        /// Octets of the answer after which it is [`Trouble::TooLarge`].
        octets_max: usize,
    },
}

/// An MX record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MxRecord {
    /// The lowest comes first.
    pub preference: u16,
    /// The host, with or without a final dot; `.` or empty where the domain takes no mail (RFC 7505).
    pub exchange: String,
}

/// An SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvRecord {
    /// The lowest comes first.
    pub priority: u16,
    /// Among those of one priority.
    pub weight: u16,
    /// TCP port.
    pub port: u16,
    /// The host, with or without a final dot; `.` or empty where the service is not offered (RFC 2782).
    pub target: String,
}

/// A fact: what came of a [`Lookup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Mx`].
    Mx(Vec<MxRecord>),
    /// To [`Question::Srv`].
    Srv(Vec<SrvRecord>),
    /// To either: there is no such name, or it has no such record.
    NoRecord,
    /// To [`Question::Get`].
    Http {
        /// Its status.
        status: u16,
        /// `Location`, of a redirect.
        location: Option<String>,
        /// The body.
        body: Vec<u8>,
    },
    /// To all: there was no answer.
    Failed(Trouble),
}

spelled_enum! {
    /// Why a lookup has no answer.
    Trouble {
        /// Not in time.
        TimedOut = "timed_out",
        /// There is no host of this name.
        NoHost = "no_host",
        /// The network, the resolver or the host could not be reached.
        Unreachable = "unreachable",
        /// The resolver answered that it could not answer (SERVFAIL, REFUSED, a signature that is wrong).
        Refused = "refused",
        /// TLS, or the certificate, was wrong.
        Tls = "tls",
        /// More octets than asked for.
        TooLarge = "too_large",
        /// The host has a private address, where only public ones were allowed.
        NotPublic = "not_public",
        /// It was no HTTP.
        Malformed = "malformed",
    }
}

impl Trouble {
    /// Whether it may be this machine's network, and not the other side.
    pub(super) const fn may_be_of_network(self) -> bool {
        match self {
            Self::TimedOut | Self::Unreachable | Self::Refused => true,
            Self::NoHost | Self::Tls | Self::TooLarge | Self::NotPublic | Self::Malformed => false,
        }
    }

    /// What came of the lookup by it.
    pub(super) const fn seen(self) -> Seen {
        match self {
            Self::NoHost => Seen::Nothing,
            Self::TooLarge | Self::NotPublic => Seen::Ignored,
            Self::TimedOut | Self::Unreachable | Self::Refused | Self::Tls | Self::Malformed => {
                Seen::Failed
            }
        }
    }

    /// As a part of a sentence.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::TimedOut => "no answer in time",
            Self::NoHost => "there is no such host",
            Self::Unreachable => "could not be reached",
            Self::Refused => "the resolver could not answer",
            Self::Tls => "its TLS or its certificate is wrong",
            Self::TooLarge => "the answer is larger than any that is read",
            Self::NotPublic => "it leads into a private network, and is not asked",
            Self::Malformed => "the answer is no HTTP",
        }
    }
}
