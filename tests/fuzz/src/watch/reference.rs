//! What a watch must see, written again without any thought of speed: one octet at a time, whole lines, whole bodies.
//! It shares `classify` with the core, and nothing else.

use std::collections::{BTreeSet, VecDeque};

use mailbearer::limits::{DELETIONS_MAX, PIPELINE_MAX, WATCHED_LINE_OCTETS_MAX};
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
    Imap(Imap),
    Pop3(Pop3),
    Smtp(Smtp),
}

/// What an octet leads to, where it leads to anything.
enum Outcome {
    Ends(Verdict),
    Doubt,
}

type Seen = Option<Outcome>;

impl Reference {
    pub(super) fn new(protocol: Protocol) -> Self {
        let side = match protocol {
            Protocol::Imap => Side::Imap(Imap::default()),
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
            Some(Outcome::Ends(verdict)) => self.ending = Some(verdict),
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
        let (leaving, fault) = match &self.side {
            Side::Imap(side) => (side.logout, None),
            // A QUIT without its answer leaves the deletions undone.
            Side::Pop3(side) => (side.quit && side.deletions.is_empty(), side.fault.clone()),
            Side::Smtp(side) => (side.quit, side.fault.clone()),
        };
        match (leaving, fault) {
            (true, _) => verdict(Cause::NoFault, Advice::Proceed, "logout"),
            (false, Some(line)) => classify(self.protocol, Phase::Disconnect, &[&line]),
            (false, None) => verdict(Cause::ConnectionLost, Advice::Reconnect, "closed"),
        }
    }

    pub(super) fn aftermath(&self) -> Aftermath {
        match &self.side {
            Side::Imap(side) => side.aftermath(),
            Side::Pop3(side) => {
                Aftermath::Pop3 { uncommitted_deletes: side.deletions.iter().copied().collect() }
            }
            Side::Smtp(side) => Aftermath::Smtp { submission: side.submission() },
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        match &self.side {
            Side::Imap(side) => {
                side.commands.iter().all(|command| command.verb == "IDLE")
                    && side.open.is_none()
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
    Some(Outcome::Ends(verdict(Cause::ProtocolViolation, Advice::Reconnect, rule)))
}

fn ends(protocol: Protocol, lines: &[&str]) -> Seen {
    Some(Outcome::Ends(classify(protocol, Phase::Disconnect, lines)))
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
    logout: bool,
    not_connected: Option<String>,
}

#[derive(Default)]
struct Half {
    line: Vec<u8>,
    literal: u64,
    continued: bool,
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
            match word.as_slice() {
                b"BYE" if self.logout => false,
                b"BYE" => {
                    let before = self.not_connected.as_deref();
                    let first = text(first);
                    let lines: Vec<&str> = before.into_iter().chain([first.as_str()]).collect();
                    return ends(Protocol::Imap, &lines);
                }
                b"OK" => {
                    self.code(&rest[(word.len() + 1).min(rest.len())..]);
                    false
                }
                b"NO" | b"BAD" | b"PREAUTH" => false,
                _ => true,
            }
        } else {
            if !first.starts_with(b"+") {
                return self.tagged(first);
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
        let rest = words.next().unwrap_or_default().to_ascii_uppercase();
        let ok = status.eq_ignore_ascii_case(b"OK");
        let mut command = None;
        if let Some(at) = self.commands.iter().position(|one| one.tag.as_bytes() == tag) {
            command = self.commands.remove(at);
        } else if self.open.as_ref().is_some_and(|one| one.tag.as_bytes() == tag) {
            command = self.open.take();
            self.client = Half::default();
        }
        if !ok && text(line).contains("authenticated but not connected") {
            let before = self.not_connected.replace(text(line));
            if before.is_some() {
                return ends(Protocol::Imap, &[&text(line)]);
            }
        }
        let command = command?;
        match command.verb.as_str() {
            "SELECT" | "EXAMINE" => {
                let read_only = command.verb == "EXAMINE" || rest.starts_with(b"[READ-ONLY]");
                self.selected = ok.then_some(Mailbox { read_only, ..command.mailbox });
            }
            "CLOSE" | "UNSELECT" if ok => self.selected = None,
            "IDLE" => self.idling = false,
            _ => {}
        }
        None
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
            } else {
                self.open = Some(Command::new(&first));
            }
        }
        let sized = line.strip_suffix(b"+}").map(|sized| [sized, b"}"].concat());
        self.client.continued = false;
        if let Size::Octets(octets) = literal(sized.as_deref().unwrap_or(&line)) {
            self.client.literal = octets;
            self.client.continued = true;
            return None;
        }
        let mut command = self.open.take()?;
        if matches!(command.verb.as_str(), "SELECT" | "EXAMINE") {
            command.mailbox.name.push_str(&text(&command.literal));
        }
        self.idling |= command.verb == "IDLE";
        self.logout |= command.verb == "LOGOUT";
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
    fn new(line: &str) -> Self {
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
        Self { tag, verb, shown, literal: Vec::new(), mailbox }
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
    quit: bool,
    fault: Option<String>,
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
            return if line.starts_with("* BYE") {
                ends(Protocol::Pop3, &[&line])
            } else {
                violation("not-a-reply")
            };
        }
        let Some(command) = self.commands.pop_front() else {
            return if ok { violation("unasked-reply") } else { ends(Protocol::Pop3, &[&line]) };
        };
        let words: Vec<&str> = command.split_ascii_whitespace().collect();
        let verb = words.first().copied().unwrap_or_default().to_ascii_uppercase();
        if err {
            return self.refused(&verb, words.get(1), &line);
        }
        self.fault = None;
        self.worked = true;
        match verb.as_str() {
            "RETR" | "TOP" | "CAPA" => self.body = Some(Body::new()),
            "LIST" | "UIDL" | "AUTH" if words.len() == 1 => self.body = Some(Body::new()),
            "RSET" | "QUIT" => self.deletions.clear(),
            _ => {}
        }
        None
    }

    fn refused(&mut self, verb: &str, argument: Option<&&str>, line: &str) -> Seen {
        self.fault = Some(line.to_owned());
        if verb == "DELE"
            && let Some(number) = argument.and_then(|argument| argument.parse().ok())
        {
            self.deletions.remove(&number);
        }
        let verdict = classify(Protocol::Pop3, Phase::MidSession, &[line]);
        let ends = match verdict.cause {
            Cause::IdleTimeout | Cause::Shutdown | Cause::SessionLimit | Cause::TokenExpired => {
                true
            }
            Cause::ProtocolDisabled => !self.worked,
            _ => false,
        };
        ends.then_some(Outcome::Ends(verdict))
    }

    fn sent(&mut self, octet: u8) -> Seen {
        let line = take_line(&mut self.client, octet)?;
        let words: Vec<String> =
            line.split_ascii_whitespace().map(str::to_ascii_uppercase).collect();
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["DELE", number, ..] => self.deletions.extend(number.parse::<u32>().ok()),
            ["QUIT", ..] => self.quit = true,
            _ => {}
        }
        self.commands.push_back(line);
        (self.commands.len() > PIPELINE_MAX || self.deletions.len() > DELETIONS_MAX)
            .then_some(Outcome::Doubt)
    }
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
    quit: bool,
    fault: Option<String>,
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
    Reset,
    Quit,
    Other,
}

impl Smtp {
    fn received(&mut self, octet: u8) -> Seen {
        let line = take_line(&mut self.server, octet)?;
        let code = line.get(..3).filter(|code| code.bytes().all(|digit| digit.is_ascii_digit()));
        let Some(code) = code else { return violation("not-a-reply") };
        if code == "421" {
            // RFC 5321 section 4.2.5: it stands in place of every reply that is awaited.
            self.commands.clear();
            return if self.quit { None } else { ends(Protocol::Smtp, &[&line]) };
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
        self.fault = refused.then(|| line.to_owned());
        if refused {
            let seen = self.refused(asked, line);
            if seen.is_some() {
                return seen;
            }
        }
        match asked {
            None => return violation("unasked-reply"),
            Some(Asked::Data) if code == "354" => self.text = Some(Body::new()),
            Some(Asked::Mail) if !refused => {}
            Some(Asked::Mail | Asked::Message | Asked::Reset) => {
                self.transaction = self.commands.contains(&Asked::Mail);
            }
            Some(_) => {}
        }
        None
    }

    fn refused(&self, asked: Option<Asked>, line: &str) -> Seen {
        let quoted = matches!(
            asked,
            Some(Asked::Recipient | Asked::Data | Asked::Chunk { .. } | Asked::Message)
        );
        let line = if quoted { server_own(line) } else { line };
        let words = line.to_ascii_lowercase();
        let farewells = ["closing connection", "closing transmission", "disconnecting", "goodbye"];
        if asked.is_none() || farewells.iter().any(|farewell| words.contains(farewell)) {
            return ends(Protocol::Smtp, &[line]);
        }
        let verdict = classify(Protocol::Smtp, Phase::MidSession, &[line]);
        let ends = matches!(
            verdict.cause,
            Cause::IdleTimeout | Cause::SessionEnded | Cause::SessionLimit | Cause::TokenExpired
        );
        ends.then_some(Outcome::Ends(verdict))
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
            ["RSET" | "EHLO" | "HELO", ..] => Asked::Reset,
            ["QUIT", ..] => Asked::Quit,
            _ => Asked::Other,
        };
        self.transaction |= asked == Asked::Mail;
        self.quit |= asked == Asked::Quit;
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
