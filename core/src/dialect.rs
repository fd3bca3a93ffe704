//! The table of what differs between IMAP, POP3 and SMTP in a login: spellings, framing and limits. The machine in
//! `negotiation` is one for all three.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::config::{Mechanism, Protocol};

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Dialect {
    pub(crate) protocol: Protocol,
    /// Asks for capabilities.
    pub(crate) capability_command: &'static str,
    /// Whether the client's name follows the capability command, and it must be sent whatever is known (RFC 5321
    /// section 4.1.1.1).
    pub(crate) greets_by_name: bool,
    /// Asks for TLS; it is also the name of the capability that allows it.
    pub(crate) upgrade_command: &'static str,
    /// Starts the login.
    pub(crate) auth_command: &'static str,
    /// Whether commands carry a tag.
    pub(crate) tagged: bool,
    /// Capabilities of which one must be there before the token may travel in the command line; none: always allowed.
    pub(crate) inline_needs: &'static [&'static str],
    /// Octets of a command line, with its line end, up to which the token may travel in it.
    pub(crate) inline_octets_max: usize,
    /// The same where the server refuses the command without a token: then it takes a longer line than it need.
    pub(crate) asked_inline_octets_max: usize,
    /// How the mechanisms are listed among the capabilities.
    pub(crate) mechanisms: MechanismList,
}

/// RFC 4954 section 4: no SASL line of SMTP is longer. RFC 5034 section 4 sets POP3 no other bound.
const SASL_OCTETS_MAX: usize = 12_288;

/// How a protocol lists SASL mechanisms.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MechanismList {
    /// A capability of its own for each, with this in front: `AUTH=XOAUTH2`.
    OneEach(&'static str),
    /// Capabilities that begin with one of these words and go on with the names: `SASL PLAIN XOAUTH2`.
    Together(&'static [&'static str]),
}

const IMAP: Dialect = Dialect {
    protocol: Protocol::Imap,
    capability_command: "CAPABILITY",
    greets_by_name: false,
    upgrade_command: "STARTTLS",
    auth_command: "AUTHENTICATE",
    tagged: true,
    // RFC 4959 section 3; RFC 9051 section 6.2.2 has it in the base protocol.
    inline_needs: &["SASL-IR", "IMAP4rev2"],
    // RFC 7162 section 4: command lines of up to 8,192 octets. Dovecot closes without a word above 8,214.
    inline_octets_max: 8_192,
    asked_inline_octets_max: 8_192,
    mechanisms: MechanismList::OneEach("AUTH="),
};

const POP3: Dialect = Dialect {
    protocol: Protocol::Pop3,
    capability_command: "CAPA",
    greets_by_name: false,
    upgrade_command: "STLS",
    auth_command: "AUTH",
    tagged: false,
    // RFC 5034 section 3: never to a server without the SASL capability, which lists the mechanism.
    inline_needs: &[],
    // RFC 5034 section 4. Outlook closes the connection on more than one line anyway.
    inline_octets_max: 255,
    asked_inline_octets_max: SASL_OCTETS_MAX,
    mechanisms: MechanismList::Together(&["SASL"]),
};

const SMTP: Dialect = Dialect {
    protocol: Protocol::Smtp,
    capability_command: "EHLO",
    greets_by_name: true,
    upgrade_command: "STARTTLS",
    auth_command: "AUTH",
    tagged: false,
    inline_needs: &[],
    // RFC 4954 section 4 with RFC 5321 section 4.5.3.1.4. Dovecot refuses above 1,031, aiosmtpd above 511.
    inline_octets_max: 512,
    asked_inline_octets_max: SASL_OCTETS_MAX,
    // `AUTH=` is the form of old Exchange servers, from a draft before RFC 2554.
    mechanisms: MechanismList::Together(&["AUTH", "AUTH="]),
};

impl Dialect {
    pub(crate) const fn of(protocol: Protocol) -> &'static Self {
        match protocol {
            Protocol::Imap => &IMAP,
            Protocol::Pop3 => &POP3,
            Protocol::Smtp => &SMTP,
        }
    }
}

/// What a server says that it can do: IMAP's capabilities by their names, POP3's and SMTP's by their lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Capabilities(Vec<String>);

impl Capabilities {
    /// The words of an IMAP capability list.
    pub(crate) fn from_words(words: &str) -> Self {
        Self(words.split_ascii_whitespace().map(ToString::to_string).collect())
    }

    pub(crate) fn from_list(list: Vec<String>) -> Self {
        Self(list)
    }

    pub(crate) fn into_list(self) -> Vec<String> {
        self.0
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a capability is there: its first word, in any case.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|one| first_word(one).eq_ignore_ascii_case(name))
    }

    /// Whether a mechanism is offered, compared whole.
    pub(crate) fn offers(&self, dialect: &Dialect, mechanism: Mechanism) -> bool {
        self.mechanisms(dialect).any(|one| one.eq_ignore_ascii_case(mechanism.as_str()))
    }

    /// The names of all mechanisms on offer, ours and others.
    pub(crate) fn mechanisms(&self, dialect: &Dialect) -> impl Iterator<Item = &str> {
        let list = dialect.mechanisms;
        self.0.iter().flat_map(move |one| listed(one, list)).filter(|name| !name.is_empty())
    }
}

/// The mechanisms that one capability lists.
fn listed(capability: &str, list: MechanismList) -> impl Iterator<Item = &str> {
    let (alone, together) = match list {
        MechanismList::OneEach(prefix) => (strip_prefix_ignore_case(capability, prefix), None),
        MechanismList::Together(words) => {
            (None, words.iter().find_map(|word| names_in(capability, word)))
        }
    };
    alone.into_iter().chain(together.into_iter().flatten())
}

/// The names behind the keyword of a list. A keyword in `=` stands next to the first name.
fn names_in<'a>(line: &'a str, keyword: &str) -> Option<core::str::SplitAsciiWhitespace<'a>> {
    let names = strip_prefix_ignore_case(line, keyword)?;
    let separate = keyword.ends_with('=') || names.starts_with(' ');
    separate.then(|| names.split_ascii_whitespace())
}

fn first_word(line: &str) -> &str {
    line.split_ascii_whitespace().next().unwrap_or_default()
}

fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(protocol: Protocol, line: &str) -> bool {
        let capabilities = match protocol {
            Protocol::Imap => Capabilities::from_words(line),
            Protocol::Pop3 | Protocol::Smtp => {
                Capabilities::from_list(Vec::from([line.to_string()]))
            }
        };
        capabilities.offers(Dialect::of(protocol), Mechanism::XOAuth2)
    }

    #[test]
    fn tells_the_mechanisms_on_offer() {
        let names = |protocol, capabilities: Capabilities| {
            let names = capabilities.mechanisms(Dialect::of(protocol));
            names.map(ToString::to_string).collect::<Vec<_>>()
        };
        let imap = Capabilities::from_words("IMAP4rev1 AUTH=PLAIN IDLE auth=LOGIN AUTH=");
        assert_eq!(names(Protocol::Imap, imap), ["PLAIN", "LOGIN"]);
        let list = |lines: &[&str]| {
            Capabilities::from_list(lines.iter().map(ToString::to_string).collect())
        };
        assert_eq!(names(Protocol::Pop3, list(&["USER", "SASL PLAIN LOGIN"])), ["PLAIN", "LOGIN"]);
        let smtp = list(&["SIZE 1", "AUTH PLAIN", "AUTH=LOGIN"]);
        assert_eq!(names(Protocol::Smtp, smtp), ["PLAIN", "LOGIN"]);
    }

    #[test]
    fn a_mechanism_is_compared_whole_and_in_any_case() {
        assert!(offers(Protocol::Imap, "IMAP4rev1 auth=xoauth2"));
        for none in [
            "AUTH=XOAUTH",
            "AUTH=XOAUTH22",
            "AUTH=AXOAUTH2",
            "XOAUTH2",
            "AUTH=",
            "AUT\u{e9}=XOAUTH2",
        ] {
            assert!(!offers(Protocol::Imap, none), "{none}");
        }
        assert!(offers(Protocol::Pop3, "SASL PLAIN XOAUTH2"));
        assert!(!offers(Protocol::Pop3, "SASLXOAUTH2"));
        assert!(
            offers(Protocol::Smtp, "AUTH LOGIN XOAUTH2")
                && offers(Protocol::Smtp, "AUTH=XOAUTH2 LOGIN")
        );
        for none in ["XAUTH XOAUTH2", "NOTAUTH XOAUTH2", "OK AUTH XOAUTH2", "AUTHXOAUTH2", "AUTH"] {
            assert!(!offers(Protocol::Smtp, none), "{none}");
        }
    }
}
