//! What passes, what refuses a token, and what the class of a code says where no word is known.

use super::{OF_THE_LOGIN, OF_THE_SESSION};
use crate::classify::Phase;
use crate::classify::concepts::Concept;
use crate::classify::reply::Status;
use crate::classify::rule::Rule;
use crate::config::Protocol;
use crate::failure::{Advice, Cause, Certainty};

use Advice::{AskUser, BackOff, FixConfiguration, Proceed, Reconnect, RefreshToken};
use Certainty::{Guessed, Inferred, Stated};
use Concept::{
    Account, Again, Aged, Argument, Auth, Backend, Blocked, Busy, ClientHost, ClientName,
    Connection, Credential, Denied, Expired, Idle, InUse, Inactive, Internal, Invalid, Later,
    Layer, Locked, Login, Mailbox, Malformed, Mechanism, Message, Must, NotAllowed, NotOpened,
    NotValid, Off, Other, Person, Proof, Reason, ReasonOfNobody, ReasonUnderway, Recipient, Server,
    Service, Session, Shutdown, SystemError, TimedOut, Tls, Token, TooMany, Unavailable, Underway,
    Unexplained, Unknown, Unsupported, UserName, WrongState,
};
use Phase::{AuthFail, Capability, Disconnect, Greeting, MidSession};
use Protocol::{Pop3, Smtp};
use Status::{Bad, Bye, Err, No, Permanent, Temporary};

#[rustfmt::skip] // One row is one line, and one more for each condition.
pub(super) const RULES: &[Rule] = &[
    // ---- What passes ----

    Rule::new("busy", Cause::Unavailable, BackOff, Stated).says(&[&[Busy]]),
    Rule::new("locked", Cause::MailboxLocked, BackOff, Stated).says(&[&[InUse, Locked]]),
    // Exchange, Stalwart.
    Rule::new("token-expired", Cause::TokenExpired, RefreshToken, Stated)
        .together(&[&[Proof, Token], &[Aged, Expired]]),
    // A session that lasts no longer than its login.
    Rule::new("login-expired", Cause::TokenExpired, RefreshToken, Inferred)
        .in_phases(&[Disconnect])
        .together(&[&[Auth], &[Expired]]),
    Rule::new("token-over", Cause::TokenRejected, RefreshToken, Inferred)
        .in_phases(&[AuthFail, Disconnect])
        .together(&[&[Token], &[TimedOut]])
        .without(&[Backend, Connection, Internal, Server, Service]),
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
        .without(&[Connection, InUse, Other, Token]),
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
    Rule::new("idle-code", Cause::IdleTimeout, Reconnect, Inferred).codes("4.4.2"),
    Rule::new("shutdown", Cause::Shutdown, Reconnect, Stated)
        .in_phases(&[AuthFail, MidSession, Disconnect])
        .says(&[&[Shutdown]])
        .without(&[Backend, Invalid, Later]),
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
        .says(&[&[NotOpened]])
        .without(&[Tls, Token]),
    // A refused login that speaks of TLS, and of nothing else that is known.
    Rule::new("tls-spoken-of", Cause::TlsRefused, FixConfiguration, Inferred)
        .in_phases(&[AuthFail])
        .says(&[&[Tls]])
        .without(&[Busy, Internal, Invalid, Later, TooMany]),
    // RFC 5321 section 3.1: there is no service here. Exim says so to whom it does not let in.
    Rule::new("no-service", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(&[Greeting])
        .codes("554")
        .says(&[&[Unavailable]])
        .without(&[Later]),
    // PAM, LDAP and Cyrus SASL, named before what they say: of the credentials, and not of themselves.
    Rule::new("layer-refused", Cause::TokenRejected, RefreshToken, Inferred)
        .in_phases(&[AuthFail])
        .says(&[&[Layer], &[Auth, Credential, Token], &[Invalid]])
        .without(&[Backend, Busy, Later, SystemError, TimedOut, Unavailable]),
    Rule::new("layer-denied", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(&[AuthFail])
        .says(&[&[Layer], &[Denied]])
        .without(&[Backend, Busy, Later, SystemError, TimedOut, Unavailable]),
    Rule::new("passing", Cause::Unavailable, BackOff, Stated)
        .says(&[&[Later, Unavailable, Internal, SystemError, TimedOut]])
        .without(&[Unexplained]),
    Rule::new("inactive", Cause::Unavailable, BackOff, Stated)
        .says(&[&[Inactive]])
        .without(&[Off]),
    Rule::new("underway", Cause::Unavailable, BackOff, Inferred)
        .in_phases(&[Greeting, Capability, AuthFail])
        .says(&[&[Underway]])
        .without(&[Again, Person, Shutdown]),
    Rule::new("ask-a-person", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(&[Greeting])
        .says(&[&[Person]]),
    Rule::new("many", Cause::RateLimited, BackOff, Guessed).in_phases(OF_THE_LOGIN).says(&[&[TooMany]]),

    // ---- Refused tokens ----

    // RFC 3463 section 3.6: of the line that we sent, whatever failed with it.
    Rule::new("syntax-code", Cause::ProtocolViolation, FixConfiguration, Inferred)
        .on(&[Smtp])
        .in_phases(&[AuthFail])
        .codes("5.5.1|5.5.2|5.5.4")
        .without(&[Credential, Token]),
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
    Rule::new("policy-code", Cause::PolicyBlocked, AskUser, Inferred).codes("5.7.139"),
    // What stands behind the server has ended the connection.
    Rule::new("backend-off", Cause::Unavailable, BackOff, Guessed)
        .in_phases(&[Greeting, AuthFail])
        .says(&[&[Backend], &[Blocked, NotOpened, Off, Shutdown]])
        .without(&[Account, Credential, Person, Token]),
    Rule::new("off", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(&[AuthFail])
        .says(&[&[Blocked, NotAllowed, Off]])
        .without(&[Credential, Invalid, Token]),
    // Somebody else is at the mailbox, in words of the server's own.
    Rule::new("other-party", Cause::MailboxLocked, BackOff, Guessed)
        .in_phases(&[AuthFail])
        .says(&[&[Other]])
        .without(&[Account, Credential, Invalid, Must, Person, Server, Token, UserName]),
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
    // A reason that speaks of what stands behind the server, or of mechanisms.
    Rule::new("reason-backend", Cause::Unavailable, BackOff, Guessed)
        .in_phases(&[Greeting, AuthFail])
        .says(&[&[Backend], &[Invalid, Reason]])
        .without(&[Credential, Token]),
    // A reason that is the server's own, and not of the account.
    Rule::new("reason-server", Cause::Unavailable, BackOff, Guessed)
        .in_phases(&[Greeting, AuthFail])
        .says(&[&[Server], &[Reason]])
        .without(&[Account, Credential, Mailbox, Mechanism, Must, NotAllowed, Person, Tls, Token, UserName]),
    Rule::new("reason-mechanism", Cause::MechanismUnavailable, FixConfiguration, Guessed)
        .in_phases(&[AuthFail])
        .says(&[&[Mechanism], &[Reason]])
        .without(&[Invalid, Token]),
    // A reason that says what goes on, or speaks of nobody: it is not of the account, and passes.
    Rule::new("reason-underway", Cause::Unavailable, BackOff, Guessed)
        .in_phases(&[AuthFail])
        .says(&[&[ReasonOfNobody, ReasonUnderway]])
        .without(&[
            Account, ClientHost, Credential, Denied, Invalid, Malformed, Mechanism, Must, NotAllowed, Off, Person, Recipient, Service, Tls, Token,
            Unknown, UserName,
        ]),
    // A reason in words that are not known: a refused token has none.
    Rule::new("reason", Cause::Unrecognized, AskUser, Guessed)
        .in_phases(&[AuthFail])
        .with_status(&[No, Err])
        .says(&[&[Reason]])
        .without(&[Token]),
    Rule::new("reason-code", Cause::Unrecognized, AskUser, Guessed)
        .in_phases(&[AuthFail])
        .codes("535|550|554|5.7.8")
        .says(&[&[Reason]])
        .without(&[Token]),
    // RFC 5530 section 3: the token may not act for this user. Yahoo means the token.
    Rule::new("not-authorized", Cause::PolicyBlocked, AskUser, Inferred)
        .in_phases(OF_THE_LOGIN)
        .codes("AUTHORIZATIONFAILED|NOPERM"),
    // Zimbra and Exchange refuse without a code, Zimbra with a BYE behind it.
    Rule::new("login-failed", Cause::TokenRejected, RefreshToken, Inferred)
        .in_phases(&[AuthFail, Disconnect])
        .together(&[&[Auth, Login], &[Invalid]]),
    // RFC 5530, RFC 3206, RFC 4954 section 6.
    Rule::new("credentials-code", Cause::TokenRejected, RefreshToken, Inferred)
        .in_phases(OF_THE_LOGIN)
        .codes("AUTHENTICATIONFAILED|AUTH|535|5.7.8"),

    // ---- The class of a code ----

    // RFC 4954 section 6: authentication is required, before the login for want of TLS, and after one that had worked.
    Rule::new("tls-required-530", Cause::TlsRefused, FixConfiguration, Inferred)
        .in_phases(&[Greeting, Capability, AuthFail])
        .codes("530"),
    Rule::new("login-forgotten", Cause::SessionEnded, Reconnect, Inferred).codes("530"),
    // RFC 4954 section 6: a line of the exchange is too long.
    Rule::new("line-too-long-code", Cause::LineTooLong, Reconnect, Inferred)
        .in_phases(&[AuthFail])
        .codes("5.5.6")
        .without(&[Invalid, Malformed]),
    // RFC 7372, RFC 3463: too much at once; and an address that is not known here.
    Rule::new("flood-code", Cause::RateLimited, BackOff, Inferred)
        .in_phases(&[Greeting, Capability, AuthFail])
        .codes("5.7.28|4.7.28"),
    Rule::new("address-code", Cause::UserNameRefused, FixConfiguration, Inferred)
        .on(&[Smtp])
        .in_phases(&[AuthFail])
        .codes("5.1.0|5.1.1|5.1.2|5.1.3"),
    // RFC 4954 section 4, RFC 5321 section 4.2.1: syntax, and no such command.
    Rule::new("syntax-login", Cause::ProtocolViolation, FixConfiguration, Inferred)
        .on(&[Smtp])
        .in_phases(&[Greeting, Capability, AuthFail])
        .codes("500|501|502|503|555"),
    Rule::new("syntax", Cause::ProtocolViolation, Proceed, Inferred)
        .on(&[Smtp])
        .in_phases(&[MidSession])
        .codes("500|501|502|503"),
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
    // RFC 5321 section 4.2.1: what ended the session will end the next one.
    Rule::new("closed-for-good", Cause::SessionEnded, BackOff, Guessed)
        .in_phases(&[Disconnect])
        .with_status(&[Permanent]),
];
