//! What words mean: what a person must mend, limits, policies, protocols, mechanisms and accounts.

use super::OF_THE_LOGIN;
use crate::classify::Phase;
use crate::classify::concepts::Concept;
use crate::classify::rule::Rule;
use crate::config::Protocol;
use crate::failure::{Advice, Cause, Certainty};

use Advice::{AskUser, BackOff, FixConfiguration, Proceed, Reconnect, RefreshToken};
use Certainty::{Guessed, Inferred, Stated};
use Concept::{
    Account, Aged, AppPassword, Argument, Auth, Backend, Blocked, Busy, Cancelled, Certificate,
    Change, ClientHost, Command, Connection, Credential, Denied, Elsewhere, Expired, Folder, Full,
    Inactive, Internal, Invalid, Later, Layer, Locked, LockedOut, Login, Logon, Lookup, Mailbox,
    Malformed, Mechanism, Mismatch, Must, NotAllowed, NotValid, Off, Or, Person, Plan, Policy,
    Proof, Rate, Scope, Security, Server, Service, Suspended, SystemError, ThisIs, TimedOut, Tls,
    Token, TokenService, TooLong, TooMany, Unavailable, Unknown, Unsupported, UserName,
    Verification,
};
use Phase::{AuthFail, Capability, Disconnect, Greeting, MidSession};
use Protocol::{Imap, Pop3, Smtp};

#[rustfmt::skip] // One row is one line, and one more for each condition.
pub(super) const RULES: &[Rule] = &[
    // ---- What only a person can mend ----

    // Gmail, Dovecot, Cyrus: the answer to `*`.
    Rule::new("cancelled", Cause::Cancelled, Proceed, Stated)
        .in_phases(&[AuthFail])
        .says(&[&[Cancelled]])
        .without(&[Blocked, Connection, Invalid, Mailbox, Malformed, Off, Plan, TimedOut]),
    // Gmail, Mail.ru, Stalwart, QQ.
    Rule::new("app-password", Cause::AppPasswordRequired, AskUser, Stated)
        .in_phases(OF_THE_LOGIN)
        .says(&[&[AppPassword]]),
    // Microsoft Entra, of an outage or too many logins; its other numbers ask for a person.
    Rule::new("token-service", Cause::Unavailable, BackOff, Inferred).says(&[&[TokenService]]),
    // RFC 4954 section 6 calls 534 5.7.9 a mechanism that is too weak; Gmail means the app password.
    Rule::new("too-weak", Cause::AppPasswordRequired, AskUser, Inferred).codes("534"),
    Rule::new("too-weak-code", Cause::AppPasswordRequired, AskUser, Inferred)
        .in_phases(&[AuthFail])
        .codes("5.7.9"),
    // Gmail, Outlook, Yandex, Yahoo.
    Rule::new("web-login", Cause::InteractionRequired, AskUser, Stated)
        .in_phases(OF_THE_LOGIN)
        .says(&[&[Verification]]),
    Rule::new("password-expired", Cause::InteractionRequired, AskUser, Inferred)
        .in_phases(OF_THE_LOGIN)
        .together(&[&[Credential], &[Expired]])
        .without(&[Proof]),
    // Zimbra.
    Rule::new("password-change", Cause::InteractionRequired, AskUser, Inferred)
        .in_phases(&[AuthFail])
        .together(&[&[Credential], &[Change]]),
    // Yandex has one text for two causes: a fresh token is the cheaper try.
    Rule::new("token-or-protocol", Cause::TokenRejected, RefreshToken, Guessed)
        .in_phases(&[AuthFail])
        .together(&[&[Credential, Login], &[Or], &[Off]]),

    // Whoever revoked it: before the account is looked at, and before a time that is too long.
    Rule::new("token-revoked", Cause::TokenExpired, RefreshToken, Stated)
        .in_phases(&[AuthFail])
        .together(&[&[Token], &[Aged, Expired]])
        .without(&[Blocked, Inactive, Internal, Locked, Concept::Protocol, Suspended]),

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
        .codes("555")
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
        .says(&[&[Account, Mailbox], &[Blocked, Locked], &[Person]])
        .without(&[Policy]),
    // MDaemon: what led to it is no reason to wait.
    Rule::new("account-suspended", Cause::AccountDisabled, AskUser, Stated)
        .in_phases(OF_THE_LOGIN)
        .together(&[&[Account, Mailbox], &[Suspended]])
        .without(&[Later]),
    // SurgeMail: until somebody deletes messages.
    Rule::new("mailbox-full", Cause::Unrecognized, AskUser, Inferred)
        .in_phases(&[AuthFail])
        .together(&[&[Account, Mailbox], &[Full]]),
    // Exchange, Gmail, Yahoo, Stalwart.
    Rule::new("rate", Cause::RateLimited, BackOff, Stated).says(&[&[Rate]]),
    Rule::new("locked-for-now", Cause::RateLimited, BackOff, Inferred)
        .in_phases(OF_THE_LOGIN)
        .says(&[&[Locked, Blocked, Suspended], &[Later]])
        .without(&[Plan]),

    // ---- Policies, protocols, mechanisms and accounts ----

    // Exchange: a 5xx of a temporary kind.
    Rule::new("policy-unreachable", Cause::Unavailable, BackOff, Stated)
        .codes("5.7.139")
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
        .says(&[&[Concept::Protocol], &[Off, NotAllowed, Denied, Inactive, Plan]]),
    // Gmail, of a domain without mail.
    Rule::new("lookup", Cause::ProtocolDisabled, AskUser, Stated)
        .in_phases(OF_THE_LOGIN)
        .says(&[&[Lookup]])
        .without(&[Internal]),
    Rule::new("service-disabled", Cause::ProtocolDisabled, AskUser, Stated)
        .in_phases(OF_THE_LOGIN)
        .together(&[&[Service], &[Off, NotAllowed, Plan, Blocked]])
        .without(&[Later]),
    // Of all that a user may do, and of no token.
    Rule::new("access-revoked", Cause::AccountDisabled, AskUser, Inferred)
        .in_phases(&[AuthFail])
        .together(&[&[Service], &[Expired]])
        .without(&[Credential, Token]),
    // Weasel: of the client's address, for no token was shown yet.
    Rule::new("denied-at-once", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(&[Greeting])
        .says(&[&[Denied, NotAllowed]])
        .without(&[Busy, Later, TooMany]),
    // Mailtrap, Hiveminder: what the account is not paid for.
    Rule::new("plan", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(&[AuthFail])
        .says(&[&[Plan]])
        .without(&[Later, Unavailable]),
    Rule::new("protocol-disabled-pop3", Cause::ProtocolDisabled, AskUser, Stated)
        .on(&[Pop3])
        .together(&[&[Concept::Protocol], &[Off, NotAllowed]]),
    // Interia takes the login and refuses all that follows (MailKit #860).
    Rule::new("protocol-disabled-imap", Cause::ProtocolDisabled, AskUser, Stated)
        .on(&[Imap])
        .together(&[&[Concept::Protocol], &[Off], &[Service]]),
    // mox, and servers that want a certificate of the client.
    Rule::new("client-certificate", Cause::TlsFailed, FixConfiguration, Stated)
        .together(&[&[Certificate], &[Expired, Invalid, Must, NotValid, Unknown]]),
    // Exchange, Postfix: TLS is missing, or too old.
    Rule::new("tls-required", Cause::TlsRefused, FixConfiguration, Stated)
        .says(&[&[Tls], &[Must, NotAllowed, Off, Unsupported]]),
    // Dovecot, where its certificate or key is broken, and servers that have none.
    Rule::new("tls-failed", Cause::TlsRefused, FixConfiguration, Inferred)
        .on(&[Imap, Pop3])
        .in_phases(&[Greeting, Capability])
        .says(&[&[Tls], &[Invalid, Unavailable]])
        .without(&[Later]),
    // Cyrus SASL names itself before it speaks of an account.
    Rule::new("layer-account", Cause::AccountDisabled, AskUser, Stated)
        .in_phases(&[AuthFail])
        .says(&[&[Layer]])
        .together(&[&[Account], &[Blocked, Inactive, NotAllowed, Off]]),
    // Exchange, James, Google.
    Rule::new("mechanism", Cause::MechanismUnavailable, FixConfiguration, Stated)
        .in_phases(OF_THE_LOGIN)
        .together(&[&[Mechanism], &[Unsupported, Off, Blocked, Unknown, NotAllowed, Must]])
        .without(&[Token]),
    Rule::new("mechanism-not-there", Cause::MechanismUnavailable, FixConfiguration, Inferred)
        .in_phases(&[AuthFail])
        .together(&[&[Command, Mechanism], &[Unavailable]])
        .without(&[Backend, Busy, Internal, Later, TimedOut, Token]),
    Rule::new("login-unsupported", Cause::MechanismUnavailable, FixConfiguration, Stated)
        .in_phases(&[AuthFail])
        .together(&[&[Auth, Login], &[Unsupported]])
        .without(&[Account, TooMany]),
    Rule::new("auth-off", Cause::MechanismUnavailable, FixConfiguration, Stated)
        .in_phases(&[AuthFail])
        .together(&[&[Auth], &[Off]])
        .without(&[Account, Later]),
    // RFC 4954 section 4: this server, or this port, has no AUTH.
    Rule::new("auth-not-offered", Cause::MechanismUnavailable, FixConfiguration, Stated)
        .on(&[Smtp])
        .in_phases(&[AuthFail])
        .codes("502|503")
        .together(&[&[Auth], &[Off, Unavailable]])
        .without(&[Account]),
    // Dovecot, Stalwart: not now, or not here.
    Rule::new("auth-out-of-place", Cause::ProtocolViolation, FixConfiguration, Stated)
        .on(&[Smtp])
        .in_phases(&[AuthFail])
        .codes("503")
        .together(&[&[Auth], &[NotAllowed]])
        .without(&[Account]),
    // Perdition, GoDaddy.
    Rule::new("login-not-allowed", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(&[AuthFail])
        .together(&[&[Auth, Login], &[NotAllowed, Off]])
        .without(&[Account, Argument, Later]),
    // RFC 1939 section 3: a server that has no AUTH.
    Rule::new("no-such-command", Cause::MechanismUnavailable, FixConfiguration, Inferred)
        .on(&[Pop3])
        .in_phases(&[AuthFail])
        .together(&[&[Command], &[Unknown, Must]]),
    Rule::new("disabled-for-now", Cause::RateLimited, BackOff, Inferred)
        .in_phases(OF_THE_LOGIN)
        .together(&[&[Account, Mailbox], &[Off]])
        .says(&[&[Later], &[Rate, TooMany]]),
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
        .without(&[Busy, Denied, Internal]),
    Rule::new("lockout", Cause::TokenRejected, BackOff, Guessed)
        .codes("AUTHENTICATIONFAILED")
        .says(&[&[LockedOut]]),
    // Windows' own sentences, which Exchange hands on, also when it throttles (node-poplib #34): no token cures that.
    Rule::new("logon-failure", Cause::TokenRejected, AskUser, Inferred)
        .together(&[&[Logon], &[Invalid]])
        .without(&[Denied]),
    // Exchange High Volume, and servers that know no such user.
    Rule::new("user-name", Cause::UserNameRefused, FixConfiguration, Inferred)
        .in_phases(&[AuthFail])
        .together(&[&[UserName, Account, Mailbox], &[Unknown, NotValid]])
        .without(&[Credential, SystemError, Token]),
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
    Rule::new("other-users-token", Cause::UserNameRefused, FixConfiguration, Inferred)
        .in_phases(&[AuthFail])
        .together(&[&[Token], &[Mismatch]])
        .says(&[&[Mailbox, UserName]]),
    // RFC 2221, Zimbra: the mailbox is at another server.
    Rule::new("elsewhere", Cause::Unrecognized, FixConfiguration, Inferred)
        .in_phases(&[Greeting, AuthFail])
        .says(&[&[Elsewhere]])
        .without(&[Later]),
];
