//! What a reply means: one table of general rules, in which each row cites its source.
//!
//! Structure decides first (status, response code, reply code), then words, and never words inside message content:
//! callers give the lines of one reply. The first row that fits wins, so a row stands above the more general ones.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::config::Protocol;
use crate::failure::{Advice, Cause, Certainty, Verdict, spelled_enum};
use crate::sasl::read_rejection;
use crate::text::displayable;

spelled_enum! {
    /// Where in the dialogue a reply came.
    Phase {
        /// The first reply of the server.
        Greeting = "greeting",
        /// An answer to `CAPABILITY`, `CAPA`, `EHLO` or the upgrade command.
        Capability = "capability",
        /// A continuation request during the login.
        AuthChallenge = "auth_challenge",
        /// The reply that ends the login well.
        AuthOk = "auth_ok",
        /// The reply that ends the login badly.
        AuthFail = "auth_fail",
        /// A reply after the login.
        MidSession = "mid_session",
        /// The last thing that the server said.
        Disconnect = "disconnect",
    }
}

/// Says what the lines of one reply mean.
///
/// `reply_lines` are the lines as they came, without line ends: with tag, status and code, all lines of an SMTP
/// reply, and, where there were any, the untagged `NO` and the error challenge before it.
///
/// ```
/// use mailbearer::{Advice, Cause, Phase, Protocol, classify};
/// let line = "* BYE Session invalidated - AccessTokenExpired";
/// let verdict = classify(Protocol::Imap, Phase::Disconnect, &[line]);
/// assert_eq!((verdict.cause, verdict.advice), (Cause::TokenExpired, Advice::RefreshToken));
/// ```
#[must_use]
pub fn classify(protocol: Protocol, phase: Phase, reply_lines: &[&str]) -> Verdict {
    let facts = Facts::new(protocol, phase, reply_lines);
    if let Some(verdict) = facts.without_fault() {
        return verdict;
    }
    let rule = RULES.iter().find(|rule| rule.fits(&facts));
    let mut verdict = match rule {
        Some(rule) => Verdict::new(rule.cause, rule.advice, rule.certainty, rule.name),
        None => facts.default_verdict(),
    };
    if matches!(verdict.cause, Cause::RateLimited | Cause::TooManyConnections) {
        verdict.wait_ms = wait_ms(&facts.words);
    }
    if verdict.cause == Cause::InteractionRequired {
        verdict.url = facts.url();
    }
    verdict
}

/// Names that a reply may hold: they are no words of the server, whatever they mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Names<'a> {
    /// The user that logs in.
    pub user: &'a str,
    /// The server's host.
    pub host: &'a str,
}

/// A reply as a mail library hands it on: taken apart, and often in part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said<'a> {
    /// `NO`, `BAD`, `BYE`, `-ERR`, or the reply code of SMTP; `None` where the library does not tell it.
    pub status: Option<&'a str>,
    /// Response code (`AUTHENTICATIONFAILED`, `SYS/PERM`), or the enhanced status code of SMTP; without brackets.
    pub code: Option<&'a str>,
    /// The rest, or all that there is: lines may be separated by `\n`.
    pub text: &'a str,
}

/// Says what the lines of one reply mean, as [`classify`] does, where the names that they may hold are known.
#[must_use]
pub fn classify_named(
    protocol: Protocol,
    phase: Phase,
    reply_lines: &[&str],
    names: &Names<'_>,
) -> Verdict {
    let _ = names;
    classify(protocol, phase, reply_lines)
}

/// Explains what a mail library raised: the failure that its reply stands for.
///
/// What was not seen is not claimed: without a status the answer is never [`Cause::NoFault`] and never
/// [`Certainty::Stated`].
///
/// ```
/// use mailbearer::{Advice, Names, Phase, Protocol, Said, explain};
/// let said = Said { status: Some("NO"), code: Some("AUTHENTICATIONFAILED"), text: "Invalid credentials (Failure)" };
/// let failure = explain(Protocol::Imap, Phase::AuthFail, &said, &Names::default());
/// assert_eq!(failure.advice, Advice::RefreshToken);
/// assert!(failure.to_string().contains("Invalid credentials"));
/// ```
#[must_use]
pub fn explain(
    protocol: Protocol,
    phase: Phase,
    said: &Said<'_>,
    names: &Names<'_>,
) -> crate::failure::Failure {
    let line = said.line(protocol);
    let lines: Vec<&str> = line.lines().collect();
    let mut verdict = classify_named(protocol, phase, &lines, names);
    if said.status.is_none() {
        verdict.certainty = Guessed;
        if verdict.cause == Cause::NoFault {
            verdict = Verdict::new(Cause::Unrecognized, BackOff, Guessed, "unseen");
        }
    }
    let (server_text, code) = text_and_code(protocol, &lines);
    crate::failure::Failure { server_text, code, ..crate::failure::Failure::from_verdict(verdict) }
}

impl Said<'_> {
    /// The lines as the server may have sent them.
    fn line(&self, protocol: Protocol) -> String {
        let status = self.status.unwrap_or(match protocol {
            Protocol::Imap => "NO",
            Protocol::Pop3 => "-ERR",
            Protocol::Smtp => "535",
        });
        let code = match (self.code, protocol) {
            (None, _) => String::new(),
            (Some(code), Protocol::Smtp) => [code, " "].concat(),
            (Some(code), Protocol::Imap | Protocol::Pop3) => ["[", code, "] "].concat(),
        };
        let start = [status, " ", &code].concat();
        let mut text = self.text.lines();
        let mut lines = [start.as_str(), text.next().unwrap_or_default()].concat();
        for more in text {
            lines.push('\n');
            lines.push_str(&start);
            lines.push_str(more);
        }
        lines
    }
}

/// The parts of a line that a failure shows: text and code.
pub(crate) fn text_and_code(protocol: Protocol, lines: &[&str]) -> (String, Option<String>) {
    let lines: Vec<Line<'_>> = lines.iter().map(|line| Line::parse(protocol, line)).collect();
    let spoken = lines.iter().filter(|line| !matches!(line.status, Status::Prompt | Status::Data));
    let text = spoken.clone().map(|line| line.text.trim()).filter(|text| !text.is_empty());
    let text = text.collect::<Vec<_>>().join(" ");
    let code = spoken.rev().find_map(Line::code_text);
    (displayable(text.as_bytes()), code.map(|code| displayable(code.as_bytes())))
}

/// A row of the table. An empty group fits everything; in a group, one that fits is enough; all groups must fit.
struct Rule {
    name: &'static str,
    protocols: &'static [Protocol],
    phases: &'static [Phase],
    statuses: &'static [Status],
    /// Response codes of RFC 5530 or RFC 2449, whole or up to a `/`; SMTP reply codes; enhanced status codes.
    codes: &'static [&'static str],
    /// Parts of the text, in lower case.
    words: &'static [&'static str],
    /// Whether the server asked for the token before: in two steps, that is.
    prompted: Option<bool>,
    cause: Cause,
    advice: Advice,
    certainty: Certainty,
}

impl Rule {
    const fn new(name: &'static str, cause: Cause, advice: Advice, certainty: Certainty) -> Self {
        Self {
            name,
            protocols: &[],
            phases: &[],
            statuses: &[],
            codes: &[],
            words: &[],
            prompted: None,
            cause,
            advice,
            certainty,
        }
    }

    const fn on(self, protocols: &'static [Protocol]) -> Self {
        Self { protocols, ..self }
    }

    const fn in_phases(self, phases: &'static [Phase]) -> Self {
        Self { phases, ..self }
    }

    const fn with_status(self, statuses: &'static [Status]) -> Self {
        Self { statuses, ..self }
    }

    const fn codes(self, codes: &'static [&'static str]) -> Self {
        Self { codes, ..self }
    }

    const fn words(self, words: &'static [&'static str]) -> Self {
        Self { words, ..self }
    }

    const fn prompted(self, prompted: bool) -> Self {
        Self { prompted: Some(prompted), ..self }
    }

    fn fits(&self, facts: &Facts<'_>) -> bool {
        (self.protocols.is_empty() || self.protocols.contains(&facts.protocol))
            && (self.phases.is_empty() || self.phases.contains(&facts.phase))
            && (self.statuses.is_empty()
                || facts.faults().any(|line| self.statuses.contains(&line.status)))
            && (self.codes.is_empty()
                || facts.faults().any(|line| self.codes.iter().any(|code| line.has_code(code))))
            && (self.words.is_empty() || self.words.iter().any(|word| facts.words.contains(word)))
            && self.prompted.is_none_or(|prompted| prompted == facts.prompted)
    }
}

use Advice::{AskUser, BackOff, FixConfiguration, Proceed, Reconnect, RefreshToken};
use Certainty::{Guessed, Inferred, Stated};
use Phase::{AuthFail, Capability, Disconnect, Greeting, MidSession};
use Protocol::{Imap, Pop3, Smtp};

/// Sources: `wire.md` is the survey that this project keeps of what servers were seen to send; a name with `#` is an issue
/// of that project.
const RULES: &[Rule] = &[
    // Gmail (offlineimap #374), Dovecot (client-common-auth.c), Cyrus (pop3d.c): the answer to `*`.
    Rule::new("cancelled", Cause::Cancelled, Proceed, Stated).in_phases(&[AuthFail]).words(&[
        "client aborted",
        "client canceled",
        "client cancelled",
        "aborted by client",
    ]),
    // Exchange (aioimaplib #83), Stalwart (smtp/src/inbound/auth.rs).
    Rule::new("token-expired", Cause::TokenExpired, RefreshToken, Stated).words(&[
        "accesstokenexpired",
        "session invalidated",
        "token expired",
        "token has expired",
        "token is expired",
    ]),
    // Gmail (emailjs-imap-client #142, yugo #38).
    Rule::new("session-expired", Cause::SessionLimit, RefreshToken, Stated)
        .in_phases(&[MidSession, Disconnect])
        .words(&["session expired", "session has expired"]),
    // Gmail's SMTP (wire.md 2.6), Stalwart (smtp/src/inbound).
    Rule::new("connection-expired", Cause::SessionLimit, Reconnect, Stated)
        .words(&["connection expired", "session open for too long"]),
    // Gmail: wire.md 2.3 and 2.6. WEBALERT carries the address.
    Rule::new("web-login", Cause::InteractionRequired, AskUser, Stated)
        .codes(&["WEBALERT", "5.7.14"]),
    Rule::new("web-login-words", Cause::InteractionRequired, AskUser, Stated)
        .words(&["web login", "via your web browser"]),
    // RFC 4954 section 6: the user must log in once by other means.
    Rule::new("password-transition", Cause::InteractionRequired, AskUser, Stated)
        .codes(&["4.7.12"]),
    // Gmail, Mail.ru, Stalwart (TOTP): wire.md 2.3, 4.2, 5.3.
    Rule::new("app-password", Cause::AppPasswordRequired, AskUser, Stated).words(&[
        "application-specific password",
        "application password",
        "app password",
        "app-password",
        "totp token",
    ]),
    // RFC 4954 section 6 calls 534 5.7.9 a mechanism that is too weak; Gmail means the app password.
    Rule::new("too-weak", Cause::AppPasswordRequired, AskUser, Inferred)
        .on(&[Smtp])
        .codes(&["534"]),
    // Exchange: wire.md 3.3.
    Rule::new("throttled", Cause::RateLimited, BackOff, Stated).words(&["throttled"]),
    Rule::new("command-error-12", Cause::RateLimited, BackOff, Inferred)
        .on(&[Imap])
        .words(&["command error. 12"]),
    // Gmail, Dovecot, Cyrus, Exchange, and FairEmail's list (ConnectionHelper.java): wire.md 2.3, 4.3, 5.1, 5.2.
    Rule::new("connections", Cause::TooManyConnections, BackOff, Stated).words(&[
        "simultaneous connections",
        "number of connections",
        "open connections",
        "concurrent connections",
        "too many connections",
        "sender thread limit",
    ]),
    // Exchange: a 5xx of a temporary kind (wire.md 3.5).
    Rule::new("sts-unreachable", Cause::Unavailable, BackOff, Stated)
        .words(&["sts service was unreachable"]),
    // Exchange (FairEmail FAQ), Gmail, Yahoo, Stalwart: wire.md 2.3, 2.5, 3.5, 4.1, 5.3.
    Rule::new("protocol-disabled", Cause::ProtocolDisabled, AskUser, Stated).words(&[
        "not enabled for",
        "disabled for your domain",
        "disabled for the tenant",
        "disabled for the mailbox",
        "not allowed for this account",
        "not allowed for user",
        "not authorized to use this service",
        "lookup failed",
    ]),
    // RFC 4954 section 4; Exchange, James: wire.md 3.1, 3.5, 5.4.
    Rule::new("mechanism", Cause::MechanismUnavailable, FixConfiguration, Stated)
        .on(&[Smtp])
        .codes(&["504"]),
    Rule::new("mechanism-words", Cause::MechanismUnavailable, FixConfiguration, Stated).words(&[
        "mechanism is not supported",
        "mechanism is unsupported",
        "mechanism not supported",
        "unsupported mechanism",
        "unsupported authentication mechanism",
        "unrecognized authentication type",
        "basicauthblocked",
        "basic authentication is disabled",
    ]),
    // Yandex answers BAD to a mechanism that it does not know (go-imap #539); Stalwart says CANNOT.
    Rule::new("mechanism-bad", Cause::MechanismUnavailable, FixConfiguration, Inferred)
        .in_phases(&[AuthFail])
        .with_status(&[Status::Bad])
        .words(&["authenticate command syntax error"]),
    Rule::new("mechanism-cannot", Cause::MechanismUnavailable, FixConfiguration, Inferred)
        .in_phases(&[AuthFail])
        .codes(&["CANNOT"]),
    // NetEase refuses SELECT until the client has sent ID (Mailspring-Sync #121).
    Rule::new("unsafe-login", Cause::PolicyBlocked, FixConfiguration, Stated)
        .words(&["unsafe login"]),
    // Exchange: wire.md 3.5.
    Rule::new("policy", Cause::PolicyBlocked, AskUser, Stated).words(&[
        "security defaults",
        "did not meet the criteria",
        "conditional access",
    ]),
    // RFC 5530 section 3; RFC 5321 with RFC 7372's 525; Dovecot.
    Rule::new("account-disabled", Cause::AccountDisabled, AskUser, Stated)
        .codes(&["CONTACTADMIN", "525"]),
    Rule::new("account-disabled-words", Cause::AccountDisabled, AskUser, Stated).words(&[
        "login disabled for this user",
        "account is disabled",
        "account disabled",
        "account has been disabled",
        "account locked",
        "account is locked",
        "user is disabled",
    ]),
    // Exchange: ten years of the same riddle (wire.md 3.2).
    Rule::new("not-connected", Cause::NotConnected, AskUser, Stated)
        .words(&["authenticated but not connected"]),
    // Exchange POP3: one text for a token in the AUTH line and for a response above 4,096 octets (MailKit #1948).
    Rule::new("response-too-long", Cause::LineTooLong, AskUser, Inferred)
        .on(&[Pop3])
        .words(&["protocol error. connection is closed. 10"])
        .prompted(true),
    Rule::new("one-step-refused", Cause::LineTooLong, Reconnect, Inferred)
        .on(&[Pop3])
        .words(&["protocol error. connection is closed. 10"]),
    // Postfix: smtpd_sasl_response_limit, met in two steps already.
    Rule::new("response-limit", Cause::LineTooLong, AskUser, Stated)
        .on(&[Smtp])
        .words(&["response limit exceeded"]),
    // Gmail calls it a syntax error for good (angus-mail #201); Dovecot and RFC 4954 (500 5.5.6) do not.
    Rule::new("line-too-long-555", Cause::LineTooLong, FixConfiguration, Stated)
        .on(&[Smtp])
        .codes(&["555"])
        .words(&["too long"]),
    Rule::new("line-too-long", Cause::LineTooLong, Reconnect, Stated)
        .on(&[Smtp])
        .words(&["line too long", "line is too long"]),
    // Google's SMTP error list.
    Rule::new("initial-response", Cause::InitialResponseRefused, Reconnect, Stated)
        .in_phases(&[AuthFail])
        .words(&["optional argument not permitted"]),
    // Dovecot and Google close after too many commands that they do not know; Cyrus met a web browser.
    Rule::new("commands-unknown", Cause::ProtocolViolation, Reconnect, Stated)
        .words(&["unrecognized commands"]),
    Rule::new("commands-invalid", Cause::ProtocolViolation, FixConfiguration, Stated)
        .words(&["too many invalid imap commands", "this is an imap server"]),
    // Yahoo, Gmail, Dovecot, Stalwart; RFC 2449 section 8.1.1 for LOGIN-DELAY.
    Rule::new("rate-code", Cause::RateLimited, BackOff, Stated).codes(&["LIMIT", "LOGIN-DELAY"]),
    // OVERQUOTA with a BYE is Gmail's traffic limit; elsewhere it is the size of a mailbox.
    Rule::new("rate-overquota", Cause::RateLimited, BackOff, Inferred)
        .with_status(&[Status::Bye])
        .codes(&["OVERQUOTA"]),
    Rule::new("rate-words", Cause::RateLimited, BackOff, Stated).words(&[
        "bandwidth limit",
        "rate limit",
        "submission rate",
        "login attempts",
        "auth attempts",
        "failed attempts",
        "authentication errors",
        "too many requests",
        "too fast",
    ]),
    // RFC 5530 INUSE, RFC 2449 IN-USE: the login itself was fine.
    Rule::new("locked", Cause::MailboxLocked, BackOff, Stated).codes(&["INUSE", "IN-USE"]),
    // RFC 5530 section 3, RFC 4954 section 6, RFC 7817; Exchange: wire.md 3.5.
    Rule::new("tls-required", Cause::TlsRefused, FixConfiguration, Stated).codes(&[
        "PRIVACYREQUIRED",
        "538",
        "523",
    ]),
    Rule::new("tls-required-words", Cause::TlsRefused, FixConfiguration, Stated).words(&[
        "starttls command first",
        "starttls first",
        "tls 1.0 and 1.1",
    ]),
    Rule::new("tls-required-530", Cause::TlsRefused, FixConfiguration, Inferred)
        .on(&[Smtp])
        .in_phases(&[Greeting, Capability, AuthFail])
        .codes(&["530"]),
    // RFC 4954 section 6: authentication is required, after a login that had worked.
    Rule::new("login-forgotten", Cause::SessionEnded, Reconnect, Inferred)
        .on(&[Smtp])
        .in_phases(&[MidSession, Disconnect])
        .codes(&["530"]),
    // Exchange says this for a token that is dead (FairEmail, EmailService.java).
    Rule::new("command-error-10", Cause::TokenRejected, RefreshToken, Inferred)
        .in_phases(&[AuthFail])
        .words(&["command error. 10"]),
    // Exchange's words for USER and PASS, also when it throttles (node-poplib #34): no token cures that.
    Rule::new("logon-failure", Cause::TokenRejected, AskUser, Inferred)
        .on(&[Pop3])
        .words(&["logon failure"]),
    // Yahoo Japan says so to good credentials after many logins (wire.md 4.1).
    Rule::new("lockout", Cause::TokenRejected, BackOff, Guessed)
        .on(&[Imap])
        .in_phases(&[AuthFail])
        .words(&["incorrect username or password"]),
    // Yandex, Google: our message was malformed for this server.
    Rule::new("malformed", Cause::ProtocolViolation, FixConfiguration, Stated)
        .in_phases(&[AuthFail])
        .words(&["invalid format", "cannot decode"]),
    // RFC 5530, RFC 3206 and RFC 4954 codes for a fault that passes. They stand above the words of refusals.
    Rule::new("unavailable", Cause::Unavailable, BackOff, Stated).codes(&[
        "UNAVAILABLE",
        "SERVERBUG",
        "SYS/TEMP",
        "454",
    ]),
    Rule::new("finishing-login", Cause::Unavailable, BackOff, Stated).words(&["finishing login"]),
    // Dovecot, Cyrus, Stalwart, Gmail (451 4.4.2), GMX, Exchange (13): wire.md 2.6, 3.3, 4.3, 5.
    Rule::new("idle", Cause::IdleTimeout, Reconnect, Stated).words(&[
        "inactivity",
        "idle",
        "timed out",
        "timeout",
        "connection is closed. 13",
    ]),
    Rule::new("idle-code", Cause::IdleTimeout, Reconnect, Inferred).codes(&["4.4.2"]),
    Rule::new("shutdown", Cause::Shutdown, Reconnect, Stated).words(&[
        "shutting down",
        "shutdown",
        "shut down",
        "going down",
        "restarting",
    ]),
    // Gmail: the next connection most often works (mailcore2's tests).
    Rule::new("system-error", Cause::Unavailable, Reconnect, Stated)
        .with_status(&[Status::Bye])
        .words(&["system error"]),
    // RFC 5530: the token may not act for this user.
    Rule::new("not-authorized", Cause::PolicyBlocked, AskUser, Stated)
        .codes(&["AUTHORIZATIONFAILED", "NOPERM"]),
    // RFC 5530, RFC 3206, RFC 4954 section 6: a credential problem. An expired credential is one too: the token was
    // expired on arrival. Stalwart has the enhanced code in a 334.
    Rule::new("credentials", Cause::TokenRejected, RefreshToken, Inferred).codes(&[
        "AUTHENTICATIONFAILED",
        "EXPIRED",
        "AUTH",
        "535",
        "5.7.8",
    ]),
    // Zimbra and Exchange refuse without a code, Zimbra with a BYE behind it: wire.md 3.1, 4.3.
    Rule::new("credentials-words", Cause::TokenRejected, RefreshToken, Stated)
        .in_phases(&[AuthFail, Disconnect])
        .words(&[
            "login failed",
            "authenticate failed",
            "invalid credentials",
            "authentication failed",
        ]),
    // RFC 3206: needs intervention. Gmail POP3 says it to the first command after the welcome.
    Rule::new("permanent", Cause::ProtocolDisabled, AskUser, Inferred).codes(&["SYS/PERM"]),
    // RFC 4954 section 4 and Google: a second AUTH in one session.
    Rule::new("wrong-state", Cause::ProtocolViolation, Proceed, Inferred)
        .on(&[Smtp])
        .codes(&["503"]),
    Rule::new("wrong-state-words", Cause::ProtocolViolation, Proceed, Stated)
        .words(&["not valid in this state"]),
    // RFC 4954 section 4, RFC 5321 section 4.2.1: syntax.
    Rule::new("syntax-auth", Cause::ProtocolViolation, FixConfiguration, Inferred)
        .on(&[Smtp])
        .in_phases(&[Greeting, Capability, AuthFail])
        .codes(&["500", "501", "502"]),
    Rule::new("syntax-parameters", Cause::ProtocolViolation, FixConfiguration, Inferred)
        .on(&[Smtp])
        .codes(&["501"]),
    Rule::new("syntax", Cause::ProtocolViolation, Proceed, Inferred)
        .on(&[Smtp])
        .in_phases(&[MidSession])
        .codes(&["500", "502"]),
    Rule::new("fatal", Cause::Unavailable, BackOff, Stated).words(&["fatal error"]),
    // RFC 5321 section 4.2.1: a first digit of 4 passes.
    Rule::new("temporary", Cause::Unavailable, BackOff, Inferred)
        .on(&[Smtp])
        .with_status(&[Status::Temporary]),
    Rule::new("temporary-words", Cause::Unavailable, BackOff, Stated).words(&[
        "temporary",
        "temporarily",
        "try again",
        "unavailable",
        "system error",
        "server error",
        "internal error",
    ]),
    // RFC 5321 section 4.2.1: any other 5xx in a login is a policy of the server.
    Rule::new("policy-550", Cause::PolicyBlocked, AskUser, Inferred)
        .on(&[Smtp])
        .in_phases(&[AuthFail])
        .with_status(&[Status::Permanent]),
    // RFC 3501 section 7.1.3: BAD is a fault of the command, not of the token.
    Rule::new("bad-auth", Cause::ProtocolViolation, FixConfiguration, Inferred)
        .in_phases(&[AuthFail])
        .with_status(&[Status::Bad]),
    Rule::new("bad", Cause::ProtocolViolation, Proceed, Inferred)
        .in_phases(&[MidSession])
        .with_status(&[Status::Bad]),
];

/// The lines of a reply, taken apart.
struct Facts<'a> {
    protocol: Protocol,
    phase: Phase,
    lines: Vec<Line<'a>>,
    /// The texts of all lines that are faults, in lower case.
    words: String,
    prompted: bool,
}

impl<'a> Facts<'a> {
    fn new(protocol: Protocol, phase: Phase, reply_lines: &[&'a str]) -> Self {
        let lines: Vec<Line<'a>> =
            reply_lines.iter().map(|line| Line::parse(protocol, line)).collect();
        let faults = lines.iter().filter(|line| line.status.is_fault());
        let words = faults.map(|line| line.text).collect::<Vec<_>>().join(" ").to_lowercase();
        let prompted = lines.iter().any(|line| line.status == Status::Prompt);
        Self { protocol, phase, lines, words, prompted }
    }

    fn faults(&self) -> impl Iterator<Item = &Line<'a>> {
        self.lines.iter().filter(|line| line.status.is_fault())
    }

    /// The verdict for a reply that reports no fault, or whose fault is a challenge only.
    fn without_fault(&self) -> Option<Verdict> {
        let proceed = Verdict::new(Cause::NoFault, Proceed, Stated, "positive");
        // RFC 3501 section 6.1.3: LOGOUT is answered by BYE and then by its own completion.
        let bye = self.lines.iter().position(|line| line.status == Status::Bye);
        let last_completion = self.lines.iter().rposition(|line| line.status == Status::Positive);
        if bye.is_some() && bye < last_completion {
            return Some(Verdict { rule: "logout", ..proceed });
        }
        if self.faults().next().is_some() {
            return None;
        }
        let challenge = self.lines.iter().rev().find(|line| line.status == Status::Prompt);
        match challenge {
            Some(line) if self.phase == Phase::AuthChallenge => Some(classify_challenge(line.text)),
            Some(_) | None => Some(proceed),
        }
    }

    fn default_verdict(&self) -> Verdict {
        match self.phase {
            Phase::Greeting | Phase::Capability | Phase::AuthChallenge | Phase::AuthOk => {
                Verdict::new(Cause::Unavailable, BackOff, Guessed, "refused")
            }
            Phase::AuthFail if self.faults().any(|line| line.status == Status::Bye) => {
                Verdict::new(Cause::Unavailable, BackOff, Guessed, "goodbye")
            }
            Phase::AuthFail => {
                Verdict::new(Cause::TokenRejected, RefreshToken, Guessed, "refused-login")
            }
            Phase::MidSession if self.faults().any(|line| line.status == Status::Bye) => {
                Verdict::new(Cause::SessionEnded, Reconnect, Guessed, "ended")
            }
            Phase::MidSession => {
                Verdict::new(Cause::Unrecognized, Proceed, Guessed, "refused-command")
            }
            Phase::Disconnect => Verdict::new(Cause::SessionEnded, Reconnect, Guessed, "ended"),
        }
    }

    /// The first web address: the argument of WEBALERT, or in the text, where Gmail's SMTP cuts it over several lines
    /// between `<` and `>`.
    fn url(&self) -> Option<String> {
        let from_code =
            self.lines.iter().find(|line| line.has_code("WEBALERT")).map(|line| line.argument);
        let glued = self.faults().map(|line| line.text).collect::<String>();
        let bracketed = glued.split_once("<http").and_then(|(_, rest)| rest.split_once('>'));
        let bracketed = bracketed.map(|(rest, _)| ["http", rest].concat());
        let spaced = self.faults().map(|line| line.text).collect::<Vec<_>>().join(" ");
        let plain = spaced
            .split_ascii_whitespace()
            .find(|word| word.starts_with("http"))
            .map(ToString::to_string);
        let url = from_code.map(ToString::to_string).or(bracketed).or(plain)?;
        Some(displayable(url.as_bytes()))
    }
}

/// The certainty is low: the final reply decides (research/wire.md, facts 1 and 2).
fn classify_challenge(text: &str) -> Verdict {
    let rejection = read_rejection(text);
    if rejection.means_unavailable() {
        return Verdict::new(Cause::Unavailable, BackOff, Inferred, "challenge-unavailable");
    }
    if rejection.means_scope() {
        return Verdict::new(Cause::InsufficientScope, AskUser, Inferred, "challenge-scope");
    }
    // James sends an empty challenge in one configuration; a challenge in plain words is a prompt (Stalwart).
    if rejection.status.is_some() || text.trim().is_empty() {
        return Verdict::new(Cause::TokenRejected, RefreshToken, Guessed, "challenge");
    }
    Verdict::new(Cause::NoFault, Proceed, Guessed, "prompt")
}

/// What a line is, in the words that the three protocols share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// `OK`, `+OK`, `2yz`, `PREAUTH`.
    Positive,
    /// `NO`.
    No,
    /// `BAD`.
    Bad,
    /// `BYE`.
    Bye,
    /// `-ERR`.
    Err,
    /// `4yz`.
    Temporary,
    /// `5yz`.
    Permanent,
    /// `+` or `334`.
    Prompt,
    /// Anything else.
    Data,
}

impl Status {
    const fn is_fault(self) -> bool {
        match self {
            Self::No | Self::Bad | Self::Bye | Self::Err | Self::Temporary | Self::Permanent => {
                true
            }
            Self::Positive | Self::Prompt | Self::Data => false,
        }
    }
}

/// One line of a reply.
struct Line<'a> {
    status: Status,
    /// Response code, or the SMTP reply code.
    code: &'a str,
    /// What stands behind the response code in its brackets.
    argument: &'a str,
    /// RFC 3463 status code.
    enhanced: &'a str,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn parse(protocol: Protocol, line: &'a str) -> Self {
        match protocol {
            Protocol::Imap => Self::parse_imap(line),
            Protocol::Pop3 => Self::parse_pop3(line),
            Protocol::Smtp => Self::parse_smtp(line),
        }
    }

    const fn bare(status: Status, text: &'a str) -> Self {
        Self { status, code: "", argument: "", enhanced: "", text }
    }

    /// RFC 9051 section 7.1; the tag may be missing, as in the lines that mail libraries put into exceptions.
    fn parse_imap(line: &'a str) -> Self {
        if let Some(text) = line.strip_prefix('+') {
            return Self::bare(Status::Prompt, text);
        }
        let (first, rest) = split_word(line);
        let (second, after) = split_word(rest);
        match (imap_status(first), imap_status(second)) {
            (Some(status), _) => Self::with_response_code(status, rest),
            (None, Some(status)) => Self::with_response_code(status, after),
            (None, None) => Self::bare(Status::Data, line),
        }
    }

    /// RFC 1939 section 3 and RFC 2449 section 8. Yahoo leaves out the space behind `-ERR`; Stalwart says `* BYE`.
    fn parse_pop3(line: &'a str) -> Self {
        if let Some(rest) = line.strip_prefix("-ERR") {
            Self::with_response_code(Status::Err, rest.trim_start())
        } else if let Some(rest) = line.strip_prefix("+OK") {
            Self::with_response_code(Status::Positive, rest.trim_start())
        } else if let Some(text) = line.strip_prefix('+') {
            Self::bare(Status::Prompt, text)
        } else if line.starts_with("* BYE") {
            Self::parse_imap(line)
        } else {
            Self::bare(Status::Data, line)
        }
    }

    /// RFC 5321 section 4.2 and RFC 2034.
    fn parse_smtp(line: &'a str) -> Self {
        let (Some(code), Some(text)) = (line.get(..3), line.get(3..)) else {
            return Self::bare(Status::Data, line);
        };
        let text = text.strip_prefix(['-', ' ']).unwrap_or(text);
        let (first, rest) = split_word(text);
        let (enhanced, text) = if is_enhanced_code(first) { (first, rest) } else { ("", text) };
        let status = match code.as_bytes().first() {
            // Stalwart ends a login with 334 and an enhanced code: a refusal, not a prompt.
            Some(b'3') if enhanced.starts_with('5') => Status::Permanent,
            Some(b'3') if enhanced.starts_with('4') => Status::Temporary,
            Some(b'3') => Status::Prompt,
            Some(b'2') => Status::Positive,
            Some(b'4') => Status::Temporary,
            Some(b'5') => Status::Permanent,
            Some(_) | None => return Self::bare(Status::Data, line),
        };
        Self { status, code, argument: "", enhanced, text }
    }

    fn with_response_code(status: Status, text: &'a str) -> Self {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let Some((inside, text)) = bracketed else { return Self::bare(status, text) };
        let (code, argument) = split_word(inside);
        Self { status, code, argument, enhanced: "", text }
    }

    /// RFC 2449 section 8: codes are a hierarchy, and unknown detail is to be ignored.
    fn has_code(&self, code: &str) -> bool {
        self.enhanced == code
            || self.code.eq_ignore_ascii_case(code)
            || (self.code.as_bytes().get(code.len()) == Some(&b'/')
                && self
                    .code
                    .get(..code.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(code)))
    }

    fn code_text(&self) -> Option<String> {
        match (self.code, self.enhanced) {
            ("", "") => None,
            (code, "") => Some(code.to_ascii_uppercase()),
            (code, enhanced) => Some([code, enhanced].join(" ")),
        }
    }
}

fn imap_status(word: &str) -> Option<Status> {
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    if is("OK") || is("PREAUTH") {
        Some(Status::Positive)
    } else if is("NO") {
        Some(Status::No)
    } else if is("BAD") {
        Some(Status::Bad)
    } else if is("BYE") {
        Some(Status::Bye)
    } else {
        None
    }
}

/// RFC 3463 section 2: class, subject and detail.
pub(crate) fn is_enhanced_code(word: &str) -> bool {
    let mut parts = word.split('.');
    let class = matches!(parts.next(), Some("2" | "4" | "5"));
    let number = |part: Option<&str>| {
        part.is_some_and(|digits| {
            (1..=3).contains(&digits.len()) && digits.bytes().all(|one| one.is_ascii_digit())
        })
    };
    class && number(parts.next()) && number(parts.next()) && parts.next().is_none()
}

fn split_word(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

/// The longest wait that a server can make us take: a day, Google's longest lockout (answer/7126229).
const WAIT_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// `Suggested Backoff Time: 92415 milliseconds` (Exchange), `at least 5 minutes apart` (Cyrus).
fn wait_ms(words: &str) -> Option<u64> {
    let mut before = "";
    for word in words.split_ascii_whitespace() {
        let unit: u64 = match word.trim_end_matches(|one: char| !one.is_ascii_alphabetic()) {
            "millisecond" | "milliseconds" | "ms" => 1,
            "second" | "seconds" => 1000,
            "minute" | "minutes" => 60 * 1000,
            "hour" | "hours" => 60 * 60 * 1000,
            _ => 0,
        };
        if unit != 0
            && let Ok(number) = before.parse::<u64>()
        {
            return Some(number.saturating_mul(unit).min(WAIT_MS_MAX));
        }
        before = word;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rules_share_a_name() {
        for (index, rule) in RULES.iter().enumerate() {
            assert!(
                RULES[index + 1..].iter().all(|other| other.name != rule.name),
                "{}",
                rule.name
            );
        }
    }

    #[test]
    fn every_rule_can_be_reached_and_asks_for_something() {
        for rule in RULES {
            let groups = [rule.codes.is_empty(), rule.words.is_empty(), rule.statuses.is_empty()];
            assert!(groups.contains(&false), "{} fits everything", rule.name);
            for word in rule.words {
                assert_eq!(*word, word.to_lowercase(), "{} can never match", rule.name);
            }
        }
    }

    #[test]
    fn reads_the_wait_that_the_server_asks_for() {
        let wait = |line| classify(Protocol::Imap, Phase::MidSession, &[line]).wait_ms;
        assert_eq!(
            wait("BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds"),
            Some(92_415)
        );
        assert_eq!(wait("BAD Request is throttled. Suggested Backoff Time: -5 milliseconds"), None);
        assert_eq!(
            wait("BAD Request is throttled. Suggested Backoff Time: 99999999999999999999 ms"),
            None
        );
        assert_eq!(
            wait("BAD Request is throttled. Suggested Backoff Time: 9999999999999999 ms"),
            Some(WAIT_MS_MAX)
        );
        let pop3 = "-ERR [LOGIN-DELAY] Logins must be at least 5 minutes apart";
        assert_eq!(classify(Protocol::Pop3, Phase::AuthFail, &[pop3]).wait_ms, Some(300_000));
    }

    #[test]
    fn finds_the_web_address_where_gmail_puts_it() {
        let webalert = "* NO [WEBALERT https://accounts.google.com/x?plt=AK] Web login required.";
        let tagged = "A1 NO [ALERT] Please log in via your web browser: https://support.google.com/1 (Failure)";
        let verdict = classify(Protocol::Imap, Phase::AuthFail, &[webalert, tagged]);
        assert_eq!(verdict.url.as_deref(), Some("https://accounts.google.com/x?plt=AK"));
        let cut = [
            "534-5.7.14 <https://accounts.google.com/signin?plt=AK",
            "534-5.7.14 Yy1> Please log",
            "534-5.7.14 in via your web browser and then try again.",
            "534 5.7.14  https://support.google.com/mail/answer/78754 - gsmtp",
        ];
        let verdict = classify(Protocol::Smtp, Phase::AuthFail, &cut);
        assert_eq!(verdict.url.as_deref(), Some("https://accounts.google.com/signin?plt=AKYy1"));
    }

    #[test]
    fn a_code_is_compared_whole_or_up_to_a_slash() {
        let cause = |line| classify(Protocol::Pop3, Phase::AuthFail, &[line]).cause;
        assert_eq!(cause("-ERR [SYS/TEMP/X] a"), Cause::Unavailable);
        assert_eq!(cause("-ERR [sys/temp] a"), Cause::Unavailable);
        assert_eq!(cause("-ERR [SYS/TEMPX] a"), Cause::TokenRejected);
        assert_eq!(cause("-ERR[SYS/PERM] pop not allowed for user."), Cause::ProtocolDisabled);
    }

    #[test]
    fn shows_text_and_code_without_the_framing() {
        let (text, code) = text_and_code(Protocol::Smtp, &["535-5.7.8 one", "535 5.7.8  two"]);
        assert_eq!((text.as_str(), code.as_deref()), ("one two", Some("535 5.7.8")));
        let (text, code) = text_and_code(
            Protocol::Imap,
            &["+ eyJ9", "A1 NO [ALERT] Invalid credentials (Failure)"],
        );
        assert_eq!(
            (text.as_str(), code.as_deref()),
            ("Invalid credentials (Failure)", Some("ALERT"))
        );
        assert_eq!(text_and_code(Protocol::Pop3, &["-ERR"]), (String::new(), None));
    }

    #[test]
    fn a_line_that_no_protocol_knows_is_harmless() {
        for protocol in Protocol::ALL {
            for &phase in Phase::ALL {
                for line in ["", "\u{e9}", "5", "55\u{e9}", "[", "NO [", "-ERR[", "* ", "334", "+"]
                {
                    let _ = classify(protocol, phase, &[line]);
                }
                let _ = classify(protocol, phase, &[]);
            }
        }
    }

    #[test]
    fn a_rule_fits_when_something_of_each_of_its_groups_fits() {
        let facts = Facts::new(Smtp, AuthFail, &["334 ", "535 5.7.8 Bad Words"]);
        let rule = || Rule::new("x", Cause::PolicyBlocked, AskUser, Inferred);
        assert!(rule().fits(&facts));
        for (fits, rule) in [
            (true, rule().on(&[Imap, Smtp])),
            (false, rule().on(&[Imap])),
            (true, rule().in_phases(&[Greeting, AuthFail])),
            (false, rule().in_phases(&[Greeting])),
            (true, rule().with_status(&[Status::Bad, Status::Permanent])),
            (false, rule().with_status(&[Status::Prompt])),
            (true, rule().codes(&["X", "535"])),
            (true, rule().codes(&["5.7.8"])),
            (false, rule().codes(&["334"])),
            (true, rule().words(&["nothing", "bad words"])),
            (false, rule().words(&["nothing"])),
            (true, rule().prompted(true)),
            (false, rule().prompted(false)),
        ] {
            assert_eq!(rule.fits(&facts), fits);
        }
    }

    #[test]
    fn an_error_challenge_alone_is_a_hint() {
        let hint = |line| {
            let verdict = classify(Imap, Phase::AuthChallenge, &[line]);
            (verdict.cause, verdict.advice, verdict.certainty)
        };
        assert_eq!(
            hint("+ eyJzdGF0dXMiOiI0MDAifQ=="),
            (Cause::TokenRejected, RefreshToken, Guessed)
        );
        assert_eq!(hint("+ "), (Cause::TokenRejected, RefreshToken, Guessed));
        assert_eq!(hint("+ Go ahead"), (Cause::NoFault, Proceed, Guessed));
        assert_eq!(
            hint("+ eyJzdGF0dXMiOiJpbnN1ZmZpY2llbnRfc2NvcGUifQ=="),
            (Cause::InsufficientScope, AskUser, Inferred)
        );
        assert_eq!(
            hint("+ eyJzdGF0dXMiOiJ0ZW1wb3JhcmlseV91bmF2YWlsYWJsZSJ9"),
            (Cause::Unavailable, BackOff, Inferred)
        );
    }

    #[test]
    fn the_unit_of_a_wait_is_the_word_behind_the_number() {
        let wait = |text: &str| {
            classify(Imap, MidSession, &[&["BAD Request is throttled. Wait ", text].concat()])
                .wait_ms
        };
        assert_eq!(wait("5 ms."), Some(5));
        assert_eq!(wait("1 millisecond"), Some(1));
        assert_eq!(wait("1 second,"), Some(1_000));
        assert_eq!(wait("7 seconds"), Some(7_000));
        assert_eq!(wait("1 minute"), Some(60_000));
        assert_eq!(wait("2 hours"), Some(7_200_000));
        assert_eq!(wait("an hour"), None);
        assert_eq!(wait("5 moons or 3 minutes"), Some(180_000));
    }

    #[test]
    fn an_enhanced_code_has_a_class_a_subject_and_a_detail() {
        for good in ["2.0.0", "4.7.0", "5.7.8", "5.123.999"] {
            assert!(is_enhanced_code(good), "{good}");
        }
        for bad in [
            "", "5", "5.7", "5.7.", "5..8", "3.7.8", "5.x.8", "5.7.x", "5.1234.1", "5.1.1234",
            "5.7.8.1",
        ] {
            assert!(!is_enhanced_code(bad), "{bad}");
        }
    }

    #[test]
    fn a_bye_ends_a_session_that_goes_on_and_not_one_that_was_logged_out() {
        let verdict = classify(Imap, MidSession, &["* BYE"]);
        assert_eq!((verdict.cause, verdict.advice), (Cause::SessionEnded, Reconnect));
        let verdict = classify(Imap, MidSession, &["a NO what"]);
        assert_eq!((verdict.cause, verdict.advice), (Cause::Unrecognized, Proceed));
        let verdict = classify(Imap, Disconnect, &["* BYE see you", "a OK done"]);
        assert_eq!((verdict.cause, verdict.rule), (Cause::NoFault, "logout"));
        let verdict = classify(Imap, Disconnect, &["a OK done", "* BYE gone"]);
        assert_eq!(verdict.cause, Cause::SessionEnded);
    }

    #[test]
    fn a_prompt_with_the_code_of_a_failure_is_one() {
        let cause = |line| classify(Smtp, AuthFail, &[line]).cause;
        assert_eq!(cause("334 4.7.0 not now"), cause("454 4.7.0 not now"));
        assert_eq!(cause("334 5.7.8 no"), cause("535 5.7.8 no"));
        assert_eq!(cause("334 2.7.0 go on"), Cause::NoFault);
    }
}
