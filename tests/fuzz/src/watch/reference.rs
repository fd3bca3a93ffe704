//! What a watch must see, written again without any thought of speed: one octet at a time, whole lines, whole bodies.
//! It shares `classify` with the core, and nothing else.

use std::collections::{BTreeSet, VecDeque};

use mailbearer::limits::{
    DELETIONS_MAX, PIPELINE_MAX, REPEATED_WORDS_MAX, WATCHED_LINE_OCTETS_MAX,
};
use mailbearer::{
    Advice, Aftermath, Cause, Certainty, Mailbox, Phase, Protocol, Submission, Verdict, classify,
};

pub(super) struct Reference {
    protocol: Protocol,
    side: Side,
    ending: Option<Verdict>,
    silent: bool,
}

enum Side {
    Imap(Box<Imap>),
    Pop3(Pop3),
    Smtp(Smtp),
}

/// What an octet leads to, where it leads to anything.
enum Outcome {
    /// With these words.
    Ends(String),
    /// The protocol is broken.
    Breaks(&'static str),
    Doubt,
}

type Seen = Option<Outcome>;

impl Reference {
    pub(super) fn new(protocol: Protocol) -> Self {
        let side = match protocol {
            Protocol::Imap => Side::Imap(Box::default()),
            Protocol::Pop3 => Side::Pop3(Pop3::default()),
            Protocol::Smtp => Side::Smtp(Smtp::default()),
        };
        Self { protocol, side, ending: None, silent: false }
    }

    pub(super) fn received(&mut self, octet: u8) {
        if self.silent || self.ending.is_some() {
            return;
        }
        let seen = match &mut self.side {
            Side::Imap(side) => side.received(octet),
            Side::Pop3(side) => side.received(octet),
            Side::Smtp(side) => side.received(octet),
        };
        match seen {
            None => {}
            Some(Outcome::Ends(line)) => {
                let own = classify(self.protocol, Phase::Disconnect, &[&line]);
                let refused = if has_reason(&own) { None } else { self.reason_of_refusal() };
                self.ending = Some(refused.unwrap_or(own));
            }
            Some(Outcome::Breaks(rule)) => {
                self.ending = Some(verdict(Cause::ProtocolViolation, Advice::Reconnect, rule));
            }
            Some(Outcome::Doubt) => self.silent = true,
        }
    }

    pub(super) fn sent(&mut self, octet: u8) {
        if self.silent || self.ending.is_some() {
            return;
        }
        let seen = match &mut self.side {
            Side::Imap(side) => side.sent(octet),
            Side::Pop3(side) => side.sent(octet),
            Side::Smtp(side) => side.sent(octet),
        };
        self.silent = seen.is_some();
    }

    pub(super) fn ending(&self) -> Option<&Verdict> {
        self.ending.as_ref()
    }

    pub(super) fn closed(&self) -> Verdict {
        if let Some(verdict) = &self.ending {
            return verdict.clone();
        }
        let closed = verdict(Cause::ConnectionLost, Advice::Reconnect, "closed");
        if self.silent {
            return closed;
        }
        let leaving = match &self.side {
            Side::Imap(side) => side.leaves(),
            // A QUIT without its answer leaves the deletions undone.
            Side::Pop3(side) => side.leaves() && side.deletions.is_empty(),
            Side::Smtp(side) => side.leaves(),
        };
        if leaving {
            return verdict(Cause::NoFault, Advice::Proceed, "logout");
        }
        self.reason_of_refusal().unwrap_or(closed)
    }

    fn reason_of_refusal(&self) -> Option<Verdict> {
        let refused = match &self.side {
            Side::Imap(side) => &side.refused,
            Side::Pop3(side) => &side.refused,
            Side::Smtp(side) => &side.refused,
        };
        refused.as_ref()?.reason(self.protocol)
    }

    pub(super) fn aftermath(&self) -> Aftermath {
        match &self.side {
            Side::Imap(side) => side.aftermath(),
            Side::Pop3(side) => {
                Aftermath::Pop3 { uncommitted_deletes: side.deletions.iter().copied().collect() }
            }
            Side::Smtp(_) if self.silent => Aftermath::Smtp { submission: Submission::Unknown },
            Side::Smtp(side) => Aftermath::Smtp { submission: side.submission() },
        }
    }

    pub(super) fn is_silent(&self) -> bool {
        self.silent
    }

    pub(super) fn is_quiet(&self) -> bool {
        if self.silent {
            return true;
        }
        match &self.side {
            Side::Imap(side) => {
                side.commands.iter().all(|command| command.idle == Some(Idle::Acknowledged))
                    && side.open.is_none()
                    && !side.client.continued
                    && side.client.line.is_empty()
                    && side.server.literal == 0
            }
            Side::Pop3(side) => {
                side.commands.is_empty() && side.body.is_none() && side.client.is_empty()
            }
            Side::Smtp(side) => {
                side.commands.is_empty() && !side.transaction && side.client.is_empty()
            }
        }
    }
}

fn verdict(cause: Cause, advice: Advice, rule: &'static str) -> Verdict {
    Verdict { cause, advice, certainty: Certainty::Inferred, rule, wait_ms: None, url: None }
}

fn violation(rule: &'static str) -> Seen {
    Some(Outcome::Breaks(rule))
}

fn ends(line: &str) -> Seen {
    Some(Outcome::Ends(line.to_owned()))
}

/// A refusal with nothing behind it that worked.
struct Refused {
    codes: String,
    /// The words that are the server's own, while nothing else was said.
    words: Option<String>,
    /// Microsoft's "authenticated but not connected".
    riddle: bool,
}

impl Refused {
    fn reason(&self, protocol: Protocol) -> Option<Verdict> {
        let codes = classify(protocol, Phase::Disconnect, &[&self.codes]);
        if self.riddle {
            return Some(codes);
        }
        if let Some(line) = &self.words {
            let spoken = classify(protocol, Phase::Disconnect, &[line]);
            if spoken.advice == Advice::BackOff
                && [
                    Cause::RateLimited,
                    Cause::TooManyConnections,
                    Cause::Unavailable,
                    Cause::MailboxLocked,
                ]
                .contains(&spoken.cause)
            {
                return Some(spoken);
            }
        }
        let heals = [Advice::BackOff, Advice::Reconnect, Advice::RefreshToken];
        (heals.contains(&codes.advice) && has_reason(&codes)).then_some(codes)
    }
}

fn has_reason(verdict: &Verdict) -> bool {
    ![Cause::NoFault, Cause::SessionEnded, Cause::ConnectionLost, Cause::Unrecognized]
        .contains(&verdict.cause)
}

fn says_that_it_is_over(protocol: Protocol, line: &str) -> bool {
    [Cause::IdleTimeout, Cause::Shutdown, Cause::SessionLimit, Cause::TokenExpired]
        .contains(&classify(protocol, Phase::Disconnect, &[line]).cause)
}

/// `[CODE` and its end, without what stands between.
fn code(text: &str) -> String {
    match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, _)) => format!("[{}]", inside.split(' ').next().unwrap_or_default()),
        None => String::new(),
    }
}

/// Without each word of letters that is one of these.
fn without(text: &str, words: &[String]) -> String {
    let mut kept = String::new();
    let mut word = String::new();
    for one in text.chars().map(Some).chain([None]) {
        match one {
            Some(letter) if letter.is_ascii_alphabetic() => word.push(letter),
            other => {
                if !words.contains(&word.to_ascii_lowercase()) {
                    kept.push_str(&word);
                }
                word.clear();
                kept.extend(other);
            }
        }
    }
    kept
}

/// A whole line without its end.
fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// As much of a line as is looked at.
fn start(line: &[u8]) -> &[u8] {
    &line[..line.len().min(WATCHED_LINE_OCTETS_MAX)]
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

// ---- IMAP --------------------------------------------------------------------------------------------------------

#[derive(Default)]
struct Imap {
    server: Half,
    client: Half,
    commands: VecDeque<Command>,
    open: Option<Command>,
    selected: Option<Mailbox>,
    idling: bool,
    left: bool,
    refused: Option<Refused>,
}

#[derive(Default)]
struct Half {
    line: Vec<u8>,
    literal: u64,
    continued: bool,
    /// The literal needs leave, and neither has that come nor an octet of it.
    asks: bool,
}

impl Half {
    /// A whole line, when this octet ends one.
    fn take(&mut self, octet: u8) -> Option<Vec<u8>> {
        self.line.push(octet);
        (octet == b'\n').then(|| content(&std::mem::take(&mut self.line)).to_vec())
    }
}

struct Command {
    tag: String,
    verb: String,
    shown: String,
    /// The octets of its literals; of SELECT and EXAMINE they are the mailbox's name.
    literal: Vec<u8>,
    mailbox: Mailbox,
    /// All that it says, where that is known.
    words: Option<Vec<String>>,
    replaces_by_uid: bool,
    /// Of IDLE: it is quiet from its `+` to its DONE.
    idle: Option<Idle>,
}

#[derive(Clone, Copy, PartialEq)]
enum Idle {
    Asked,
    Acknowledged,
    Ended,
}

impl Imap {
    fn received(&mut self, octet: u8) -> Seen {
        if self.server.literal > 0 {
            self.server.literal -= 1;
            return None;
        }
        let line = self.server.take(octet)?;
        let continued = std::mem::take(&mut self.server.continued);
        let first = start(&line);
        let is_data = if continued {
            true
        } else if let Some(rest) = first.strip_prefix(b"* ") {
            let word =
                rest.split(|octet| *octet == b' ').next().unwrap_or_default().to_ascii_uppercase();
            let after = &rest[(word.len() + 1).min(rest.len())..];
            if word == b"BYE" {
                self.left = self.leaves();
                return if self.left { None } else { ends(&text(first)) };
            }
            self.something_else_was_said();
            match word.as_slice() {
                b"OK" => {
                    self.code(after);
                    false
                }
                b"NO" | b"BAD" => {
                    if self.commands.is_empty() && self.open.is_none() {
                        let status = text(&rest[..word.len()]);
                        self.refused = Some(Refused::of_imap(&status, &text(after), Some(&[])));
                    }
                    false
                }
                b"PREAUTH" => false,
                _ => true,
            }
        } else {
            if !first.starts_with(b"+") {
                return self.tagged(first);
            }
            self.something_else_was_said();
            let is_leave = std::mem::take(&mut self.client.asks);
            if let Some(Command { idle: idle @ Some(Idle::Asked), .. }) = self.commands.back_mut()
                && !is_leave
            {
                *idle = Some(Idle::Acknowledged);
            }
            if self.commands.back().is_some_and(|command| command.verb == "AUTHENTICATE") {
                return Some(Outcome::Doubt);
            }
            false
        };
        match literal(&line) {
            Size::Octets(octets) if is_data => {
                self.server.literal = octets;
                self.server.continued = true;
                None
            }
            Size::Wrong if is_data => Some(Outcome::Doubt),
            Size::Octets(_) | Size::Wrong | Size::None => None,
        }
    }

    fn tagged(&mut self, line: &[u8]) -> Seen {
        let mut words = line.splitn(3, |octet| *octet == b' ');
        let (tag, status) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let rest = words.next().unwrap_or_default();
        let ok = status.eq_ignore_ascii_case(b"OK");
        let mut command = None;
        if let Some(at) = self.commands.iter().position(|one| one.tag.as_bytes() == tag) {
            command = self.commands.remove(at);
        } else if self.open.as_ref().is_some_and(|one| one.tag.as_bytes() == tag) {
            command = self.open.take();
            // RFC 7888 section 4: what needs no leave is written nevertheless.
            if self.client.asks {
                self.client = Half::default();
            }
        }
        let bad = status.eq_ignore_ascii_case(b"BAD");
        if ok {
            self.refused = None;
        } else if bad || status.eq_ignore_ascii_case(b"NO") {
            let known = match &command {
                None => Some([].as_slice()),
                Some(command) if command.sends_mail() && !bad => None,
                Some(command) => command.words.as_deref(),
            };
            let now = Refused::of_imap(&text(status), &text(rest), known);
            let before = self.refused.replace(now);
            let riddles =
                [&before, &self.refused].map(|one| one.as_ref().is_some_and(|one| one.riddle));
            if riddles == [true, true] {
                return ends(&text(line));
            }
        }
        let command = command?;
        match command.verb.as_str() {
            "SELECT" | "EXAMINE" => {
                let read_only = command.verb == "EXAMINE"
                    || rest.to_ascii_uppercase().starts_with(b"[READ-ONLY]");
                self.selected = ok.then_some(Mailbox { read_only, ..command.mailbox });
            }
            "CLOSE" | "UNSELECT" if ok => self.selected = None,
            "IDLE" => self.idling = false,
            "LOGOUT" => self.left |= ok,
            "COMPRESS" | "STARTTLS" | "UNAUTHENTICATE" if ok => return Some(Outcome::Doubt),
            _ => {}
        }
        None
    }

    fn something_else_was_said(&mut self) {
        if let Some(refused) = &mut self.refused {
            refused.words = None;
        }
    }

    fn leaves(&self) -> bool {
        self.left || self.commands.iter().any(|command| command.verb == "LOGOUT")
    }

    fn code(&mut self, status_text: &[u8]) {
        let select = self
            .commands
            .iter_mut()
            .rev()
            .find(|one| one.verb == "SELECT" || one.verb == "EXAMINE");
        let status_text = text(status_text);
        let (Some(command), Some(inside)) = (select, status_text.strip_prefix('[')) else { return };
        let inside = inside.split(']').next().unwrap_or_default();
        let (code, number) = inside.split_once(' ').unwrap_or((inside, ""));
        match code.to_ascii_uppercase().as_str() {
            "UIDVALIDITY" => command.mailbox.uid_validity = number.parse().ok(),
            "UIDNEXT" => command.mailbox.uid_next = number.parse().ok(),
            "HIGHESTMODSEQ" => command.mailbox.highest_mod_seq = number.parse().ok(),
            _ => {}
        }
    }

    fn sent(&mut self, octet: u8) -> Seen {
        self.client.asks = false;
        if self.client.literal > 0 {
            self.client.literal -= 1;
            if let Some(command) = &mut self.open
                && command.literal.len() < WATCHED_LINE_OCTETS_MAX
            {
                command.literal.push(octet);
            }
            return None;
        }
        let line = self.client.take(octet)?;
        if !self.client.continued {
            let first = text(start(&line));
            if self.idling && first.trim().eq_ignore_ascii_case("DONE") {
                self.idling = false;
                let mut commands = self.commands.iter_mut().rev();
                if let Some(command) = commands.find(|command| command.idle.is_some()) {
                    command.idle = Some(Idle::Ended);
                }
            } else {
                self.open = Some(Command::new(&first, start(&line).len()));
            }
        }
        let sized = line.strip_suffix(b"+}").map(|sized| [sized, b"}"].concat());
        self.client.continued = false;
        if let Size::Octets(octets) = literal(sized.as_deref().unwrap_or(&line)) {
            if let Some(command) = self.open.as_mut().filter(|command| !command.sends_mail()) {
                command.words = None;
            }
            let asks = sized.is_none();
            // Nobody gives leave for more of what was refused.
            if self.open.is_some() || !asks {
                self.client = Half { literal: octets, continued: true, asks, line: Vec::new() };
            }
            return None;
        }
        let mut command = self.open.take()?;
        if matches!(command.verb.as_str(), "SELECT" | "EXAMINE") {
            command.mailbox.name.push_str(&text(&command.literal));
        }
        self.idling |= command.verb == "IDLE";
        self.commands.push_back(command);
        (self.commands.len() > PIPELINE_MAX).then_some(Outcome::Doubt)
    }

    fn aftermath(&self) -> Aftermath {
        let in_flight = self.commands.iter().chain(&self.open);
        Aftermath::Imap {
            selected: self.selected.clone(),
            idling: self.idling,
            unanswered: in_flight
                .map(|command| format!("{} {}", command.tag, command.shown))
                .collect(),
        }
    }
}

impl Command {
    fn new(line: &str, octets: usize) -> Self {
        let mut words = line.splitn(3, ' ');
        let tag = words.next().unwrap_or_default().chars().take(64).collect();
        let verb = words.next().unwrap_or_default().trim().to_ascii_uppercase();
        let arguments = words.next().unwrap_or_default();
        let mut shown = verb.clone();
        if verb == "UID" {
            shown = format!(
                "UID {}",
                arguments.split(' ').next().unwrap_or_default().to_ascii_uppercase()
            );
        }
        shown.retain(|one| one.is_ascii_alphabetic() || one == ' ');
        shown.truncate(24);
        let mailbox = Mailbox { name: name(arguments.trim_start()), ..Mailbox::default() };
        let foreign = !arguments.is_ascii() || arguments.contains('&');
        let words: Vec<String> = arguments
            .to_ascii_lowercase()
            .split(|one: char| !one.is_ascii_alphabetic())
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        let unknown = foreign
            || words.len() > REPEATED_WORDS_MAX
            || arguments.starts_with('{')
            || ["LOGIN", "AUTHENTICATE"].contains(&verb.as_str())
            || octets >= WATCHED_LINE_OCTETS_MAX;
        let words = (!unknown).then_some(words);
        let replaces_by_uid = shown == "UID REPLACE";
        let idle = (verb == "IDLE").then_some(Idle::Asked);
        Self { tag, verb, shown, literal: Vec::new(), mailbox, words, replaces_by_uid, idle }
    }

    fn sends_mail(&self) -> bool {
        self.verb == "APPEND" || self.verb == "REPLACE" || self.replaces_by_uid
    }
}

impl Refused {
    /// `known`: what the client said, where that is known.
    fn of_imap(status: &str, said: &str, known: Option<&[String]>) -> Self {
        let plain = said.trim().trim_end_matches('.').to_ascii_lowercase();
        if status.eq_ignore_ascii_case("BAD") && plain == "user is authenticated but not connected"
        {
            return Self { codes: format!("{status} {said}"), words: None, riddle: true };
        }
        let behind = said.starts_with('[').then(|| said.find(']')).flatten().map_or(0, |at| at + 1);
        let (bracket, rest) = said.split_at(behind);
        let words = known.map(|words| format!("{status} {bracket}{}", without(rest, words)));
        Self { codes: format!("{status} {}", code(said)), words, riddle: false }
    }
}

fn name(arguments: &str) -> String {
    if arguments.starts_with('{') {
        return String::new();
    }
    if !arguments.starts_with('"') {
        return arguments.split([' ', '\r']).next().unwrap_or_default().to_owned();
    }
    let mut name = String::new();
    let mut escaped = false;
    for one in arguments.chars().skip(1) {
        match one {
            '"' if !escaped => break,
            '\\' if !escaped => escaped = true,
            other => {
                name.push(other);
                escaped = false;
            }
        }
    }
    name
}

enum Size {
    None,
    Wrong,
    Octets(u64),
}

/// `{n}` at the end of a whole line.
fn literal(line: &[u8]) -> Size {
    // Of a line that is too long to be looked at whole, only as much as the greatest size takes is looked at.
    let line = if line.len() > WATCHED_LINE_OCTETS_MAX { &line[line.len() - 24..] } else { line };
    let Some(line) = line.strip_suffix(b"}") else { return Size::None };
    let Some(open) = line.iter().rposition(|octet| *octet == b'{') else { return Size::None };
    let inside = &line[open + 1..];
    if !inside.iter().any(u8::is_ascii_digit)
        || inside.iter().any(|octet| !b"0123456789+-".contains(octet))
    {
        return Size::None;
    }
    if inside.iter().any(|octet| b"+-".contains(octet)) {
        return Size::Wrong;
    }
    text(inside).parse().map_or(Size::Wrong, Size::Octets)
}

// ---- POP3 --------------------------------------------------------------------------------------------------------

#[derive(Default)]
struct Pop3 {
    server: Vec<u8>,
    client: Vec<u8>,
    /// What was asked, as it was written.
    commands: VecDeque<String>,
    body: Option<Body>,
    deletions: BTreeSet<u32>,
    worked: bool,
    left: bool,
    refused: Option<Refused>,
}

/// The last octets of message content: it ends in a line with nothing but a dot.
struct Body(Vec<u8>);

impl Body {
    fn new() -> Self {
        Self(b"\r\n".to_vec())
    }

    /// True when this octet is its last.
    fn take(&mut self, octet: u8) -> bool {
        self.0.push(octet);
        self.0.ends_with(b"\r\n.\r\n")
    }
}

fn take_line(kept: &mut Vec<u8>, octet: u8) -> Option<String> {
    kept.push(octet);
    (octet == b'\n').then(|| text(start(content(&std::mem::take(kept)))))
}

impl Pop3 {
    fn received(&mut self, octet: u8) -> Seen {
        if let Some(body) = &mut self.body {
            if body.take(octet) {
                self.body = None;
            }
            return None;
        }
        let line = take_line(&mut self.server, octet)?;
        let (ok, err) = (line.starts_with("+OK"), line.starts_with("-ERR"));
        if !ok && !err {
            let unknown = self.commands.front().is_some_and(|command| goes_on(command).is_none());
            return match (line.starts_with("* BYE"), unknown) {
                (true, _) => ends(&line),
                (false, true) => Some(Outcome::Doubt),
                (false, false) => violation("not-a-reply"),
            };
        }
        let Some(command) = self.commands.pop_front() else {
            return if ok { violation("unasked-reply") } else { ends(&line) };
        };
        let words: Vec<&str> = command.split_ascii_whitespace().collect();
        let verb = words.first().copied().unwrap_or_default().to_ascii_uppercase();
        if err {
            return self.refused(&command, &verb, words.get(1), &line);
        }
        self.refused = None;
        self.worked |= is_of_mailbox(&verb);
        match goes_on(&command) {
            Some(true) => self.body = Some(Body::new()),
            Some(false) => {}
            None => return Some(Outcome::Doubt),
        }
        if verb == "RSET" || verb == "QUIT" {
            self.deletions.clear();
        }
        self.left |= verb == "QUIT";
        None
    }

    fn leaves(&self) -> bool {
        let quits = |command: &String| {
            command
                .split_ascii_whitespace()
                .next()
                .is_some_and(|verb| verb.eq_ignore_ascii_case("QUIT"))
        };
        self.left || self.commands.iter().any(quits)
    }

    fn refused(&mut self, command: &str, verb: &str, argument: Option<&&str>, line: &str) -> Seen {
        if verb == "DELE"
            && let Some(number) = argument.and_then(|argument| argument.parse().ok())
        {
            self.deletions.remove(&number);
        }
        if ["NOOP", "STAT", "RSET"].contains(&verb) && says_that_it_is_over(Protocol::Pop3, line) {
            return ends(line);
        }
        let codes = format!("-ERR {}", code(line["-ERR".len()..].trim_start()));
        if !self.worked && is_of_mailbox(verb) && codes.eq_ignore_ascii_case("-ERR [SYS/PERM]") {
            return ends(&codes);
        }
        let words = goes_on(command).map(|_| line.to_owned());
        self.refused = Some(Refused { codes, words, riddle: false });
        None
    }

    fn sent(&mut self, octet: u8) -> Seen {
        let line = take_line(&mut self.client, octet)?;
        let words: Vec<String> =
            line.split_ascii_whitespace().map(str::to_ascii_uppercase).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let ["DELE", number, ..] = words.as_slice() {
            self.deletions.extend(number.parse::<u32>().ok());
        }
        self.commands.push_back(line);
        (self.commands.len() > PIPELINE_MAX || self.deletions.len() > DELETIONS_MAX)
            .then_some(Outcome::Doubt)
    }
}

/// Whether the positive reply has more lines; `None` where that is not known.
fn goes_on(command: &str) -> Option<bool> {
    let words: Vec<String> =
        command.split_ascii_whitespace().map(str::to_ascii_uppercase).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["LIST" | "UIDL" | "LANG"] | ["RETR" | "TOP" | "CAPA", ..] => Some(true),
        ["LIST" | "UIDL" | "LANG" | "STAT" | "NOOP" | "DELE" | "RSET" | "QUIT" | "UTF8", ..] => {
            Some(false)
        }
        _ => None,
    }
}

fn is_of_mailbox(verb: &str) -> bool {
    ["STAT", "LIST", "UIDL", "RETR", "TOP", "DELE", "NOOP"].contains(&verb)
}

// ---- SMTP --------------------------------------------------------------------------------------------------------

#[derive(Default)]
struct Smtp {
    server: Vec<u8>,
    client: Vec<u8>,
    commands: VecDeque<Asked>,
    text: Option<Body>,
    /// Octets of a chunk that are still to be written.
    chunk: u64,
    transaction: bool,
    /// The code of the lines of a reply so far.
    code: Option<String>,
    left: bool,
    refused: Option<Refused>,
}

#[derive(Clone, Copy, PartialEq)]
enum Asked {
    Mail,
    Recipient,
    Data,
    Chunk {
        last: bool,
    },
    /// The message, whole.
    Message,
    Noop,
    Reset,
    Hello,
    Quit,
    /// The sides or the stream change.
    Turn,
    Other,
}

impl Smtp {
    fn received(&mut self, octet: u8) -> Seen {
        let line = take_line(&mut self.server, octet)?;
        let code = line.get(..3).filter(|code| code.bytes().all(|digit| digit.is_ascii_digit()));
        let Some(code) = code else { return violation("not-a-reply") };
        if code == "421" {
            // RFC 5321 section 4.2.5: it stands in place of every reply that is awaited.
            self.left = self.leaves();
            self.commands.clear();
            return if self.left { None } else { ends(&line) };
        }
        if self.code.as_ref().is_some_and(|first| first != code) {
            return violation("mixed-codes");
        }
        if line.as_bytes().get(3) == Some(&b'-') {
            self.code = Some(code.to_owned());
            return None;
        }
        self.code = None;
        self.reply(code, &line)
    }

    fn reply(&mut self, code: &str, line: &str) -> Seen {
        let asked = self.commands.pop_front();
        let refused = code.starts_with(['4', '5']);
        if !refused {
            self.refused = None;
        } else if let Some(seen) = self.refusal(asked, code, line) {
            return Some(seen);
        }
        match asked {
            None => return violation("unasked-reply"),
            Some(Asked::Data) if code == "354" => self.text = Some(Body::new()),
            Some(Asked::Turn) if !refused => return Some(Outcome::Doubt),
            Some(Asked::Quit) => self.left |= !refused,
            Some(Asked::Mail) if !refused => {}
            Some(Asked::Mail | Asked::Message | Asked::Reset | Asked::Hello) => {
                self.transaction = self.commands.contains(&Asked::Mail);
            }
            Some(_) => {}
        }
        None
    }

    fn leaves(&self) -> bool {
        self.left || self.commands.contains(&Asked::Quit)
    }

    fn refusal(&mut self, asked: Option<Asked>, code: &str, line: &str) -> Seen {
        let plain = matches!(asked, Some(Asked::Noop | Asked::Reset));
        if asked.is_none() || plain && says_that_it_is_over(Protocol::Smtp, line) {
            return ends(line);
        }
        let codes = server_own(line);
        if code == "530" {
            return ends(codes);
        }
        let speaks = plain || matches!(asked, Some(Asked::Hello | Asked::Quit | Asked::Turn));
        let of_mail = match codes.get(4..).filter(|enhanced| !enhanced.is_empty()) {
            Some(enhanced) => !["0", "3", "4", "7"].contains(&enhanced.get(2..3).unwrap_or("")),
            None => ["450", "452"].contains(&code) || code.starts_with("55"),
        };
        let words = speaks.then(|| line.to_owned());
        let refused = Refused { codes: codes.to_owned(), words, riddle: false };
        self.refused = (speaks || !of_mail).then_some(refused);
        None
    }

    fn sent(&mut self, octet: u8) -> Seen {
        if let Some(body) = &mut self.text {
            if body.take(octet) {
                self.text = None;
                self.commands.push_back(Asked::Message);
            }
            return None;
        }
        if self.chunk > 0 {
            self.chunk -= 1;
            self.chunk_ends();
            return None;
        }
        let line = take_line(&mut self.client, octet)?;
        let words: Vec<String> =
            line.split_ascii_whitespace().map(str::to_ascii_uppercase).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let asked = match words.as_slice() {
            ["MAIL", ..] => Asked::Mail,
            ["RCPT", ..] => Asked::Recipient,
            ["DATA", ..] => Asked::Data,
            ["BDAT", ..] => Asked::Chunk { last: words.get(2) == Some(&"LAST") },
            ["NOOP", ..] => Asked::Noop,
            ["RSET", ..] => Asked::Reset,
            ["EHLO" | "HELO", ..] => Asked::Hello,
            ["QUIT", ..] => Asked::Quit,
            ["STARTTLS" | "TURN" | "ATRN", ..] => Asked::Turn,
            _ => Asked::Other,
        };
        self.transaction |= asked == Asked::Mail;
        self.commands.push_back(asked);
        if matches!(asked, Asked::Chunk { .. }) {
            self.chunk = words.get(1).and_then(|size| size.parse().ok()).unwrap_or(0);
            self.chunk_ends();
        }
        (self.commands.len() > PIPELINE_MAX).then_some(Outcome::Doubt)
    }

    /// RFC 3030 section 2: with the last octet of the last chunk the whole message is written.
    fn chunk_ends(&mut self) {
        if self.chunk == 0
            && let Some(asked @ Asked::Chunk { last: true }) = self.commands.back_mut()
        {
            *asked = Asked::Message;
        }
    }

    fn submission(&self) -> Submission {
        if self.commands.contains(&Asked::Message) {
            Submission::Unknown
        } else if self.transaction {
            Submission::NotAccepted
        } else {
            Submission::Idle
        }
    }
}

/// The codes of a reply, without what it quotes of others.
fn server_own(line: &str) -> &str {
    let enhanced = line.get(4..).unwrap_or_default().split(' ').next().unwrap_or_default();
    let is_code =
        enhanced.contains('.') && enhanced.bytes().all(|one| one.is_ascii_digit() || one == b'.');
    if is_code { &line[..4 + enhanced.len()] } else { &line[..3] }
}
