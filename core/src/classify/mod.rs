//! What a reply means: structure first, then words, then rules.
//!
//! 1. [`reply`]: a line is taken apart into status, codes and text.
//! 2. [`words`]: from the text all is taken out that a stranger could choose (addresses, names, quotes) or that names one
//!    occasion (identifiers, numbers). What is left are the server's own words.
//! 3. [`concepts`] and [`lexicon`]: each word stands for what is spoken of (an account, a protocol, connections) or for
//!    what is said of it (off, too many, expired). Other words mean nothing.
//!    [`reason`] tells whether the words that mean nothing give a reason.
//! 4. [`rules`]: a table over codes, status, phase and concepts. A code with one meaning decides before any word.
//!
//! Callers give the lines of one reply, never message content.

mod answers;
mod concepts;
mod letters;
mod lexicon;
mod reason;
mod reply;
mod rule;
mod rules;
mod words;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::config::Protocol;
use crate::failure::{Advice, Cause, Certainty, Failure, Verdict, spelled_enum};
use crate::limits::{READ_CHARS_MAX, REPLY_LINES_MAX};
use crate::sasl::read_rejection;
use crate::text::displayable;
use concepts::{Meaning, Stems};
use lexicon::LEXICON;
pub(crate) use reply::is_enhanced_code;
use reply::{Line, Status};
use rules::rules;

use Advice::{AskUser, BackOff, Proceed, Reconnect, RefreshToken};
use Certainty::{Guessed, Inferred, Stated};

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

/// Names that a reply may hold: they are no words of the server, whatever they mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Names<'a> {
    /// The user that logs in.
    pub user: &'a str,
    /// The server's host.
    pub host: &'a str,
}

/// A reply as a mail library hands it on: taken apart, and often in part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said<'a> {
    /// `NO`, `BAD`, `BYE`, `-ERR`, or the reply code of SMTP; `None` where the library does not tell it.
    pub status: Option<&'a str>,
    /// Response code (`AUTHENTICATIONFAILED`, `SYS/PERM`), or the enhanced status code of SMTP; without brackets.
    pub code: Option<&'a str>,
    /// The rest, or all that there is; where it is more than one line, with line ends between them.
    pub text: &'a str,
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
    classify_named(protocol, phase, reply_lines, &Names::default())
}

/// Says what the lines of one reply mean, as [`classify`] does, where the names that they may hold are known.
///
/// ```
/// use mailbearer::{Cause, Names, Phase, Protocol, classify_named};
/// let names = Names { user: "locked@example.org", host: "mail.example.org" };
/// let line = "A1 NO Authentication failed for user locked";
/// let verdict = classify_named(Protocol::Imap, Phase::AuthFail, &[line], &names);
/// assert_eq!(verdict.cause, Cause::TokenRejected);
/// ```
#[must_use]
pub fn classify_named(
    protocol: Protocol,
    phase: Phase,
    reply_lines: &[&str],
    names: &Names<'_>,
) -> Verdict {
    let lines = reply_lines.iter().map(|line| Line::parse(protocol, line)).collect();
    Facts::new(protocol, phase, lines, names, LEXICON).verdict()
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
pub fn explain(protocol: Protocol, phase: Phase, said: &Said<'_>, names: &Names<'_>) -> Failure {
    let lines = said.lines(protocol);
    let (server_text, code) = shown(&lines);
    let mut verdict = Facts::new(protocol, phase, lines, names, LEXICON).verdict();
    if !said.shows_its_status(protocol) {
        verdict.certainty = Guessed;
    }
    Failure { server_text, code, ..Failure::from_verdict(verdict) }
}

impl<'a> Said<'a> {
    fn shows_its_status(&self, protocol: Protocol) -> bool {
        let mut lines = self.text.trim().lines().peekable();
        self.head(protocol).is_some()
            || lines.peek().is_some()
                && lines.all(|line| whole_line(protocol, line.trim()).is_some())
    }

    /// The status alone, as a line; `None` where there is none that this protocol has.
    fn head(&self, protocol: Protocol) -> Option<Line<'a>> {
        whole_line(protocol, self.status.unwrap_or_default().trim())
    }

    /// The lines, with the status of a refusal where none was seen.
    fn lines(&self, protocol: Protocol) -> Vec<Line<'a>> {
        let text = self.text.trim();
        let lines = text.lines().chain(text.is_empty().then_some(""));
        lines.take(REPLY_LINES_MAX).map(|line| self.line(protocol, line.trim())).collect()
    }

    fn line(&self, protocol: Protocol, text: &'a str) -> Line<'a> {
        let head = self.head(protocol);
        if head.is_none()
            && let Some(line) = whole_line(protocol, text)
        {
            return line;
        }
        let refusal = match protocol {
            Protocol::Imap => Status::No,
            Protocol::Pop3 => Status::Err,
            Protocol::Smtp => Status::Permanent,
        };
        let status = head.map_or(refusal, |head| head.status);
        let line = match protocol {
            Protocol::Imap | Protocol::Pop3 => Line::with_response_code(status, text),
            Protocol::Smtp => Line {
                code: head.map_or("", |head| head.code),
                ..Line::with_enhanced_code(status, text)
            },
        };
        // Most libraries take the code out of the text, others leave it in.
        let line = match (self.code, protocol) {
            (None, _) => line,
            (Some(code), Protocol::Imap | Protocol::Pop3) => Line { code, ..line },
            (Some(enhanced), Protocol::Smtp) => Line { enhanced, ..line },
        };
        line.with_exchange_code()
    }
}

/// A line with its status, which some libraries hand on. `No such mailbox` and `2026-11-27` are none.
fn whole_line(protocol: Protocol, text: &str) -> Option<Line<'_>> {
    let line = Line::parse(protocol, text);
    let is_status = |word: &str| matches!(word, "OK" | "NO" | "BAD" | "BYE" | "PREAUTH");
    let sound = match protocol {
        Protocol::Imap => text.split(' ').take(2).any(is_status),
        Protocol::Pop3 => true,
        Protocol::Smtp => {
            line.code.bytes().all(|one| one.is_ascii_digit())
                && matches!(text.as_bytes().get(3), None | Some(b' ' | b'-'))
        }
    };
    (sound && line.status != Status::Data && line.status != Status::Prompt).then_some(line)
}

/// The parts of a reply that a failure shows: text and code.
pub(crate) fn text_and_code(protocol: Protocol, lines: &[&str]) -> (String, Option<String>) {
    let lines: Vec<Line<'_>> = lines.iter().map(|line| Line::parse(protocol, line)).collect();
    shown(&lines)
}

fn shown(lines: &[Line<'_>]) -> (String, Option<String>) {
    let spoken = lines.iter().filter(|line| !matches!(line.status, Status::Prompt | Status::Data));
    let text = spoken.clone().map(|line| line.text.trim()).filter(|text| !text.is_empty());
    let text = text.collect::<Vec<_>>().join(" ");
    let code = spoken.rev().find_map(Line::code_text);
    (displayable(text.as_bytes()), code.map(|code| displayable(code.as_bytes())))
}

/// The lines of a reply, taken apart, and what their words mean.
struct Facts<'a> {
    protocol: Protocol,
    phase: Phase,
    lines: Vec<Line<'a>>,
    /// The texts of all lines that are faults.
    text: String,
    meaning: Meaning,
    prompted: bool,
}

impl<'a> Facts<'a> {
    fn new(
        protocol: Protocol,
        phase: Phase,
        mut lines: Vec<Line<'a>>,
        names: &Names<'_>,
        lexicon: &[&[Stems]],
    ) -> Self {
        // An untagged BAD answers a line that was none, and not the login (RFC 9051 section 7.1.3).
        if lines.iter().any(|line| line.status.is_fault() && !line.untagged) {
            lines.retain(|line| !(line.untagged && line.status == Status::Bad));
        }
        let ends = lines.iter().any(|line| line.status == Status::Bye || line.has_code("421"));
        let phase = if phase == Phase::MidSession && ends { Phase::Disconnect } else { phase };
        let faults = lines.iter().filter(|line| line.status.is_fault());
        let texts = faults.flat_map(|line| [line.code_in_words(), line.text.to_string()]);
        let text = texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
        let text: String = text.chars().take(READ_CHARS_MAX).collect();
        // After the login a 5yz is of one message (RFC 5321 section 4.2.1): its words are of addresses and contents.
        let of_a_message = protocol == Protocol::Smtp
            && phase == Phase::MidSession
            && !lines.iter().any(|line| line.status == Status::Temporary);
        let meaning = if of_a_message {
            Meaning::default()
        } else {
            Meaning::of(&words::words(&text, names), lexicon)
        };
        let prompted = lines.iter().any(|line| line.status == Status::Prompt);
        Self { protocol, phase, lines, text, meaning, prompted }
    }

    fn verdict(&self) -> Verdict {
        if let Some(verdict) = self.without_fault() {
            return verdict;
        }
        let rule = rules().find(|rule| rule.fits(self));
        let mut verdict = rule.map_or_else(|| self.default_verdict(), rule::Rule::verdict);
        if verdict.advice == BackOff {
            verdict.wait_ms = words::wait_ms(&self.text);
        }
        verdict.url = self.url();
        verdict
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
        let from_code = self.lines.iter().find(|line| line.has_code("WEBALERT"));
        let glued = self.faults().map(|line| line.text).collect::<String>();
        let cut = glued.split_once("<http").and_then(|(_, rest)| rest.split_once('>'));
        let cut = cut.map(|(rest, _)| ["http", rest].concat());
        let url = from_code
            .map(|line| line.argument.to_string())
            .or(cut)
            .or_else(|| web_address(&self.text).map(ToString::to_string))?;
        Some(displayable(url.as_bytes()))
    }
}

/// The first web address in a text, without what punctuates the sentence around it.
fn web_address(text: &str) -> Option<&str> {
    let start = ["https://", "http://"].iter().filter_map(|scheme| text.find(scheme)).min()?;
    let from = text.get(start..)?;
    let end = from.find(|one: char| one.is_whitespace() || "<>\"'".contains(one));
    let address = from.get(..end.unwrap_or(from.len()))?;
    Some(address.trim_end_matches(['.', ',', ';', ':', ')', ']', '!', '?']))
}

/// The certainty is low: the final reply decides (docs/servers.md).
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

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
