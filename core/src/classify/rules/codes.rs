//! Codes with one meaning, which no word overrules; and the numbers of Exchange.

use super::{OF_THE_LOGIN, PASSING};
use crate::classify::Phase;
use crate::classify::concepts::Concept;
use crate::classify::rule::Rule;
use crate::config::Protocol;
use crate::failure::{Advice, Cause, Certainty};

use Advice::{AskUser, BackOff, FixConfiguration, Proceed, Reconnect, RefreshToken};
use Certainty::{Inferred, Stated};
use Concept::{
    Again, Argument, Authenticated, Blocked, Busy, Connection, Denied, Expired, Idle, Later,
    Message, Must, NotConnected, Rate, Recipient, Shutdown, TimedOut, Tls, TooMany, Unknown,
};
use Phase::{AuthFail, Capability, Disconnect, MidSession};
use Protocol::{Imap, Pop3, Smtp};

#[rustfmt::skip] // One row is one line, and one more for each condition.
pub(super) const RULES: &[Rule] = &[
    // ---- Codes with one meaning ----

    // Gmail. WEBALERT carries the address.
    Rule::new("web-login-code", Cause::InteractionRequired, AskUser, Stated)
        .codes("WEBALERT|5.7.14"),
    // RFC 4954 section 6: the user must log in once by other means.
    Rule::new("password-transition", Cause::InteractionRequired, AskUser, Stated)
        .codes("4.7.12"),
    // RFC 5530 section 3; RFC 5248 for 525 5.7.13; Dovecot.
    Rule::new("account-disabled-code", Cause::AccountDisabled, AskUser, Stated)
        .codes("CONTACTADMIN|525|5.7.13"),
    // RFC 5530 section 3, RFC 4954 section 6, RFC 7817; Exchange for 4.7.66.
    Rule::new("tls-required-code", Cause::TlsRefused, FixConfiguration, Stated)
        .in_phases(OF_THE_LOGIN)
        .codes("PRIVACYREQUIRED|538|523|4.7.66|5.7.10|5.7.11"),
    // RFC 5530 section 3, RFC 9051 section 7.1: of one mailbox, whose name the text may hold. Gmail's OVERQUOTA is a rate.
    Rule::new("mailbox-code", Cause::Unrecognized, Proceed, Stated)
        .in_phases(&[MidSession])
        .codes("NONEXISTENT|TRYCREATE|ALREADYEXISTS|CANNOT"),
    // RFC 4954 section 4; Stalwart says CANNOT to a mechanism that it does not know.
    Rule::new("mechanism-code", Cause::MechanismUnavailable, FixConfiguration, Stated)
        .in_phases(&[AuthFail])
        .codes("504|CANNOT"),
    // RFC 2221: the mailbox is at another server.
    Rule::new("referral", Cause::Unrecognized, FixConfiguration, Stated)
        .in_phases(&[AuthFail])
        .codes("REFERRAL"),
    // RFC 5530 section 3: a credential whose time is over, and a token is one.
    Rule::new("expired-code", Cause::TokenRejected, RefreshToken, Inferred).codes("EXPIRED"),
    // Sora says it also before the end of a session.
    Rule::new("ended-in-use", Cause::SessionEnded, Reconnect, Stated)
        .in_phases(&[Disconnect])
        .codes("INUSE|IN-USE")
        .says(&[&[Again, Idle]]),
    // RFC 5530 INUSE, RFC 2449 IN-USE: the login itself was fine.
    Rule::new("locked-code", Cause::MailboxLocked, BackOff, Stated).codes("INUSE|IN-USE"),
    // RFC 5530 section 3: the server says that the client is at fault.
    Rule::new("client-bug-login", Cause::ProtocolViolation, FixConfiguration, Stated)
        .in_phases(&[AuthFail])
        .codes("CLIENTBUG"),
    Rule::new("client-bug", Cause::ProtocolViolation, Proceed, Stated).codes("CLIENTBUG"),
    // Bongo calls its shutdown and one message permanent, magma the want of TLS.
    Rule::new("message-permanent", Cause::Unrecognized, Proceed, Inferred)
        .on(&[Pop3])
        .in_phases(&[MidSession])
        .codes("SYS/PERM")
        .says(&[&[Message], &[Unknown, Blocked]]),
    Rule::new("shutdown-permanent", Cause::Shutdown, Reconnect, Inferred)
        .in_phases(&[Disconnect])
        .codes("SYS/PERM")
        .says(&[&[Shutdown]]),
    Rule::new("tls-permanent", Cause::TlsRefused, FixConfiguration, Inferred)
        .codes("SYS/PERM")
        .says(&[&[Tls], &[Must]]),
    // RFC 3206: needs intervention. Gmail's POP3 says it to the first command after the welcome.
    Rule::new("permanent-code", Cause::ProtocolDisabled, AskUser, Inferred).codes("SYS/PERM"),
    // Google: what an account may send in a day.
    Rule::new("sending-limit-code", Cause::RateLimited, BackOff, Stated)
        .on(&[Smtp])
        .codes("5.4.5"),
    // RFC 9051 section 7.1: the mailbox is full. At Gmail it is a rate.
    Rule::new("mailbox-full-code", Cause::Unrecognized, AskUser, Inferred)
        .in_phases(&[AuthFail])
        .codes("OVERQUOTA")
        .without(&[Rate]),
    // Dovecot, Gmail, Yahoo, Cyrus; RFC 2449 section 8.1.1 for LOGIN-DELAY.
    Rule::new("connections-code", Cause::TooManyConnections, BackOff, Stated)
        .codes(PASSING)
        .together(&[&[Connection], &[TooMany]]),
    Rule::new("rate-passing", Cause::RateLimited, BackOff, Stated).codes(PASSING).says(&[&[Rate]]),
    // RFC 5530 section 3: how many flags, levels or mailboxes there may be.
    Rule::new("limit-of-a-command", Cause::Unrecognized, Proceed, Inferred)
        .in_phases(&[MidSession])
        .codes("LIMIT"),
    Rule::new("rate-code", Cause::RateLimited, BackOff, Stated).codes("LIMIT|LOGIN-DELAY"),
    // Some servers put a code of an outage before the end of an idle session.
    Rule::new("idle-passing", Cause::IdleTimeout, Reconnect, Stated)
        .in_phases(&[Disconnect])
        .codes(PASSING)
        .says(&[&[Idle]]),
    // Dovecot, and servers that end a session which is too slow for them.
    Rule::new("reconnect-asked", Cause::SessionEnded, Reconnect, Stated)
        .in_phases(&[Disconnect])
        .says(&[&[Again]])
        .without(&[Busy, Expired, Idle, Later, Rate, TimedOut, TooMany]),
    // Postfix, of one recipient.
    Rule::new("relay-denied", Cause::Unrecognized, Proceed, Inferred)
        .on(&[Smtp])
        .in_phases(&[MidSession])
        .codes("454")
        .says(&[&[Denied]]),
    // RFC 5530, RFC 3206 and RFC 4954: a fault that passes.
    Rule::new("unavailable-code", Cause::Unavailable, BackOff, Stated)
        .codes("UNAVAILABLE|SERVERBUG|SYS/TEMP|454"),
    // RFC 3463 sections 3.2, 3.3 and 3.6: an address, its mailbox or one message was refused, and not the session.
    Rule::new("address-refused", Cause::Unrecognized, Proceed, Inferred)
        .on(&[Smtp])
        .in_phases(&[MidSession])
        .codes("x.1.y|x.2.y|4.5.3"),
    // Postfix, AEM: a recipient was refused for now.
    Rule::new("recipient-refused", Cause::Unrecognized, Proceed, Inferred)
        .on(&[Smtp])
        .in_phases(&[MidSession])
        .says(&[&[Recipient]]),
    // RFC 5321 section 4.2.1: the command itself is not known.
    Rule::new("greeting-unknown", Cause::ProtocolViolation, FixConfiguration, Stated)
        .on(&[Smtp])
        .in_phases(&[Capability])
        .codes("500|502"),

    // ---- Exchange's numbered sentences ----

    Rule::new("not-connected", Cause::NotConnected, AskUser, Stated)
        .says(&[&[Authenticated], &[NotConnected]]),
    // One number: a response above 4,096 octets, a token in the AUTH line of POP3, a token that is dead.
    Rule::new("exchange-10-response", Cause::LineTooLong, AskUser, Inferred)
        .on(&[Pop3])
        .codes("#10")
        .prompted(),
    Rule::new("exchange-10-line", Cause::LineTooLong, Reconnect, Inferred).on(&[Pop3]).codes("#10"),
    Rule::new("exchange-10", Cause::TokenRejected, RefreshToken, Inferred)
        .in_phases(&[AuthFail])
        .codes("#10"),
    // Exchange IMAP, of more connections than a user may have.
    Rule::new("exchange-10-connections", Cause::TooManyConnections, BackOff, Inferred)
        .on(&[Imap])
        .in_phases(&[Disconnect])
        .codes("#10"),
    Rule::new("exchange-12", Cause::RateLimited, BackOff, Inferred).codes("#12").without(&[Argument]),
    Rule::new("exchange-13", Cause::IdleTimeout, Reconnect, Inferred).on(&[Imap]).codes("#13"),
    Rule::new("exchange-15", Cause::Unavailable, BackOff, Inferred).codes("#15"),
];
