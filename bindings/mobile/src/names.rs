//! The core's names as UniFFI's enums. A name that the core gains and that is missing here does not compile.

use mailbearer::{
    Advice, Cause, Certainty, EventKind, InitialResponse, Login, Mechanism, NoToken, Phase,
    Protocol as MailProtocol, RaiseKind, RenewWhy, Renewal, SessionPhase, Side, Standing,
    Submission, Tls, TokenNeed, WakeReason,
};

/// A mail protocol.
#[uniffi::remote(Enum)]
pub enum MailProtocol {
    /// RFC 9051, and RFC 3501 before it.
    Imap,
    /// RFC 1939.
    Pop3,
    /// RFC 5321, or submission (RFC 6409), which differs only in its port.
    Smtp,
}

/// When TLS begins. There is no plaintext mode.
#[uniffi::remote(Enum)]
pub enum Tls {
    /// With the first octet (RFC 8314).
    Implicit,
    /// By `STARTTLS` or `STLS` before anything else; a server that does not offer it is a failure.
    StartTls,
}

/// A SASL mechanism that carries an OAuth 2.0 access token.
#[uniffi::remote(Enum)]
pub enum Mechanism {
    /// `XOAUTH2`, Google's mechanism, which Microsoft, Yahoo and others took over.
    XOAuth2,
    /// `OAUTHBEARER`, RFC 7628.
    OAuthBearer,
}

/// Whether the token travels in the same line as the `AUTH` command.
#[uniffi::remote(Enum)]
pub enum InitialResponse {
    /// Where the server allows it and the line fits the protocol's limit; else in two steps.
    Auto,
    /// Always in two steps, which every server must take (RFC 4959 section 3).
    Never,
    /// Always in one line: only for servers that ask for it.
    Always,
}

/// What happened.
#[uniffi::remote(Enum)]
pub enum Cause {
    /// Nothing is wrong: the reply says that all is well.
    NoFault,
    /// The token was refused: expired, revoked, malformed or of another user. At login servers do not say which.
    TokenRejected,
    /// The token's time is over: the server or the clock says so.
    TokenExpired,
    /// The program's token source has no token to give.
    TokenUnavailable,
    /// The token lacks the scope for mail.
    InsufficientScope,
    /// The server offers no mechanism that takes a token, or refuses the one that it offered.
    MechanismUnavailable,
    /// The server does not take the token in the line of the `AUTH` command.
    InitialResponseRefused,
    /// STARTTLS is not offered or was refused, or the server says that TLS is missing.
    TlsRefused,
    /// The TLS handshake failed, or the certificate is not of this host.
    TlsFailed,
    /// Another service answers at this port: SMTP where IMAP was meant, a web server, …
    WrongService,
    /// TLS begins in another way at this port: with the first octet where STARTTLS was meant, or the other way round.
    WrongTlsMode,
    /// Bytes came behind the reply that starts TLS: somebody in the middle may have put them there.
    PlaintextInjected,
    /// The server greeted with PREAUTH: the session would be of whoever the server says.
    Preauthenticated,
    /// IMAP, POP or SMTP AUTH is switched off for this mailbox or its domain.
    ProtocolDisabled,
    /// The account is locked or closed.
    AccountDisabled,
    /// A policy of the organisation or the provider stands against this login.
    PolicyBlocked,
    /// The server wants an app password: it does not take this login as OAuth.
    AppPasswordRequired,
    /// The user must act in a browser first; see the failure's `url`.
    InteractionRequired,
    /// The server does not take the user name: no token changes that.
    UserNameRefused,
    /// The server does not take the name that the client gives in `EHLO`.
    ClientNameRefused,
    /// More connections than the server allows for one mailbox.
    TooManyConnections,
    /// Too much in too short a time; see `wait_ms` where the server named a time.
    RateLimited,
    /// The server, or a part of it, is down for now.
    Unavailable,
    /// Another session holds the mailbox.
    MailboxLocked,
    /// Microsoft's "User is authenticated but not connected": the login worked and the mailbox cannot be reached.
    NotConnected,
    /// The line that carries the token is longer than the server takes.
    LineTooLong,
    /// The session reached the provider's limit.
    SessionLimit,
    /// The session was idle for too long.
    IdleTimeout,
    /// The server ended the session and gave no reason.
    SessionEnded,
    /// The server is being shut down.
    Shutdown,
    /// The connection was closed or broke without a word.
    ConnectionLost,
    /// There was no connection: the host name has no address.
    HostNotFound,
    /// There was no connection: nothing listens at this port.
    ConnectionRefused,
    /// There was no connection: the network does not lead to the host, or a firewall stands before it.
    Unreachable,
    /// The proxy does not lead to the server: it cannot be reached, does not take the user, or does not connect. The server was
    /// not spoken to.
    ProxyFailed,
    /// A deadline passed.
    TimedOut,
    /// The server sent more than the limits of this library allow.
    LimitExceeded,
    /// One side said what the protocol does not allow there: the server; or the client, as the server says, where the
    /// advice is `fix_configuration` or `proceed`.
    ProtocolViolation,
    /// The exchange was cancelled, or the host asked to stop.
    Cancelled,
    /// A refusal that none of the rules knows.
    Unrecognized,
}

/// What to do next.
#[uniffi::remote(Enum)]
pub enum Advice {
    /// Get a new token past every cache and log in again, once.
    RefreshToken,
    /// Connect again.
    Reconnect,
    /// Wait, at least for `wait_ms` where it is given, and connect again.
    BackOff,
    /// A person must act: consent, an administrator, a setting of the account.
    AskUser,
    /// The program's own configuration is wrong.
    FixConfiguration,
    /// Nothing that the program or the user does will help.
    GiveUp,
    /// Go on: nothing is wrong, or what failed is one command, and not the login nor the connection.
    Proceed,
}

/// How sure a verdict is.
#[uniffi::remote(Enum)]
pub enum Certainty {
    /// The server said so.
    Stated,
    /// A code, the order of events or the clock implies it.
    Inferred,
    /// The default where nothing else is known.
    Guessed,
}

/// Who said a line.
#[uniffi::remote(Enum)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// Where in the dialogue a reply came.
#[uniffi::remote(Enum)]
pub enum Phase {
    /// The first reply of the server.
    Greeting,
    /// An answer to `CAPABILITY`, `CAPA`, `EHLO` or the upgrade command.
    Capability,
    /// A continuation request during the login.
    AuthChallenge,
    /// The reply that ends the login well.
    AuthOk,
    /// The reply that ends the login badly.
    AuthFail,
    /// A reply after the login.
    MidSession,
    /// The last thing that the server said.
    Disconnect,
}

/// What is known of a message that was being sent when the session ended.
#[uniffi::remote(Enum)]
pub enum Submission {
    /// There was none.
    Idle,
    /// The server has not been given all of it, and so has not taken it: it is safe to send it again.
    NotAccepted,
    /// The end of the message was written and no reply came: whether it was taken cannot be known. Sending it again may
    /// deliver it twice: ask, or look into the Sent folder.
    Unknown,
}

/// Who speaks in the login.
#[uniffi::remote(Enum)]
pub enum Login {
    /// The session: it gives orders to send, and is shown what comes.
    Session,
    /// The host, with a mail library of its own: it answers with `Authenticated` or `Refused`.
    Host,
}

/// Whether a session that still works is let go before its end.
#[uniffi::remote(Enum)]
pub enum Renewal {
    /// Before the earlier of the token's expiry and the session limit.
    Ahead,
    /// Never: only what the server ends is replaced.
    AtEnd,
    /// As `Ahead`, and the successor is logged in before the session is let go. IMAP only, and only where the
    /// provider allows a second connection.
    Overlap,
}

/// What a token is for.
#[uniffi::remote(Enum)]
pub enum TokenNeed {
    /// A login.
    Login,
    /// The session's end is near.
    Renewal,
    /// The server refused the token before, or it was about to expire.
    Replacement,
}

/// What is near when a session is renewed.
#[uniffi::remote(Enum)]
pub enum RenewWhy {
    /// The expiry of the token that the session was opened with.
    TokenExpiry,
    /// The provider's limit for a session.
    SessionLimit,
    /// The length at which this server was seen to end sessions.
    LearntLimit,
}

/// What a plan waits for.
#[uniffi::remote(Enum)]
pub enum WakeReason {
    /// The token does not come.
    TokenDeadline,
    /// The connection does not open, or the login does not end.
    LoginDeadline,
    /// The wait after a failure is over.
    BackOff,
    /// The wait after a failure of the token source is over.
    TokenBackOff,
    /// A session's end is near enough to prepare for it.
    Prefetch,
    /// A session is let go at a quiet moment, or at this time.
    QuietMoment,
    /// A session that is to be let go is closed.
    RenewDeadline,
    /// An order is held back by its greatest rate.
    Rate,
    /// A session has lasted, and failures before it are forgotten.
    Stable,
}

/// What a session does.
#[uniffi::remote(Enum)]
pub enum SessionPhase {
    /// Nothing: it was not started, or it was stopped.
    Stopped,
    /// It waits after a failure.
    Waiting,
    /// It waits for a token.
    FetchingToken,
    /// It waits for a connection.
    Connecting,
    /// It logs in.
    LoggingIn,
    /// It is logged in.
    Online,
    /// It is logged in, and waits for the host to let the connection go.
    Renewing,
    /// It waits for a person.
    NeedsUser,
    /// It waits for the program's configuration to be mended.
    GaveUp,
}

/// Why a token source has no token.
#[uniffi::remote(Enum)]
pub enum NoToken {
    /// It cannot be reached, or has none for now: it is asked again.
    Outage,
    /// A person must act, as with OAuth's `invalid_grant`: asking again is in vain.
    Permanent,
    /// The program's code is wrong: it raised what it should not, or gave what is no token.
    Mistake,
}

/// What a program can do about a failure.
#[uniffi::remote(Enum)]
pub enum RaiseKind {
    /// A person must act; then say `retry`. Nothing is tried before.
    NeedsUser,
    /// It cannot work as it is configured (then `retry` is needed too), or did not in the time that it had.
    GaveUp,
    /// The program's token source is wrong.
    Mistake,
}

/// What happened to an account.
#[uniffi::remote(Enum)]
pub enum EventKind {
    /// The token source is asked.
    FetchingToken,
    /// It had none.
    TokenFailed,
    /// A connection is opened.
    Connecting,
    /// It did not open, or the login failed.
    LoginFailed,
    /// A connection is logged in.
    Online,
    /// A connection is to be let go soon.
    Renewing,
    /// A connection has ended, or was let go.
    Ended,
    /// Somebody waits for a connection, and for this long nothing is tried.
    Waiting,
    /// Fewer connections are opened at a time from now on, or one more.
    Limited,
    /// A person is needed.
    NeedsUser,
    /// It cannot work, or did not in the time that it had.
    GaveUp,
    /// The program's token source is wrong.
    Mistake,
}

/// How one session of an account stands, as the program sees it.
#[uniffi::remote(Enum)]
pub enum Standing {
    /// Nobody waits for a connection of it, and there is none.
    Unwanted,
    /// Somebody waits: for a token, a place, or the end of a wait.
    Waiting,
    /// A connection is opened and logged in.
    Connecting,
    /// A connection is logged in, and nobody wants it any more.
    Parked,
    /// The program has a connection.
    Given,
    /// The program has a connection, and is to let it go.
    Renewing,
    /// A person must act, or the program be mended.
    Stopped,
}
