//! One message over one SMTP connection that is logged in (RFC 5321 section 3.3, RFC 2920).

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::content;
use super::envelope::{Envelope, Extensions};
use crate::classify::{Names, Phase, classify_named, text_and_code};
use crate::config::{ConfigError, Protocol};
use crate::failure::{Advice, Cause, Failure, spelled_enum};
use crate::limits::REPLY_LINES_MAX;
use crate::line::LineReader;
use crate::watch::Submission;

/// Commands that are written before their replies have come: far below what fills the buffers of both sides.
const WINDOW: usize = 50;

spelled_enum! {
    /// What became of a message, for one recipient.
    Fate {
        /// The server answers for it.
        Accepted = "accepted",
        /// The server does not want it, and will not.
        Refused = "refused",
        /// It was not accepted, and is to be sent again.
        Later = "later",
        /// The connection was lost behind the end of the message and before its answer: it may have been taken.
        Unknown = "unknown",
    }
}

/// What became of a message for one recipient, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What became of it.
    pub fate: Fate,
    /// The reply code, where the server gave one for this.
    pub code: Option<u16>,
    /// Why not, where it is not accepted and that is known.
    pub failure: Option<Failure>,
}

/// What became of one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// One for each recipient, in their order.
    pub answers: Vec<Answer>,
    /// What was not accepted may be sent again at once: nobody has asked for a wait.
    pub at_once: bool,
    /// The server takes no messages now, this or others: for so long at least.
    pub hold_ms: Option<u64>,
}

/// What the host does next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubmitPlan {
    /// Octets to write.
    pub bytes: Vec<u8>,
    /// The server waits for the message: give it to [`Submit::message`].
    pub wants_message: bool,
    /// It is over: [`Submit::outcome`] says what became of it, and the connection is free.
    pub is_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Envelope,
    Data,
    Message,
    Verdict,
    Reset,
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Mail,
    Recipient(usize),
}

/// Sends one message. It has no socket: octets go in and out.
///
/// ```
/// use mailbearer::{Envelope, Fate, Submit};
/// let recipients = ["ann@example.org", "bob@example.org"].map(String::from).to_vec();
/// let envelope = Envelope { sender: "joe@gmail.com".into(), recipients, octets: 20, ..Envelope::default() };
/// let mut submit = Submit::new(envelope, &["PIPELINING".to_string()])?;
/// let asked = b"MAIL FROM:<joe@gmail.com>\r\nRCPT TO:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\n";
/// assert_eq!(submit.start().bytes, asked);
/// assert_eq!(submit.receive(b"250 ok\r\n250 ok\r\n550 5.1.1 No such user\r\n").bytes, b"DATA\r\n");
/// assert!(submit.receive(b"354 go\r\n").wants_message);
/// assert_eq!(submit.message(b"Subject: hello\r\n\r\n.\r\n"), b"Subject: hello\r\n\r\n..\r\n.\r\n");
/// assert!(submit.receive(b"250 2.0.0 queued\r\n").is_over);
/// let fates: Vec<Fate> = submit.outcome().answers.iter().map(|answer| answer.fate).collect();
/// assert_eq!(fates, [Fate::Accepted, Fate::Refused]);
/// # Ok::<(), mailbearer::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Submit {
    envelope: Envelope,
    extensions: Extensions,
    state: State,
    lines: LineReader,
    reply: Vec<String>,
    asked: VecDeque<Asked>,
    /// Recipients that were named to the server.
    named: usize,
    answers: Vec<Option<Answer>>,
    at_once: bool,
    hold_ms: Option<u64>,
}

impl Submit {
    /// Sends a message over a connection whose `EHLO` was answered with these capabilities.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], where the envelope cannot be said.
    pub fn new(envelope: Envelope, capabilities: &[String]) -> Result<Self, ConfigError> {
        envelope.check()?;
        Ok(Self {
            extensions: Extensions::of(capabilities),
            answers: envelope.recipients.iter().map(|_| None).collect(),
            envelope,
            state: State::Envelope,
            lines: LineReader::default(),
            reply: Vec::new(),
            asked: VecDeque::new(),
            named: 0,
            at_once: true,
            hold_ms: None,
        })
    }

    /// Begins the transaction.
    pub fn start(&mut self) -> SubmitPlan {
        if let Some(missing) = self.envelope.missing(&self.extensions) {
            let failure = Failure::of_host(Cause::LimitExceeded, missing);
            self.settle_open(Fate::Refused, None, Some(&failure));
            return self.over();
        }
        self.asked.push_back(Asked::Mail);
        let mut bytes = self.envelope.mail(&self.extensions).into_bytes();
        if self.extensions.has("PIPELINING") {
            bytes.extend(self.name_more());
        }
        SubmitPlan { bytes, ..SubmitPlan::default() }
    }

    /// Takes what one read of the connection brought.
    pub fn receive(&mut self, bytes: &[u8]) -> SubmitPlan {
        let mut plan = SubmitPlan::default();
        let mut input = bytes;
        while self.state != State::Over {
            // A line that is none ends the session: a Watch over it sees to that.
            let Ok(Some(line)) = self.lines.take(&mut input) else { break };
            let text = String::from_utf8_lossy(&line).to_string();
            let more = text.as_bytes().get(3) == Some(&b'-');
            if self.reply.len() < REPLY_LINES_MAX {
                self.reply.push(text);
            }
            if !more {
                let reply = core::mem::take(&mut self.reply);
                let next = self.replied(&reply);
                plan.bytes.extend(next.bytes);
                plan.wants_message = next.wants_message;
            }
        }
        plan.is_over = self.state == State::Over;
        plan
    }

    /// The message as it goes over the wire, when the server waits for it: with line ends of CRLF alone, so that no server
    /// sees another end than this one, and with its end.
    pub fn message(&mut self, message: &[u8]) -> Vec<u8> {
        self.state = State::Verdict;
        content::on_the_wire(message)
    }

    /// The session has ended, and left this behind. `None` where nobody knows.
    pub fn ended(&mut self, submission: Option<Submission>) {
        let fate = match (self.state, submission) {
            (State::Over | State::Reset, _) => return self.state = State::Over,
            (State::Verdict, Some(Submission::NotAccepted)) => Fate::Later,
            // The answer may have come, and not to us.
            (State::Verdict, Some(Submission::Unknown | Submission::Idle) | None) => Fate::Unknown,
            (State::Envelope | State::Data | State::Message, _) => Fate::Later,
        };
        self.take_back(fate, None, None);
        self.state = State::Over;
    }

    /// What became of it; of what has no answer yet it says that it is to be sent again.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let later = || Answer { fate: Fate::Later, code: None, failure: None };
        let answers = self.answers.iter().map(|one| one.clone().unwrap_or_else(later)).collect();
        Outcome { answers, at_once: self.at_once, hold_ms: self.hold_ms }
    }

    // ---- What is said ------------------------------------------------------------------------------------------

    fn over(&mut self) -> SubmitPlan {
        self.state = State::Over;
        SubmitPlan { is_over: true, ..SubmitPlan::default() }
    }

    fn say(&mut self, state: State, command: &str) -> SubmitPlan {
        self.state = state;
        SubmitPlan { bytes: command.as_bytes().to_vec(), ..SubmitPlan::default() }
    }

    /// Names recipients to the server: as many as it may have unanswered.
    fn name_more(&mut self) -> Vec<u8> {
        let window = if self.extensions.has("PIPELINING") { WINDOW } else { 1 };
        let mut bytes = Vec::new();
        while self.asked.len() < window
            && let Some(address) = self.envelope.recipients.get(self.named)
        {
            bytes.extend(Envelope::rcpt(address).into_bytes());
            self.asked.push_back(Asked::Recipient(self.named));
            self.named = self.named.saturating_add(1);
        }
        bytes
    }

    // ---- What is heard -----------------------------------------------------------------------------------------

    fn replied(&mut self, reply: &[String]) -> SubmitPlan {
        let lines: Vec<&str> = reply.iter().map(String::as_str).collect();
        let digits = lines.last().and_then(|line| line.get(..3));
        let code: u16 = digits.and_then(|digits| digits.parse().ok()).unwrap_or(0);
        // RFC 5321 section 3.8, RFC 4954 section 6: the connection ends, or must, and nothing was taken.
        if matches!(code, 421 | 530) {
            self.ended(Some(Submission::NotAccepted));
            return SubmitPlan::default();
        }
        match self.state {
            State::Envelope => self.of_envelope(code, &lines),
            State::Data if code == 354 => {
                self.state = State::Message;
                SubmitPlan { wants_message: true, ..SubmitPlan::default() }
            }
            State::Data => {
                self.refused(code, &lines, "DATA");
                self.say(State::Reset, "RSET\r\n")
            }
            State::Verdict => {
                if code / 100 != 2 {
                    self.refused(code, &lines, "the message");
                }
                self.over()
            }
            State::Reset => self.over(),
            State::Message | State::Over => SubmitPlan::default(),
        }
    }

    fn of_envelope(&mut self, code: u16, lines: &[&str]) -> SubmitPlan {
        match self.asked.pop_front() {
            Some(Asked::Mail) if code / 100 != 2 => self.refused(code, lines, "MAIL FROM"),
            Some(Asked::Recipient(at)) => self.recipient_answered(at, code, lines),
            Some(Asked::Mail) | None => {}
        }
        let is_open = self
            .answers
            .iter()
            .any(|one| one.as_ref().is_none_or(|answer| answer.fate == Fate::Accepted));
        if is_open {
            let bytes = self.name_more();
            if !bytes.is_empty() {
                return SubmitPlan { bytes, ..SubmitPlan::default() };
            }
        }
        match (self.asked.is_empty(), is_open) {
            (false, _) => SubmitPlan::default(),
            (true, true) => self.say(State::Data, "DATA\r\n"),
            (true, false) => self.say(State::Reset, "RSET\r\n"),
        }
    }

    fn recipient_answered(&mut self, at: usize, code: u16, lines: &[&str]) {
        if !matches!(self.answers.get(at), Some(None)) {
            return;
        }
        let fate = match code / 100 {
            2 => Fate::Accepted,
            4 => Fate::Later,
            _ => Fate::Refused,
        };
        let failure = (fate != Fate::Accepted).then(|| self.failure(lines, "RCPT TO"));
        if let Some(answer) = self.answers.get_mut(at) {
            *answer = Some(Answer { fate, code: Some(code), failure });
        }
        // RFC 5321 section 4.5.3.1.10: too many recipients. The rest goes at once, if some were taken.
        self.at_once &= fate != Fate::Later || code == 452;
    }

    /// The server does not take the message, for anybody.
    fn refused(&mut self, code: u16, lines: &[&str], what: &'static str) {
        let failure = self.failure(lines, what);
        let holds = failure.advice == Advice::BackOff;
        if holds {
            self.hold_ms = Some(failure.wait_ms.unwrap_or(0));
        }
        // A limit of the account's that has a permanent code (Gmail's 550 5.4.5) is over some day.
        let fate = if code / 100 == 4 || holds { Fate::Later } else { Fate::Refused };
        self.at_once &= fate != Fate::Later;
        self.take_back(fate, Some(code), Some(&failure));
    }

    /// What the server had accepted of the recipients counts no more.
    fn take_back(&mut self, fate: Fate, code: Option<u16>, failure: Option<&Failure>) {
        for answer in &mut self.answers {
            if answer.as_ref().is_some_and(|one| one.fate == Fate::Accepted) {
                *answer = None;
            }
        }
        self.settle_open(fate, code, failure);
    }

    fn settle_open(&mut self, fate: Fate, code: Option<u16>, failure: Option<&Failure>) {
        for answer in &mut self.answers {
            if answer.is_none() {
                *answer = Some(Answer { fate, code, failure: failure.cloned() });
            }
        }
    }

    /// Why the server refused `what`.
    fn failure(&self, lines: &[&str], what: &'static str) -> Failure {
        let names = Names { user: &self.envelope.sender, host: "" };
        let verdict = classify_named(Protocol::Smtp, Phase::MidSession, lines, &names);
        let (server_text, code) = text_and_code(Protocol::Smtp, lines);
        Failure { server_text, code, detail: what.into(), ..Failure::from_verdict(verdict) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submit(recipients: usize, capabilities: &[&str]) -> Submit {
        let recipients = (0..recipients).map(|at| alloc::format!("r{at}@example.org")).collect();
        let envelope = Envelope {
            sender: "joe@gmail.com".to_string(),
            recipients,
            octets: 9,
            ..Envelope::default()
        };
        let capabilities: Vec<String> = capabilities.iter().map(ToString::to_string).collect();
        Submit::new(envelope, &capabilities).unwrap()
    }

    fn fates(submit: &Submit) -> Vec<Fate> {
        submit.outcome().answers.iter().map(|answer| answer.fate).collect()
    }

    /// As far as the end of the message, with these replies to the recipients.
    fn written(replies: &[&str]) -> Submit {
        let mut submit = submit(replies.len(), &["PIPELINING"]);
        let _ = submit.start();
        let _ = submit.receive(b"250 ok\r\n");
        for reply in replies {
            let _ = submit.receive(alloc::format!("{reply}\r\n").as_bytes());
        }
        assert!(submit.receive(b"354 go\r\n").wants_message);
        assert_eq!(submit.message(b"\n.x"), b"\r\n..x\r\n.\r\n");
        submit
    }

    #[test]
    fn one_after_the_other_where_the_server_takes_no_pipeline() {
        let mut submit = submit(2, &[]);
        assert_eq!(submit.start().bytes, b"MAIL FROM:<joe@gmail.com>\r\n");
        assert_eq!(submit.receive(b"250-2.1.0 ok\r\n").bytes, b"");
        assert_eq!(submit.receive(b"250 2.1.0 ok\r\n").bytes, b"RCPT TO:<r0@example.org>\r\n");
        assert_eq!(submit.receive(b"250 ok\r\n").bytes, b"RCPT TO:<r1@example.org>\r\n");
        assert_eq!(submit.receive(b"251 will forward\r\n").bytes, b"DATA\r\n");
    }

    #[test]
    fn never_more_unanswered_than_the_window() {
        let mut submit = submit(120, &["PIPELINING"]);
        let lines = |bytes: &[u8]| bytes.iter().filter(|octet| **octet == b'\n').count();
        assert_eq!(lines(&submit.start().bytes), WINDOW);
        assert_eq!(lines(&submit.receive(b"250 ok\r\n250 ok\r\n250 ok\r\n").bytes), 3);
        assert_eq!(lines(&submit.receive("250 ok\r\n".repeat(117).as_bytes()).bytes), 68);
        assert_eq!(submit.receive(b"250 ok\r\n").bytes, b"DATA\r\n");
    }

    #[test]
    fn each_recipient_has_an_answer_of_its_own() {
        let mut submit = written(&["250 ok", "550 5.1.1 No such user", "450 4.2.1 later"]);
        assert!(submit.receive(b"250 2.0.0 queued\r\n").is_over);
        assert_eq!(fates(&submit), [Fate::Accepted, Fate::Refused, Fate::Later]);
        let outcome = submit.outcome();
        assert!(!outcome.at_once, "who says later is not asked at once");
        let refusal = outcome.answers[1].failure.as_ref().unwrap();
        assert_eq!(
            (outcome.answers[1].code, refusal.server_text.as_str()),
            (Some(550), "No such user")
        );
    }

    #[test]
    fn a_refusal_says_what_was_refused_and_that_the_login_stands() {
        let refused = |replies: &[&str]| {
            let mut submit = submit(1, &[]);
            let _ = submit.start();
            for reply in replies {
                if submit.receive(alloc::format!("{reply}\r\n").as_bytes()).wants_message {
                    let _ = submit.message(b"x\n");
                }
            }
            submit.outcome().answers.remove(0).failure.unwrap().to_string()
        };
        for (replies, what) in [
            (&["550 no"][..], "MAIL FROM"),
            (&["250 ok", "550 no"], "RCPT TO"),
            (&["250 ok", "250 ok", "550 no"], "DATA"),
            (&["250 ok", "250 ok", "354 go", "550 no"], "the message"),
        ] {
            assert_eq!(
                refused(replies),
                alloc::format!(
                    "The server refused a command ({what}); the server said: no. \
                     Only what was asked failed: the login and the connection are good."
                )
            );
        }
    }

    #[test]
    fn the_rest_of_too_many_recipients_goes_at_once() {
        let mut submit = written(&["250 ok", "452 4.5.3 Too many recipients"]);
        let _ = submit.receive(b"250 queued\r\n");
        assert_eq!(
            (fates(&submit).as_slice(), submit.outcome().at_once),
            ([Fate::Accepted, Fate::Later].as_slice(), true)
        );
    }

    #[test]
    fn a_transaction_that_is_refused_is_taken_back_and_leaves_the_connection_free() {
        let mut all = submit(1, &["PIPELINING"]);
        let _ = all.start();
        assert_eq!(all.receive(b"250 ok\r\n550 5.1.1 nobody\r\n").bytes, b"RSET\r\n");
        assert!(all.receive(b"250 ok\r\n").is_over);
        assert_eq!(fates(&all), [Fate::Refused]);

        let mut mail = submit(2, &["PIPELINING"]);
        let _ = mail.start();
        let plan = mail.receive(b"550 5.7.1 not yours\r\n503 no MAIL\r\n503 no MAIL\r\n");
        assert_eq!(plan.bytes, b"RSET\r\n");
        let outcome = mail.outcome();
        assert!(
            outcome.answers.iter().all(|one| one.fate == Fate::Refused && one.code == Some(550))
        );

        let mut data = submit(1, &["PIPELINING"]);
        let _ = data.start();
        let _ = data.receive(b"250 ok\r\n250 ok\r\n");
        assert_eq!(data.receive(b"451 4.3.0 not now\r\n").bytes, b"RSET\r\n");
        assert_eq!(fates(&data), [Fate::Later]);
    }

    #[test]
    fn a_limit_of_the_account_holds_all_that_is_queued_whatever_its_code() {
        for reply in [
            "550-5.4.5 Daily user sending limit exceeded. For more information on Gmail\r\n550 5.4.5 sending limits go to\r\n",
            "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded [Hostname=x]\r\n",
            "451 4.7.1 Too many messages, slow down\r\n",
        ] {
            let mut submit = written(&["250 ok"]);
            assert!(submit.receive(reply.as_bytes()).is_over);
            let outcome = submit.outcome();
            assert_eq!(
                (fates(&submit).as_slice(), outcome.hold_ms.is_some()),
                ([Fate::Later].as_slice(), true),
                "{reply}"
            );
        }
        let mut spam = written(&["250 ok"]);
        let _ = spam.receive(b"550 5.7.1 Message rejected as spam\r\n");
        assert_eq!(
            (fates(&spam).as_slice(), spam.outcome().hold_ms),
            ([Fate::Refused].as_slice(), None)
        );
    }

    #[test]
    fn what_is_unknown_is_so_for_whom_it_was_accepted_only() {
        for (submission, expected) in [
            (Some(Submission::Unknown), Fate::Unknown),
            (Some(Submission::Idle), Fate::Unknown),
            (None, Fate::Unknown),
            (Some(Submission::NotAccepted), Fate::Later),
        ] {
            let mut submit = written(&["250 ok", "450 4.2.1 later", "550 no"]);
            submit.ended(submission);
            assert_eq!(fates(&submit), [expected, Fate::Later, Fate::Refused], "{submission:?}");
        }
    }

    #[test]
    fn what_ends_before_the_end_of_the_message_is_sent_again() {
        for replies in
            [&b""[..], b"250 ok\r\n", b"250 ok\r\n250 ok\r\n", b"250 ok\r\n250 ok\r\n354 go\r\n"]
        {
            let mut submit = submit(1, &["PIPELINING"]);
            let _ = submit.start();
            let _ = submit.receive(replies);
            submit.ended(Some(Submission::Unknown));
            assert_eq!(
                (fates(&submit).as_slice(), submit.outcome().at_once),
                ([Fate::Later].as_slice(), true)
            );
        }
        let mut closing = written(&["250 ok"]);
        assert!(closing.receive(b"421 4.7.0 Connection expired\r\n").is_over);
        assert_eq!(fates(&closing), [Fate::Later]);
        // A refusal that was heard stays one.
        let mut refused = submit(1, &[]);
        let _ = refused.start();
        let _ = refused.receive(b"250 ok\r\n");
        let _ = refused.receive(b"550 no\r\n");
        refused.ended(None);
        assert_eq!(fates(&refused), [Fate::Refused]);
    }

    #[test]
    fn what_the_server_cannot_take_is_not_begun() {
        let mut submit = submit(1, &["SIZE 3"]);
        let plan = submit.start();
        assert_eq!((plan.bytes.as_slice(), plan.is_over), (&b""[..], true));
        let outcome = submit.outcome();
        let refusal = outcome.answers[0].failure.as_ref().unwrap().to_string();
        assert!(refusal.contains("the message has 9 octets, and the server takes 3"), "{refusal}");
        assert_eq!(fates(&submit), [Fate::Refused]);
    }
}
