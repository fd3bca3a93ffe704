//! What a refusal says of its reason: the dialogue's own facts first, then the words.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Negotiation, Prompted, State};
use crate::classify::{Names, Phase, classify_named, text_and_code};
use crate::config::{InitialResponse, Mechanism, Protocol};
use crate::dialect::Capabilities;
use crate::failure::{Advice, Cause, Certainty, Failure, Verdict, default_advice};
use crate::redact::Secrets;
use crate::sasl::{self, Rejection};
use crate::text::displayable;

/// Characters of a server's line or list that stand in a sentence.
const SHORT_CHARS_MAX: usize = 160;

/// Characters of a code from outside TLS: longer ones are none.
const CODE_CHARS_MAX: usize = 16;

impl Negotiation {
    pub(super) fn phase(&self) -> Phase {
        match self.state {
            State::Greeting => Phase::Greeting,
            State::Capabilities | State::Upgrade | State::Handshake => Phase::Capability,
            State::Prompt | State::Verdict | State::Acknowledged => Phase::AuthFail,
            State::Authenticated | State::Failed => Phase::Disconnect,
        }
    }

    /// The failure that the last reply stands for.
    pub(super) fn classified(&self, phase: Phase) -> Failure {
        let mut lines = self.replies.last_reply();
        // In POP3 one text has two causes: whether the server had asked for the token tells them apart.
        if self.state == State::Verdict && !self.inline {
            lines.insert(0, "+ ");
        }
        self.with_server_text(self.verdict(phase, &lines), &lines)
    }

    fn verdict(&self, phase: Phase, lines: &[&str]) -> Verdict {
        let names = Names { user: self.config.identity.name(), host: &self.config.endpoint.host };
        classify_named(self.dialect.protocol, phase, lines, &names).of_login()
    }

    fn with_server_text(&self, verdict: Verdict, lines: &[&str]) -> Failure {
        let (text, code) = text_and_code(self.dialect.protocol, lines);
        let mut failure = if self.secure {
            let failure = Failure { server_text: text, code, ..Failure::from_verdict(verdict) };
            without(failure, &self.secrets())
        } else {
            let code = code.filter(|code| is_code(code));
            Failure { code, ..Failure::from_verdict(in_the_clear(&verdict)) }
        };
        if failure.cause == Cause::ClientNameRefused {
            failure.detail = format!("it was {}", self.config.ehlo_name).into();
        }
        failure
    }

    // ---- Before the login ----------------------------------------------------------------------------------------

    pub(super) fn tls_refused(&self, detail: &'static str) -> Failure {
        let verdict = Verdict::of_host(Cause::TlsRefused);
        let failure = self.with_server_text(verdict, &self.replies.last_reply());
        Failure { detail: detail.into(), ..failure }
    }

    /// A fault that passes is waited out; a server that has no TLS is told as such.
    pub(super) fn upgrade_refused(&self) -> Failure {
        let lines = self.replies.last_reply();
        let verdict = self.verdict(Phase::Capability, &lines);
        let refused = self.tls_refused("the server refused to start it");
        let (text, _) = text_and_code(self.dialect.protocol, &lines);
        if refused.code.as_deref().is_some_and(|code| code.starts_with("454")) && !is_of_now(&text)
        {
            // RFC 3207 section 4 has this code for a fault that passes; servers without a certificate say it for ever.
            return Failure { advice: Advice::BackOff, ..refused };
        }
        if passes(&verdict) {
            let failure = self.with_server_text(verdict, &lines);
            return Failure { detail: "it does not start TLS for now".into(), ..failure };
        }
        refused
    }

    /// A server without the capability command cannot be logged in to; one that is down says so, and one that does not take
    /// our name too.
    pub(super) fn capabilities_refused(&self) -> Failure {
        let lines = self.replies.last_reply();
        let verdict = self.verdict(Phase::Capability, &lines);
        let detail = "the server does not say what it offers";
        if passes(&verdict) || verdict.cause == Cause::ClientNameRefused {
            self.with_server_text(verdict, &lines)
        } else if self.secure {
            told_as(Cause::MechanismUnavailable, detail, self.with_server_text(verdict, &lines))
        } else {
            self.tls_refused(detail)
        }
    }

    pub(super) fn no_mechanism(&self, capabilities: &Capabilities) -> Failure {
        let wanted = self.config.mechanisms.iter().map(|one| Mechanism::as_str(*one));
        let wanted = wanted.collect::<Vec<_>>().join(" or ");
        let offered = capabilities.mechanisms(self.dialect).collect::<Vec<_>>().join(", ");
        let detail = if offered.is_empty() {
            format!("{wanted} is wanted, and it offers no mechanism at all")
        } else {
            format!("{wanted} is wanted, and it offers {}", shortened(&self.redact(&offered)))
        };
        Failure::of_host(Cause::MechanismUnavailable, detail)
    }

    // ---- The bare command ----------------------------------------------------------------------------------------

    /// A refusal of the bare command: the token cannot be its reason.
    pub(super) fn refused_before_token(&self) -> Failure {
        let failure = self.classified(Phase::AuthFail);
        if failure.cause != Cause::TokenRejected {
            return failure;
        }
        let detail = "the server refused the mechanism before it was given a token";
        told_as(Cause::MechanismUnavailable, detail, failure)
    }

    /// Whether the bare command was refused for want of an argument. RFC 5321 section 4.2.3 has 501 for it, IMAP BAD; POP3 has
    /// words only.
    pub(super) fn misses_argument(&self, failure: &Failure) -> bool {
        match self.dialect.protocol {
            Protocol::Smtp => failure.code.as_deref().is_some_and(|code| code.starts_with("501")),
            Protocol::Imap => {
                let lines = self.replies.last_reply();
                let status = lines.last().and_then(|line| line.split(' ').nth(1));
                failure.cause == Cause::ProtocolViolation
                    && status.is_some_and(|status| status.eq_ignore_ascii_case("BAD"))
            }
            Protocol::Pop3 => {
                let text = failure.server_text.to_ascii_lowercase();
                ["argument", "parameter", "syntax"].iter().any(|word| text.contains(word))
            }
        }
    }

    /// The server wants the token in the line, and that may not be done, or was done before.
    pub(super) fn wanted_in_line(&self, failure: Failure) -> Failure {
        if self.retried {
            return too_long_either_way(failure);
        }
        let detail = match self.config.initial_response {
            InitialResponse::Never => {
                "it wants the token in the line of the command: set initial_response to auto"
            }
            InitialResponse::Auto | InitialResponse::Always => {
                "it wants the token in the line of the command, where it is too long: try initial_response: always"
            }
        };
        let failure = told_as(Cause::ProtocolViolation, detail, failure);
        Failure { advice: Advice::FixConfiguration, ..failure }
    }

    // ---- The token -----------------------------------------------------------------------------------------------

    /// A refusal without an error challenge: of the token, or of the line that carried it.
    pub(super) fn refused_at_once(&self) -> Failure {
        let failure = self.classified(Phase::AuthFail);
        let of_the_line =
            matches!(failure.cause, Cause::LineTooLong | Cause::InitialResponseRefused);
        if self.is_over_long() && (of_the_line || is_vague(&failure)) {
            return self.too_long(failure);
        }
        if of_the_line && self.inline && self.retried {
            return too_long_either_way(failure);
        }
        failure
    }

    /// Whether our line was longer than the protocol allows, whatever the server says of it.
    pub(super) fn is_over_long(&self) -> bool {
        self.inline && self.inline_octets(self.mechanism) > self.dialect.inline_octets_max
    }

    pub(super) fn too_long(&self, failure: Failure) -> Failure {
        if self.retried {
            return too_long_either_way(failure);
        }
        let (octets, most) = (self.inline_octets(self.mechanism), self.dialect.inline_octets_max);
        let detail = format!("{octets} octets, and every server takes {most}");
        Failure { detail: detail.into(), ..told_as(Cause::LineTooLong, "", failure) }
    }

    /// The login failed with an error challenge or with a prompt. The final reply decides where it names a cause of its own; a
    /// reply that only says that our answer was not understood, and none at all, leave it to what came before.
    pub(super) fn refused(&self) -> Failure {
        let lines = self.replies.last_reply();
        let verdict = self.verdict(Phase::AuthFail, &lines);
        if let Some(prompted) = self.prompted {
            return self.refused_after_prompt(prompted, verdict, &lines);
        }
        let rejection = self.challenge.as_deref().map(sasl::read_rejection).unwrap_or_default();
        let (text, code) = text_and_code(self.dialect.protocol, &lines);
        let verdict = if says_no_more(&verdict) {
            verdict_of(&rejection, verdict)
        } else if rejection.means_token() && is_generic(&verdict, code.as_deref(), &text) {
            Verdict::new(
                Cause::TokenRejected,
                Advice::RefreshToken,
                Certainty::Stated,
                "challenge-token",
            )
        } else {
            verdict
        };
        let redact = |text: Option<String>| text.map(|text| self.redact(&text));
        let rejection = Rejection {
            status: redact(rejection.status),
            scope: redact(rejection.scope),
            schemes: redact(rejection.schemes),
            openid_configuration: redact(rejection.openid_configuration),
        };
        Failure { rejection: Some(rejection), ..self.with_server_text(verdict, &lines) }
    }

    /// The server prompted for what it had, and the exchange was cancelled. A prompt in words is no refusal of the token, and
    /// what follows answers the `*`; an empty one may be James' refusal, and then the answer is one of credentials.
    fn refused_after_prompt(
        &self,
        prompted: Prompted,
        verdict: Verdict,
        lines: &[&str],
    ) -> Failure {
        let of_the_token = prompted == Prompted::Empty
            && verdict.cause == Cause::TokenRejected
            && verdict.certainty != Certainty::Guessed;
        let is_answer = says_no_more(&verdict) && !of_the_token;
        let failure = self.with_server_text(verdict, lines);
        if is_answer {
            let detail = "it asked for the token again";
            told_as(Cause::InitialResponseRefused, detail, failure)
        } else {
            failure
        }
    }
}

/// Servers were seen to repeat the line that they refuse.
fn without(failure: Failure, secrets: &Secrets) -> Failure {
    Failure {
        server_text: secrets.redact(failure.server_text),
        code: failure.code.map(|code| secrets.redact(code)),
        url: failure.url.map(|url| secrets.redact(url)),
        ..failure
    }
}

/// The same refusal, read as another cause.
fn told_as(cause: Cause, detail: &'static str, failure: Failure) -> Failure {
    Failure {
        cause,
        advice: default_advice(cause),
        certainty: Certainty::Inferred,
        detail: detail.into(),
        ..failure
    }
}

/// Both ways were tried.
fn too_long_either_way(failure: Failure) -> Failure {
    let detail = "it takes the token neither in the line of the command nor in two steps";
    Failure { advice: Advice::AskUser, ..told_as(Cause::LineTooLong, detail, failure) }
}

/// What a line in the clear may lead to: the connection, TLS, the protocol. Anything else is a server that does not serve.
fn in_the_clear(verdict: &Verdict) -> Verdict {
    let cause = match verdict.cause {
        Cause::TlsRefused
        | Cause::TlsFailed
        | Cause::WrongService
        | Cause::WrongTlsMode
        | Cause::PlaintextInjected
        | Cause::Preauthenticated
        | Cause::ClientNameRefused
        | Cause::TooManyConnections
        | Cause::RateLimited
        | Cause::Unavailable
        | Cause::Shutdown
        | Cause::ConnectionLost
        | Cause::HostNotFound
        | Cause::ConnectionRefused
        | Cause::Unreachable
        | Cause::ProxyFailed
        | Cause::TimedOut
        | Cause::LimitExceeded => verdict.cause,
        Cause::NoFault
        | Cause::TokenRejected
        | Cause::TokenExpired
        | Cause::TokenUnavailable
        | Cause::InsufficientScope
        | Cause::MechanismUnavailable
        | Cause::InitialResponseRefused
        | Cause::ProtocolDisabled
        | Cause::AccountDisabled
        | Cause::PolicyBlocked
        | Cause::AppPasswordRequired
        | Cause::InteractionRequired
        | Cause::UserNameRefused
        | Cause::MailboxLocked
        | Cause::NotConnected
        | Cause::LineTooLong
        | Cause::SessionLimit
        | Cause::IdleTimeout
        | Cause::SessionEnded
        | Cause::ProtocolViolation
        | Cause::Cancelled
        | Cause::Unrecognized => Cause::Unavailable,
    };
    Verdict::new(cause, default_advice(cause), Certainty::Guessed, verdict.rule)
}

/// Whether a code from outside TLS is one: numbers of SMTP, or a name. A telephone number, an address or a sentence is none.
fn is_code(code: &str) -> bool {
    let of_numbers = |one: char| one.is_ascii_digit() || one == '.' || one == ' ';
    let of_name = |one: char| one.is_ascii_alphabetic() || one == '/' || one == '-';
    code.len() <= CODE_CHARS_MAX && (code.chars().all(of_numbers) || code.chars().all(of_name))
}

/// Whether the server says that it does not serve for now, and not for good.
fn passes(verdict: &Verdict) -> bool {
    matches!(
        verdict.cause,
        Cause::TooManyConnections | Cause::RateLimited | Cause::Shutdown | Cause::MailboxLocked
    ) || (matches!(verdict.cause, Cause::Unavailable | Cause::IdleTimeout)
        && verdict.certainty != Certainty::Guessed)
}

/// Whether words say that a fault is one of now.
fn is_of_now(text: &str) -> bool {
    let text = text.to_lowercase();
    ["tempor", "later", "again", "currently", "moment"].iter().any(|word| text.contains(word))
}

/// Whether a final reply leaves the reason to what came before it.
fn says_no_more(verdict: &Verdict) -> bool {
    matches!(
        verdict.cause,
        Cause::NoFault
            | Cause::TokenRejected
            | Cause::ProtocolViolation
            | Cause::MechanismUnavailable
            | Cause::InitialResponseRefused
            | Cause::Cancelled
            | Cause::LineTooLong
            | Cause::Unrecognized
    )
}

/// Whether a refusal names no reason that could not be a line that is too long.
fn is_vague(failure: &Failure) -> bool {
    let of_syntax = matches!(
        failure.cause,
        Cause::NoFault | Cause::ProtocolViolation | Cause::Cancelled | Cause::Unrecognized
    );
    let guessed = failure.cause == Cause::TokenRejected && failure.certainty == Certainty::Guessed;
    let of_policy = matches!(failure.cause, Cause::PolicyBlocked | Cause::MechanismUnavailable)
        && failure.certainty != Certainty::Stated;
    of_syntax || guessed || of_policy
}

/// Whether a final reply is weaker than a challenge that says `invalid_token`. An outage that is named as one is not: Dovecot
/// 2.3 says `invalid_token` for it too, and then `[UNAVAILABLE]` or `454 4.7.0 Temporary authentication failure`.
fn is_generic(verdict: &Verdict, code: Option<&str>, text: &str) -> bool {
    let named = matches!(code, Some("UNAVAILABLE" | "SYS/TEMP")) || is_of_now(text);
    let outage = verdict.cause == Cause::Unavailable && !named;
    let policy = matches!(verdict.cause, Cause::PolicyBlocked | Cause::ProtocolDisabled)
        && verdict.certainty != Certainty::Stated;
    outage || policy
}

/// RFC 7628 section 3.2.2 and RFC 6750 section 3.1, as a hint where the final reply says no more.
fn verdict_of(rejection: &Rejection, verdict: Verdict) -> Verdict {
    let (cause, rule) = if rejection.means_scope() {
        (Cause::InsufficientScope, "challenge-scope")
    } else if rejection.means_unavailable() {
        (Cause::Unavailable, "challenge-unavailable")
    } else if verdict.cause == Cause::TokenRejected {
        return verdict;
    } else {
        (Cause::TokenRejected, "challenge")
    };
    Verdict::new(cause, default_advice(cause), Certainty::Inferred, rule)
}

/// A line or a list of the server, for a sentence.
pub(super) fn shortened(text: &str) -> String {
    let text = displayable(text.trim().as_bytes());
    match text.char_indices().nth(SHORT_CHARS_MAX) {
        Some((end, _)) => [text.get(..end).unwrap_or_default(), "\u{2026}"].concat(),
        None => text,
    }
}
