//! The rules: what codes, statuses, phases and concepts mean together. The first row that fits wins.
//!
//! Codes with one meaning stand first, and words never overrule them; then what words mean, a special meaning above a
//! general one; last what the class of a code says where no word is known. What servers were seen to say, with the
//! sources, is in `docs/servers.md`.

use super::Phase;
use super::concepts::Concept;
use super::reply::Status;
use super::rule::Rule;
use crate::config::Protocol;
use crate::failure::{Advice, Cause, Certainty};

use Advice::{AskUser, BackOff, FixConfiguration, Proceed, Reconnect, RefreshToken};
use Certainty::{Guessed, Inferred, Stated};
use Concept::{
    Account, Again, Aged, AppPassword, Argument, Auth, Authenticated, Backend, Blocked, Busy,
    Cancelled, Certificate, Change, ClientHost, ClientName, Command, Connection, Credential,
    Denied, Elsewhere, Expired, Folder, Idle, Inactive, Internal, Invalid, Later, Locked,
    LockedOut, Login, Logon, Lookup, Mailbox, Malformed, Mechanism, Message, Mismatch, Must,
    NotAllowed, NotConnected, NotOpened, NotValid, Off, Or, Person, Plan, Policy, Rate, Reason,
    Recipient, Scope, Security, Server, Service, Session, Shutdown, SystemError, ThisIs, TimedOut,
    Tls, Token, TooLong, TooMany, Unavailable, Unexplained, Unknown, Unsupported, UserName,
    Verification, WrongState,
};
use Phase::{AuthFail, Capability, Disconnect, Greeting, MidSession};
use Protocol::{Imap, Pop3, Smtp};
use Status::{Bad, Bye, Err, No, Permanent, Temporary};

/// The codes of a limit or an outage that passes: words tell them apart, and never make anything else of them.
pub(super) const PASSING: &[&str] =
    &["LIMIT", "LOGIN-DELAY", "UNAVAILABLE", "SERVERBUG", "SYS/TEMP", "454"];

/// Where a refusal may be of the account. After the login it is of a message, a folder or a command.
const OF_THE_LOGIN: &[Phase] = &[Greeting, Capability, AuthFail, Disconnect];

/// Where a line that nobody asked for, or the last one, may say why a session ends.
const OF_THE_SESSION: &[Phase] = &[Greeting, MidSession, Disconnect];

#[rustfmt::skip] // One row is one line, and one more for each condition.
pub(super) const RULES: &[Rule] = &[
    // ---- Codes with one meaning ----

    // Gmail. WEBALERT carries the address.
    Rule::new("web-login-code", Cause::InteractionRequired, AskUser, Stated)
        .codes(&["WEBALERT", "5.7.14"]),
    // RFC 4954 section 6: the user must log in once by other means.
    Rule::new("password-transition", Cause::InteractionRequired, AskUser, Stated)
        .codes(&["4.7.12"]),
    // RFC 5530 section 3; RFC 5248 for 525 5.7.13; Dovecot.
    Rule::new("account-disabled-code", Cause::AccountDisabled, AskUser, Stated)
        .codes(&["CONTACTADMIN", "525", "5.7.13"]),
    // RFC 5530 section 3, RFC 4954 section 6, RFC 7817; Exchange for 4.7.66.
    Rule::new("tls-required-code", Cause::TlsRefused, FixConfiguration, Stated)
        .in_phases(OF_THE_LOGIN)
        .codes(&["PRIVACYREQUIRED", "538", "523", "4.7.66", "5.7.10", "5.7.11"]),
    // RFC 5530 section 3, RFC 9051 section 7.1: of one mailbox, whose name the text may hold. Gmail's OVERQUOTA is a rate.
    Rule::new("mailbox-code", Cause::Unrecognized, Proceed, Stated)
        .in_phases(&[MidSession])
        .codes(&["NONEXISTENT", "TRYCREATE", "ALREADYEXISTS", "CANNOT"]),
    // RFC 4954 section 4; Stalwart says CANNOT to a mechanism that it does not know.
    Rule::new("mechanism-code", Cause::MechanismUnavailable, FixConfiguration, Stated)
        .in_phases(&[AuthFail])
        .codes(&["504", "CANNOT"]),
    // RFC 2221: the mailbox is at another server.
    Rule::new("referral", Cause::Unrecognized, FixConfiguration, Stated)
        .in_phases(&[AuthFail])
        .codes(&["REFERRAL"]),
    // RFC 5530 section 3: a credential whose time is over, and a token is one.
    Rule::new("expired-code", Cause::TokenRejected, RefreshToken, Inferred).codes(&["EXPIRED"]),
    // Sora says it also before the end of a session.
    Rule::new("ended-in-use", Cause::SessionEnded, Reconnect, Stated)
        .in_phases(&[Disconnect])
        .codes(&["INUSE", "IN-USE"])
        .says(&[&[Again, Idle]]),
    // RFC 5530 INUSE, RFC 2449 IN-USE: the login itself was fine.
    Rule::new("locked-code", Cause::MailboxLocked, BackOff, Stated).codes(&["INUSE", "IN-USE"]),
    // RFC 5530 section 3: the server says that the client is at fault.
    Rule::new("client-bug-login", Cause::ProtocolViolation, FixConfiguration, Stated)
        .in_phases(&[AuthFail])
        .codes(&["CLIENTBUG"]),
    Rule::new("client-bug", Cause::ProtocolViolation, Proceed, Stated).codes(&["CLIENTBUG"]),
    // Bongo calls its shutdown and one message permanent, magma the want of TLS.
    Rule::new("message-permanent", Cause::Unrecognized, Proceed, Inferred)
        .on(&[Pop3])
        .in_phases(&[MidSession])
        .codes(&["SYS/PERM"])
        .says(&[&[Message], &[Unknown, Blocked]]),
    Rule::new("shutdown-permanent", Cause::Shutdown, Reconnect, Inferred)
        .in_phases(&[Disconnect])
        .codes(&["SYS/PERM"])
        .says(&[&[Shutdown]]),
    Rule::new("tls-permanent", Cause::TlsRefused, FixConfiguration, Inferred)
        .codes(&["SYS/PERM"])
        .says(&[&[Tls], &[Must]]),
    // RFC 3206: needs intervention. Gmail's POP3 says it to the first command after the welcome.
    Rule::new("permanent-code", Cause::ProtocolDisabled, AskUser, Inferred).codes(&["SYS/PERM"]),
    // Google: what an account may send in a day.
    Rule::new("sending-limit-code", Cause::RateLimited, BackOff, Stated)
        .on(&[Smtp])
        .codes(&["5.4.5"]),
    // Dovecot, Gmail, Yahoo, Cyrus; RFC 2449 section 8.1.1 for LOGIN-DELAY.
    Rule::new("connections-code", Cause::TooManyConnections, BackOff, Stated)
        .codes(PASSING)
        .together(&[&[Connection], &[TooMany]]),
    Rule::new("rate-passing", Cause::RateLimited, BackOff, Stated).codes(PASSING).says(&[&[Rate]]),
    // RFC 5530 section 3: how many flags, levels or mailboxes there may be.
    Rule::new("limit-of-a-command", Cause::Unrecognized, Proceed, Inferred)
        .in_phases(&[MidSession])
        .codes(&["LIMIT"]),
    Rule::new("rate-code", Cause::RateLimited, BackOff, Stated).codes(&["LIMIT", "LOGIN-DELAY"]),
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
        .codes(&["454"])
        .says(&[&[Denied]]),
    // RFC 5530, RFC 3206 and RFC 4954: a fault that passes.
    Rule::new("unavailable-code", Cause::Unavailable, BackOff, Stated)
        .codes(&["UNAVAILABLE", "SERVERBUG", "SYS/TEMP", "454"]),
    // RFC 3463 sections 3.2, 3.3 and 3.6: an address, its mailbox or one message was refused, and not the session.
    Rule::new("address-refused", Cause::Unrecognized, Proceed, Inferred)
        .on(&[Smtp])
        .in_phases(&[MidSession])
        .codes(&["x.1.y", "x.2.y", "4.5.3"]),
    // Postfix, AEM: a recipient was refused for now.
    Rule::new("recipient-refused", Cause::Unrecognized, Proceed, Inferred)
        .on(&[Smtp])
        .in_phases(&[MidSession])
        .says(&[&[Recipient]]),
    // RFC 5321 section 4.2.1: the command itself is not known.
    Rule::new("greeting-unknown", Cause::ProtocolViolation, FixConfiguration, Stated)
        .on(&[Smtp])
        .in_phases(&[Capability])
        .codes(&["500", "502"]),

    // ---- Exchange's numbered sentences ----

    Rule::new("not-connected", Cause::NotConnected, AskUser, Stated)
        .says(&[&[Authenticated], &[NotConnected]]),
    // One number: a response above 4,096 octets, a token in the AUTH line of POP3, a token that is dead.
    Rule::new("exchange-10-response", Cause::LineTooLong, AskUser, Inferred)
        .on(&[Pop3])
        .codes(&["#10"])
        .prompted(),
    Rule::new("exchange-10-line", Cause::LineTooLong, Reconnect, Inferred).on(&[Pop3]).codes(&["#10"]),
    Rule::new("exchange-10", Cause::TokenRejected, RefreshToken, Inferred)
        .in_phases(&[AuthFail])
        .codes(&["#10"]),
    Rule::new("exchange-12", Cause::RateLimited, BackOff, Inferred).codes(&["#12"]).without(&[Argument]),
    Rule::new("exchange-13", Cause::IdleTimeout, Reconnect, Inferred).on(&[Imap]).codes(&["#13"]),
    Rule::new("exchange-15", Cause::Unavailable, BackOff, Inferred).codes(&["#15"]),

    // ---- What only a person can mend ----

    // Gmail, Dovecot, Cyrus: the answer to `*`.
    Rule::new("cancelled", Cause::Cancelled, Proceed, Stated)
        .in_phases(&[AuthFail])
        .says(&[&[Cancelled]])
        .without(&[Blocked, Connection, Malformed, Off]),
    // Gmail, Mail.ru, Stalwart, QQ.
    Rule::new("app-password", Cause::AppPasswordRequired, AskUser, Stated)
        .in_phases(OF_THE_LOGIN)
        .says(&[&[AppPassword]]),
    // RFC 4954 section 6 calls 534 5.7.9 a mechanism that is too weak; Gmail means the app password.
    Rule::new("too-weak", Cause::AppPasswordRequired, AskUser, Inferred).codes(&["534"]),
    Rule::new("too-weak-code", Cause::AppPasswordRequired, AskUser, Inferred)
        .in_phases(&[AuthFail])
        .codes(&["5.7.9"]),
    // Gmail, Outlook, Yandex, Yahoo.
    Rule::new("web-login", Cause::InteractionRequired, AskUser, Stated)
        .in_phases(OF_THE_LOGIN)
        .says(&[&[Verification]]),
    Rule::new("password-expired", Cause::InteractionRequired, AskUser, Inferred)
        .in_phases(OF_THE_LOGIN)
        .together(&[&[Credential], &[Expired]]),
    // Zimbra.
    Rule::new("password-change", Cause::InteractionRequired, AskUser, Inferred)
        .in_phases(&[AuthFail])
        .together(&[&[Credential], &[Change]]),
    // Yandex has one text for two causes: a fresh token is the cheaper try.
    Rule::new("token-or-protocol", Cause::TokenRejected, RefreshToken, Guessed)
        .in_phases(&[AuthFail])
        .together(&[&[Credential, Login], &[Or], &[Off]]),

    // Dovecot: behind the sentence stands the mailbox's name.
    Rule::new("no-such-mailbox", Cause::Unrecognized, Proceed, Stated)
        .in_phases(&[MidSession])
        .together(&[&[Mailbox], &[Unknown]]),

    // ---- Limits ----

    // The client says what the server does not know until it closes: Dovecot, Google, Cyrus to a web browser.
    Rule::new("commands", Cause::ProtocolViolation, FixConfiguration, Stated)
        .on(&[Imap, Pop3])
        .together(&[&[TooMany], &[Command], &[Invalid, Unknown]]),
    Rule::new("this-is", Cause::ProtocolViolation, FixConfiguration, Stated)
        .on(&[Imap, Pop3])
        .together(&[&[ThisIs], &[Server]]),
    Rule::new("last-command", Cause::ProtocolViolation, FixConfiguration, Inferred)
        .on(&[Imap, Pop3])
        .in_phases(&[Disconnect])
        .together(&[&[Command], &[Unknown]]),
    Rule::new("commands-smtp", Cause::ProtocolViolation, Reconnect, Stated)
        .on(&[Smtp])
        .in_phases(&[AuthFail, MidSession, Disconnect])
        .together(&[&[TooMany], &[Command], &[Invalid, Unknown]]),
    // Exchange POP3 and Postfix: the token is too long in two steps as well.
    Rule::new("response-too-long", Cause::LineTooLong, AskUser, Stated)
        .in_phases(&[AuthFail])
        .says(&[&[TooLong]])
        .prompted(),
    // Gmail calls it a syntax error for good (angus-mail #201); Dovecot and RFC 4954 (500 5.5.6) do not.
    Rule::new("line-too-long-555", Cause::LineTooLong, FixConfiguration, Stated)
        .in_phases(&[AuthFail])
        .codes(&["555"])
        .says(&[&[TooLong]]),
    Rule::new("line-too-long", Cause::LineTooLong, Reconnect, Stated)
        .in_phases(&[AuthFail])
        .says(&[&[TooLong]])
        .without(&[Backend, Internal]),
    // Gmail, Dovecot, Cyrus, Exchange.
    Rule::new("connections", Cause::TooManyConnections, BackOff, Stated)
        .together(&[&[Connection], &[TooMany]])
        .without(&[Aged]),
    // What a person has to lift, whatever led to it.
    Rule::new("blocked-until-asked", Cause::AccountDisabled, AskUser, Inferred)
        .in_phases(&[AuthFail])
        .says(&[&[Account], &[Blocked, Locked], &[Person]])
        .without(&[Later]),
    // Exchange, Gmail, Yahoo, Stalwart.
    Rule::new("rate", Cause::RateLimited, BackOff, Stated).says(&[&[Rate]]),
    Rule::new("locked-for-now", Cause::RateLimited, BackOff, Inferred)
        .in_phases(OF_THE_LOGIN)
        .says(&[&[Locked, Blocked], &[Later]]),

    // ---- Policies, protocols, mechanisms and accounts ----

    // Exchange: a 5xx of a temporary kind.
    Rule::new("policy-unreachable", Cause::Unavailable, BackOff, Stated)
        .codes(&["5.7.139"])
        .says(&[&[Unavailable, Busy, Later]]),
    // Exchange, Google.
    Rule::new("policy", Cause::PolicyBlocked, AskUser, Stated)
        .in_phases(OF_THE_LOGIN)
        .says(&[&[Policy]])
        .without(&[Later]),
    Rule::new("client-host", Cause::PolicyBlocked, AskUser, Stated)
        .in_phases(OF_THE_LOGIN)
        .together(&[&[ClientHost], &[Blocked, NotAllowed, Denied]]),
    // NetEase refuses SELECT until the client has sent ID (Mailspring-Sync #121).
    Rule::new("unsafe-login", Cause::PolicyBlocked, FixConfiguration, Stated).says(&[&[Security]]),
    // Gmail, Exchange, Yahoo, Stalwart. In POP3 it comes as the answer to the first command, too.
    Rule::new("protocol-disabled", Cause::ProtocolDisabled, AskUser, Stated)
        .in_phases(OF_THE_LOGIN)
        .says(&[&[Concept::Protocol, Lookup], &[Off, NotAllowed, Denied, Plan, Lookup]]),
    Rule::new("service-disabled", Cause::ProtocolDisabled, AskUser, Stated)
        .in_phases(OF_THE_LOGIN)
        .together(&[&[Service], &[Off, NotAllowed, Plan, Blocked]])
        .without(&[Later]),
    // Weasel: of the client's address, for no token was shown yet.
    Rule::new("denied-at-once", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(&[Greeting])
        .says(&[&[Denied, NotAllowed]])
        .without(&[Busy, Later, TooMany]),
    // Mailtrap, Hiveminder: what the account is not paid for.
    Rule::new("plan", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(&[AuthFail])
        .says(&[&[Plan]])
        .without(&[Later]),
    Rule::new("protocol-disabled-pop3", Cause::ProtocolDisabled, AskUser, Stated)
        .on(&[Pop3])
        .together(&[&[Concept::Protocol], &[Off, NotAllowed]]),
    // Interia takes the login and refuses all that follows (MailKit #860).
    Rule::new("protocol-disabled-imap", Cause::ProtocolDisabled, AskUser, Stated)
        .on(&[Imap])
        .together(&[&[Concept::Protocol], &[Off], &[Service]]),
    // mox, and servers that want a certificate of the client.
    Rule::new("client-certificate", Cause::TlsFailed, FixConfiguration, Stated)
        .together(&[&[Certificate], &[Expired, Invalid, Must, NotValid]]),
    // Exchange, Postfix: TLS is missing, or too old.
    Rule::new("tls-required", Cause::TlsRefused, FixConfiguration, Stated)
        .says(&[&[Tls], &[Must, NotAllowed, Off, Unsupported]]),
    // Dovecot, where its certificate or key is broken, and servers that have none.
    Rule::new("tls-failed", Cause::TlsRefused, FixConfiguration, Inferred)
        .on(&[Imap, Pop3])
        .in_phases(&[Greeting, Capability])
        .says(&[&[Tls], &[Invalid, Unavailable]])
        .without(&[Later]),
    // Exchange, James, Google.
    Rule::new("mechanism", Cause::MechanismUnavailable, FixConfiguration, Stated)
        .in_phases(OF_THE_LOGIN)
        .together(&[&[Mechanism], &[Unsupported, Off, Blocked, Unknown, NotAllowed, Must]])
        .without(&[Token]),
    Rule::new("login-unsupported", Cause::MechanismUnavailable, FixConfiguration, Stated)
        .in_phases(&[AuthFail])
        .together(&[&[Auth, Login], &[Unsupported]])
        .without(&[Account]),
    Rule::new("auth-off", Cause::MechanismUnavailable, FixConfiguration, Stated)
        .in_phases(&[AuthFail])
        .together(&[&[Auth], &[Off]])
        .without(&[Account]),
    // RFC 4954 section 4: this server, or this port, has no AUTH.
    Rule::new("auth-not-offered", Cause::MechanismUnavailable, FixConfiguration, Stated)
        .on(&[Smtp])
        .in_phases(&[AuthFail])
        .codes(&["502", "503"])
        .together(&[&[Auth], &[Off, Unavailable]])
        .without(&[Account]),
    // Dovecot, Stalwart: not now, or not here.
    Rule::new("auth-out-of-place", Cause::ProtocolViolation, FixConfiguration, Stated)
        .on(&[Smtp])
        .in_phases(&[AuthFail])
        .codes(&["503"])
        .together(&[&[Auth], &[NotAllowed]])
        .without(&[Account]),
    // Perdition, GoDaddy.
    Rule::new("login-not-allowed", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(&[AuthFail])
        .together(&[&[Auth, Login], &[NotAllowed, Off]])
        .without(&[Account, Argument]),
    // RFC 1939 section 3: a server that has no AUTH.
    Rule::new("no-such-command", Cause::MechanismUnavailable, FixConfiguration, Inferred)
        .on(&[Pop3])
        .in_phases(&[AuthFail])
        .together(&[&[Command], &[Unknown]]),
    Rule::new("account-disabled", Cause::AccountDisabled, AskUser, Stated)
        .in_phases(OF_THE_LOGIN)
        .together(&[&[Account, Mailbox], &[Blocked, Off, Expired, Inactive]])
        .without(&[Folder]),
    Rule::new("account-locked", Cause::AccountDisabled, AskUser, Stated)
        .in_phases(OF_THE_LOGIN)
        .together(&[&[Account, Credential], &[Locked]])
        .without(&[Mailbox]),
    Rule::new("account-not-allowed", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(OF_THE_LOGIN)
        .together(&[&[Account], &[NotAllowed]]),
    Rule::new("scope", Cause::InsufficientScope, AskUser, Inferred)
        .in_phases(&[AuthFail])
        .says(&[&[Scope]])
        .without(&[Denied]),
    Rule::new("lockout", Cause::TokenRejected, BackOff, Guessed)
        .codes(&["AUTHENTICATIONFAILED"])
        .says(&[&[LockedOut]]),
    // Windows' own sentences, which Exchange hands on, also when it throttles (node-poplib #34): no token cures that.
    Rule::new("logon-failure", Cause::TokenRejected, AskUser, Inferred)
        .together(&[&[Logon], &[Invalid]]),
    // Exchange High Volume, and servers that know no such user.
    Rule::new("user-name", Cause::UserNameRefused, FixConfiguration, Inferred)
        .in_phases(&[AuthFail])
        .together(&[&[UserName, Account, Mailbox], &[Unknown, NotValid]])
        .without(&[Credential, Token]),
    Rule::new("user-name-whole", Cause::UserNameRefused, FixConfiguration, Inferred)
        .in_phases(&[AuthFail])
        .together(&[&[UserName], &[Must]])
        .without(&[Credential, Token]),
    // DavMail, maddy: the token is of another user.
    Rule::new("other-user", Cause::UserNameRefused, FixConfiguration, Inferred)
        .in_phases(&[AuthFail])
        .together(&[&[UserName], &[Mismatch]])
        .without(&[Credential]),
    Rule::new("other-account", Cause::UserNameRefused, FixConfiguration, Inferred)
        .in_phases(&[AuthFail])
        .together(&[&[Account], &[Mismatch]])
        .without(&[Credential, Token]),
    // RFC 2221, Zimbra: the mailbox is at another server.
    Rule::new("elsewhere", Cause::Unrecognized, FixConfiguration, Inferred)
        .in_phases(&[Greeting, AuthFail])
        .says(&[&[Elsewhere]])
        .without(&[Later]),

    // ---- What passes ----

    Rule::new("busy", Cause::Unavailable, BackOff, Stated).says(&[&[Busy]]),
    Rule::new("locked", Cause::MailboxLocked, BackOff, Stated).says(&[&[Locked]]),
    // Exchange, Stalwart.
    Rule::new("token-expired", Cause::TokenExpired, RefreshToken, Stated)
        .together(&[&[Token], &[Expired]]),
    // RFC 7662 section 2.2: what introspection says of a token that is over.
    Rule::new("token-inactive", Cause::TokenRejected, RefreshToken, Inferred)
        .together(&[&[Token], &[Inactive]]),
    // Gmail's SMTP, Stalwart.
    Rule::new("connection-expired", Cause::SessionLimit, Reconnect, Stated)
        .in_phases(OF_THE_SESSION)
        .together(&[&[Connection, Aged], &[Expired, Aged]]),
    // Gmail.
    Rule::new("session-expired", Cause::SessionLimit, RefreshToken, Stated)
        .together(&[&[Session], &[Expired]]),
    // Google: the token may not stand in the AUTH line.
    Rule::new("initial-response", Cause::InitialResponseRefused, Reconnect, Stated)
        .in_phases(&[AuthFail])
        .together(&[&[Argument], &[NotAllowed, Unsupported]]),
    // Google and Postfix: a second AUTH in one session.
    Rule::new("wrong-state", Cause::ProtocolViolation, Proceed, Stated)
        .says(&[&[WrongState]])
        .without(&[Connection]),
    // Yandex, Google, Stalwart: our message was malformed for this server.
    Rule::new("malformed", Cause::ProtocolViolation, FixConfiguration, Stated)
        .in_phases(&[AuthFail])
        .says(&[&[Malformed]])
        .without(&[Token]),
    // Google, Exchange, Postfix, Exim: of the EHLO name, whatever the code.
    Rule::new("client-name", Cause::ClientNameRefused, FixConfiguration, Inferred)
        .on(&[Smtp])
        .in_phases(&[Capability])
        .says(&[&[ClientName]]),
    // Dovecot.
    Rule::new("finishing-login", Cause::Unavailable, BackOff, Stated)
        .together(&[&[TimedOut], &[Login]]),
    // Dovecot, Cyrus, Stalwart, Gmail, GMX.
    Rule::new("idle", Cause::IdleTimeout, Reconnect, Stated)
        .in_phases(OF_THE_SESSION)
        .with_status(&[Bye, Err, Temporary, Permanent])
        .says(&[&[Idle, TimedOut]]),
    Rule::new("idle-code", Cause::IdleTimeout, Reconnect, Inferred).codes(&["4.4.2"]),
    Rule::new("shutdown", Cause::Shutdown, Reconnect, Stated)
        .in_phases(&[AuthFail, MidSession, Disconnect])
        .says(&[&[Shutdown]])
        .without(&[Invalid, Later]),
    // Gmail: the next connection most often works (mailcore2's tests).
    Rule::new("system-error", Cause::Unavailable, Reconnect, Stated)
        .with_status(&[Bye])
        .says(&[&[SystemError]]),
    Rule::new("message-fault", Cause::Unrecognized, Proceed, Inferred)
        .on(&[Pop3])
        .in_phases(&[MidSession])
        .says(&[&[Message], &[Internal, SystemError]]),
    // The login itself was fine. After it a folder may be meant.
    Rule::new("mailbox-not-opened", Cause::Unavailable, BackOff, Inferred)
        .in_phases(OF_THE_LOGIN)
        .says(&[&[NotOpened]]),
    // A refused login that speaks of TLS, and of nothing else that is known.
    Rule::new("tls-spoken-of", Cause::TlsRefused, FixConfiguration, Inferred)
        .in_phases(&[AuthFail])
        .says(&[&[Tls]])
        .without(&[Busy, Internal, Invalid, Later, TooMany]),
    // RFC 5321 section 3.1: there is no service here. Exim says so to whom it does not let in.
    Rule::new("no-service", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(&[Greeting])
        .codes(&["554"])
        .says(&[&[Unavailable]])
        .without(&[Later]),
    Rule::new("passing", Cause::Unavailable, BackOff, Stated)
        .says(&[&[Later, Unavailable, Inactive, Internal, SystemError, TimedOut]])
        .without(&[Unexplained]),
    Rule::new("ask-a-person", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(&[Greeting])
        .says(&[&[Person]]),
    Rule::new("many", Cause::RateLimited, BackOff, Guessed).in_phases(OF_THE_LOGIN).says(&[&[TooMany]]),

    // ---- Refused tokens ----

    // RFC 5321 section 4.2.1: a first digit of 4 passes, and no token is told to be bad.
    Rule::new("refused-for-now", Cause::Unavailable, BackOff, Inferred)
        .in_phases(&[AuthFail])
        .with_status(&[Temporary])
        .together(&[&[Auth, Login], &[Invalid]])
        .without(&[Credential, Token]),
    Rule::new("credentials", Cause::TokenRejected, RefreshToken, Stated)
        .in_phases(&[AuthFail, Disconnect])
        .says(&[&[Credential, Token], &[Invalid, NotValid]]),
    // Exchange: a policy of the tenant, whose name is not known. A login that failed without a reason is none.
    Rule::new("policy-code", Cause::PolicyBlocked, AskUser, Inferred).codes(&["5.7.139"]),
    Rule::new("off", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(&[AuthFail])
        .says(&[&[Blocked, NotAllowed, Off]])
        .without(&[Credential, Invalid, Token]),
    // A refusal that speaks of a protocol, and of no login that failed.
    Rule::new("protocol-spoken-of", Cause::ProtocolDisabled, AskUser, Guessed)
        .in_phases(&[AuthFail])
        .with_status(&[No, Err, Permanent])
        .says(&[&[Concept::Protocol]])
        .without(&[Auth, Credential, Invalid, Login, Token]),
    // A person is asked for, and no credential is told to be bad.
    Rule::new("ask-a-person-login", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(&[AuthFail])
        .says(&[&[Person]]),
    // A reason that speaks of mechanisms, or of what stands behind the server.
    Rule::new("reason-mechanism", Cause::MechanismUnavailable, FixConfiguration, Guessed)
        .in_phases(&[AuthFail])
        .says(&[&[Mechanism], &[Reason]])
        .without(&[Invalid, Token]),
    Rule::new("reason-backend", Cause::Unavailable, BackOff, Guessed)
        .in_phases(&[Greeting, AuthFail])
        .says(&[&[Backend], &[Invalid, Reason]])
        .without(&[Credential, Token]),
    // A reason in words that are not known: a refused token has none.
    Rule::new("reason", Cause::Unrecognized, AskUser, Guessed)
        .in_phases(&[AuthFail])
        .with_status(&[No, Err])
        .says(&[&[Reason]])
        .without(&[Token]),
    Rule::new("reason-code", Cause::Unrecognized, AskUser, Guessed)
        .in_phases(&[AuthFail])
        .codes(&["535", "550", "554", "5.7.8"])
        .says(&[&[Reason]])
        .without(&[Token]),
    // RFC 5530 section 3: the token may not act for this user. Yahoo means the token.
    Rule::new("not-authorized", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(OF_THE_LOGIN)
        .codes(&["AUTHORIZATIONFAILED", "NOPERM"]),
    // Zimbra and Exchange refuse without a code, Zimbra with a BYE behind it.
    Rule::new("login-failed", Cause::TokenRejected, RefreshToken, Inferred)
        .in_phases(&[AuthFail, Disconnect])
        .together(&[&[Auth, Login], &[Invalid]]),
    // RFC 5530, RFC 3206, RFC 4954 section 6.
    Rule::new("credentials-code", Cause::TokenRejected, RefreshToken, Inferred)
        .in_phases(OF_THE_LOGIN)
        .codes(&["AUTHENTICATIONFAILED", "AUTH", "535", "5.7.8"]),

    // ---- The class of a code ----

    // RFC 4954 section 6: authentication is required, before the login for want of TLS, and after one that had worked.
    Rule::new("tls-required-530", Cause::TlsRefused, FixConfiguration, Inferred)
        .in_phases(&[Greeting, Capability, AuthFail])
        .codes(&["530"]),
    Rule::new("login-forgotten", Cause::SessionEnded, Reconnect, Inferred).codes(&["530"]),
    // RFC 4954 section 6: a line of the exchange is too long.
    Rule::new("line-too-long-code", Cause::LineTooLong, Reconnect, Inferred)
        .in_phases(&[AuthFail])
        .codes(&["5.5.6"])
        .without(&[Invalid, Malformed]),
    // RFC 7372, RFC 3463: too much at once; and an address that is not known here.
    Rule::new("flood-code", Cause::RateLimited, BackOff, Inferred)
        .in_phases(&[Greeting, Capability, AuthFail])
        .codes(&["5.7.28", "4.7.28"]),
    Rule::new("address-code", Cause::UserNameRefused, FixConfiguration, Inferred)
        .on(&[Smtp])
        .in_phases(&[AuthFail])
        .codes(&["5.1.0", "5.1.1", "5.1.2", "5.1.3"]),
    // RFC 4954 section 4, RFC 5321 section 4.2.1: syntax, and no such command.
    Rule::new("syntax-login", Cause::ProtocolViolation, FixConfiguration, Inferred)
        .on(&[Smtp])
        .in_phases(&[Greeting, Capability, AuthFail])
        .codes(&["500", "501", "502", "503", "555"]),
    Rule::new("syntax", Cause::ProtocolViolation, Proceed, Inferred)
        .on(&[Smtp])
        .in_phases(&[MidSession])
        .codes(&["500", "501", "502", "503"]),
    // RFC 5321 section 4.2.1: a first digit of 4 passes.
    Rule::new("temporary", Cause::Unavailable, BackOff, Inferred).with_status(&[Temporary]),
    // RFC 5321 section 4.2.1: any other 5xx in a login is a policy of the server.
    Rule::new("refused-for-good", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(&[Greeting, Capability, AuthFail])
        .with_status(&[Permanent]),
    // RFC 9051 section 7.1.3: BAD is a fault of the command, and not of the token.
    Rule::new("bad-login", Cause::ProtocolViolation, FixConfiguration, Inferred)
        .in_phases(&[AuthFail])
        .with_status(&[Bad]),
    Rule::new("bad", Cause::ProtocolViolation, Proceed, Inferred)
        .in_phases(&[MidSession])
        .with_status(&[Bad]),
];
