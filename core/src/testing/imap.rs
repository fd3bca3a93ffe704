//! IMAP (RFC 9051), as much of it as mail libraries use to select, fetch, flag, append and idle.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::connection::{Connection, Exchange, say};
use super::mailbox::{Message, UID_VALIDITY};
use super::{Output, Server, Stage, Then};

impl Connection {
    pub(super) fn imap(
        &mut self,
        server: &mut Server,
        now_ms: u64,
        line: &str,
        raw: &[u8],
    ) -> Output {
        let (tag, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (name, arguments) = rest.split_once(' ').unwrap_or((rest, ""));
        let name = name.trim().to_ascii_uppercase();
        if tag.is_empty() || name.is_empty() {
            return say("* BAD [CLIENTBUG] Invalid tag");
        }
        server.note(now_ms, self, &name);
        let logged_in = self.user().is_some();
        match name.as_str() {
            "CAPABILITY" => {
                let list = server.config.flavour.imap_capabilities(self.is_secure(), logged_in);
                let reply = say(&format!("* CAPABILITY {list}\r\n{tag} OK Thats all she wrote!"));
                self.or_fault(server, Stage::Capabilities, reply)
            }
            "NOOP" | "CHECK" => self.done(server, tag, ""),
            "LOGOUT" => Output {
                next: Then::Close,
                ..say(&format!("* BYE LOGOUT Requested\r\n{tag} OK done"))
            },
            "ID" => say(&format!("* ID (\"name\" \"mailbearer\")\r\n{tag} OK done")),
            "STARTTLS" if !self.is_secure() => {
                self.upgrade(server, &format!("{tag} OK Begin TLS negotiation now."))
            }
            "AUTHENTICATE" if !logged_in => {
                let mut words = arguments.split_ascii_whitespace();
                let mechanism = words.next().unwrap_or_default();
                let begun = self.begin_login(server, now_ms, tag, mechanism, words.next());
                begun.unwrap_or_else(|| {
                    say(&format!("{tag} NO Unsupported authentication mechanism."))
                })
            }
            _ if logged_in => self.imap_session(server, tag, &name, arguments, raw),
            _ => say(&format!("{tag} BAD Unknown command")),
        }
    }

    fn imap_session(
        &mut self,
        server: &mut Server,
        tag: &str,
        name: &str,
        arguments: &str,
        raw: &[u8],
    ) -> Output {
        match name {
            "NAMESPACE" => self.done(server, tag, "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n"),
            "ENABLE" => self.done(server, tag, "* ENABLED\r\n"),
            "LIST" | "LSUB" | "XLIST" => {
                self.done(server, tag, &format!("* {name} (\\HasNoChildren) \"/\" \"INBOX\"\r\n"))
            }
            "SELECT" | "EXAMINE" => self.select(server, tag, name, arguments),
            "STATUS" => {
                let mailbox = self.inbox(server);
                let (count, uid_next) = (mailbox.messages.len(), mailbox.uid_next);
                let status = format!(
                    "* STATUS \"INBOX\" (MESSAGES {count} UIDNEXT {uid_next} UIDVALIDITY {UID_VALIDITY} UNSEEN 0)\r\n"
                );
                self.done(server, tag, &status)
            }
            "APPEND" => {
                let at = memchr::memmem::find(raw, b"}\r\n")
                    .map_or(raw.len(), |at| at.saturating_add(3));
                let content = raw.get(at..).unwrap_or_default().to_vec();
                self.inbox(server).deliver(&content);
                self.done(server, tag, "")
            }
            "IDLE" => {
                self.expect(Exchange::Idle { tag: tag.to_string() });
                let mut output = say("+ idling");
                output.send.extend(self.imap_news(server));
                output
            }
            _ if self.selected => self.imap_selected(server, tag, name, arguments),
            _ => say(&format!("{tag} BAD Unknown command, or no mailbox is selected")),
        }
    }

    fn imap_selected(
        &mut self,
        server: &mut Server,
        tag: &str,
        name: &str,
        arguments: &str,
    ) -> Output {
        match name {
            "CLOSE" | "UNSELECT" => {
                self.selected = false;
                say(&format!("{tag} OK done"))
            }
            "EXPUNGE" => {
                let gone = self.expunge(server);
                self.done(server, tag, &gone)
            }
            "FETCH" | "SEARCH" | "STORE" => self.messages(server, tag, name, arguments, false),
            "UID" => {
                let (verb, rest) = arguments.split_once(' ').unwrap_or((arguments, ""));
                self.messages(server, tag, &verb.to_ascii_uppercase(), rest, true)
            }
            _ => say(&format!("{tag} BAD Unknown command")),
        }
    }

    fn messages(
        &mut self,
        server: &mut Server,
        tag: &str,
        verb: &str,
        arguments: &str,
        by_uid: bool,
    ) -> Output {
        let (set, items) = arguments.split_once(' ').unwrap_or((arguments, ""));
        match verb {
            "SEARCH" => {
                let unseen = arguments.to_ascii_uppercase().contains("UNSEEN");
                let messages = &self.inbox(server).messages.clone();
                let found = self.numbered(messages).filter(|(_, message)| !unseen || !message.seen);
                let list: String = found
                    .map(
                        |(at, message)| {
                            if by_uid { format!(" {}", message.uid) } else { format!(" {at}") }
                        },
                    )
                    .collect();
                self.done(server, tag, &format!("* SEARCH{list}\r\n"))
            }
            "FETCH" => {
                let messages = self.chosen(server, set, by_uid);
                let mut output = Output { send: Vec::new(), next: Then::Read };
                for (at, message) in &messages {
                    output.send.extend(fetched(*at, message, items, by_uid));
                    if items.to_ascii_uppercase().contains("BODY[") {
                        self.flag(server, message.uid, |message| message.seen = true);
                    }
                }
                output.send.extend(format!("{tag} OK Success\r\n").into_bytes());
                output
            }
            "STORE" => {
                let messages = self.chosen(server, set, by_uid);
                let upper = items.to_ascii_uppercase();
                let adds = !upper.trim_start().starts_with('-');
                let mut text = String::new();
                for (at, message) in &messages {
                    self.flag(server, message.uid, |message| {
                        message.deleted =
                            if upper.contains("\\DELETED") { adds } else { message.deleted };
                        message.seen = if upper.contains("\\SEEN") { adds } else { message.seen };
                    });
                    let now = self.chosen(server, &message.uid.to_string(), true);
                    let flags = now.first().map(|(_, message)| flags(message)).unwrap_or_default();
                    if !upper.contains(".SILENT") {
                        text.push_str(&format!(
                            "* {at} FETCH (UID {} FLAGS ({flags}))\r\n",
                            message.uid
                        ));
                    }
                }
                self.done(server, tag, &text)
            }
            "EXPUNGE" => {
                let gone = self.expunge(server);
                self.done(server, tag, &gone)
            }
            _ => say(&format!("{tag} BAD Unknown command")),
        }
    }

    fn select(&mut self, server: &mut Server, tag: &str, name: &str, arguments: &str) -> Output {
        let wanted = arguments.trim().trim_matches('"');
        if !wanted.to_ascii_uppercase().starts_with("INBOX") {
            self.selected = false;
            return say(&format!("{tag} NO [NONEXISTENT] Unknown Mailbox: (Failure)"));
        }
        let mailbox = self.inbox(server);
        let uid_next = mailbox.uid_next;
        let uids: Vec<u32> = mailbox.messages.iter().map(|message| message.uid).collect();
        let count = uids.len();
        self.view = uids;
        self.selected = true;
        let mode = if name == "SELECT" { "READ-WRITE" } else { "READ-ONLY" };
        say(&format!(
            "* FLAGS (\\Answered \\Flagged \\Draft \\Deleted \\Seen)\r\n\
             * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Draft \\Deleted \\Seen \\*)] Flags permitted.\r\n\
             * OK [UIDVALIDITY {UID_VALIDITY}] UIDs valid.\r\n* {count} EXISTS\r\n* 0 RECENT\r\n\
             * OK [UIDNEXT {uid_next}] Predicted next UID.\r\n{tag} OK [{mode}] INBOX selected. (Success)"
        ))
    }

    /// A completion, with what is new before it.
    fn done(&mut self, server: &mut Server, tag: &str, untagged: &str) -> Output {
        let mut send = untagged.as_bytes().to_vec();
        if self.selected {
            send.extend(self.imap_news(server));
        }
        send.extend(format!("{tag} OK Success\r\n").into_bytes());
        Output { send, next: Then::Read }
    }

    /// EXISTS, where messages came.
    pub(super) fn imap_news(&mut self, server: &mut Server) -> Vec<u8> {
        if !self.selected {
            return Vec::new();
        }
        let known = self.view.clone();
        let new: Vec<u32> = self
            .inbox(server)
            .messages
            .iter()
            .map(|message| message.uid)
            .filter(|uid| !known.contains(uid))
            .collect();
        if new.is_empty() {
            return Vec::new();
        }
        self.view.extend(new);
        format!("* {} EXISTS\r\n", self.view.len()).into_bytes()
    }

    pub(super) fn idle_line(&mut self, tag: &str, line: &[u8]) -> Output {
        if line.eq_ignore_ascii_case(b"DONE") {
            return say(&format!("{tag} OK IDLE terminated (Success)"));
        }
        say(&format!("{tag} BAD Expected DONE"))
    }

    fn expunge(&mut self, server: &mut Server) -> String {
        let uids: Vec<u32> = self
            .inbox(server)
            .messages
            .iter()
            .filter(|message| message.deleted)
            .map(|message| message.uid)
            .collect();
        self.inbox(server).remove(&uids);
        let mut text = String::new();
        for uid in uids {
            if let Some(at) = self.view.iter().position(|one| *one == uid) {
                self.view.remove(at);
                text.push_str(&format!("* {} EXPUNGE\r\n", at.saturating_add(1)));
            }
        }
        text
    }

    fn inbox<'a>(&self, server: &'a mut Server) -> &'a mut super::mailbox::Mailbox {
        let user = self.user().unwrap_or_default().to_string();
        server.mailbox(&user)
    }

    fn flag(&self, server: &mut Server, uid: u32, change: impl FnOnce(&mut Message)) {
        if let Some(message) =
            self.inbox(server).messages.iter_mut().find(|message| message.uid == uid)
        {
            change(message);
        }
    }

    fn numbered<'a>(
        &'a self,
        messages: &'a [Message],
    ) -> impl Iterator<Item = (usize, &'a Message)> {
        let find = |uid: u32| messages.iter().find(move |message| message.uid == uid);
        self.view
            .iter()
            .enumerate()
            .filter_map(move |(index, uid)| Some((index.saturating_add(1), find(*uid)?)))
    }

    fn chosen(&self, server: &mut Server, set: &str, by_uid: bool) -> Vec<(usize, Message)> {
        let messages = self.inbox(server).messages.clone();
        let last = if by_uid {
            messages.last().map_or(0, |message| message.uid as usize)
        } else {
            self.view.len()
        };
        let is_in = |at: usize, message: &Message| {
            contains(set, if by_uid { message.uid as usize } else { at }, last)
        };
        self.numbered(&messages)
            .filter(|(at, message)| is_in(*at, message))
            .map(|(at, one)| (at, one.clone()))
            .collect()
    }
}

/// RFC 9051 section 9, `sequence-set`.
fn contains(set: &str, number: usize, last: usize) -> bool {
    let value = |text: &str| if text == "*" { Some(last) } else { text.parse().ok() };
    set.split(',').any(|range| {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        match (value(from), value(to)) {
            (Some(from), Some(to)) => (from.min(to)..=from.max(to)).contains(&number),
            (_, _) => false,
        }
    })
}

fn flags(message: &Message) -> String {
    let names = [(message.seen, "\\Seen"), (message.deleted, "\\Deleted")];
    names.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect::<Vec<_>>().join(" ")
}

/// One FETCH response.
fn fetched(at: usize, message: &Message, items: &str, by_uid: bool) -> Vec<u8> {
    let upper = items.to_ascii_uppercase();
    let mut send = format!("* {at} FETCH (").into_bytes();
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let macro_items = ["ALL", "FAST", "FULL"].iter().any(|name| upper.trim() == *name);
    let wants = |name: &str| upper.contains(name) || macro_items;
    if by_uid || upper.contains("UID") {
        parts.push(format!("UID {}", message.uid).into_bytes());
    }
    if wants("FLAGS") {
        parts.push(format!("FLAGS ({})", flags(message)).into_bytes());
    }
    if wants("INTERNALDATE") {
        parts.push(b"INTERNALDATE \"24-Nov-2026 10:00:00 +0000\"".to_vec());
    }
    if wants("RFC822.SIZE") {
        parts.push(format!("RFC822.SIZE {}", message.content.len()).into_bytes());
    }
    if upper.contains("ENVELOPE") {
        parts.push(envelope(message));
    }
    if upper.contains("BODYSTRUCTURE") {
        let (_, text) = message.split();
        let octets = text.len();
        let structure = format!(
            "BODYSTRUCTURE (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"UTF-8\") NIL NIL \"7BIT\" {octets} 4 NIL NIL NIL)"
        );
        parts.push(structure.into_bytes());
    }
    parts.extend(sections(&upper, message));
    send.extend(parts.join(&b' '));
    send.extend_from_slice(b")\r\n");
    send
}

/// The parts of a message, as literals.
fn sections(upper: &str, message: &Message) -> Vec<Vec<u8>> {
    let (header, text) = message.split();
    let all = message.content.as_slice();
    let rows = [
        ("BODY[]", "BODY[]", all),
        ("BODY.PEEK[]", "BODY[]", all),
        ("BODY[HEADER", "BODY[HEADER]", header),
        ("BODY.PEEK[HEADER", "BODY[HEADER]", header),
        ("BODY[TEXT]", "BODY[TEXT]", text),
        ("BODY.PEEK[TEXT]", "BODY[TEXT]", text),
        ("RFC822.HEADER", "RFC822.HEADER", header),
    ];
    let mut found: Vec<Vec<u8>> = Vec::new();
    for (asked, name, octets) in rows {
        if let Some((_, rest)) = upper.split_once(asked) {
            // RFC 9051 section 6.4.5: the answer repeats the list of fields.
            let name = match rest.split_once(']') {
                Some((fields, _)) if asked.ends_with("HEADER") => {
                    name.replace("HEADER]", &format!("HEADER{fields}]"))
                }
                Some(_) | None => name.to_string(),
            };
            found.push([format!("{name} {{{}}}\r\n", octets.len()).as_bytes(), octets].concat());
        }
    }
    let whole = upper.split([' ', '(', ')']).any(|word| word == "RFC822");
    if whole {
        found.push([format!("RFC822 {{{}}}\r\n", all.len()).as_bytes(), all].concat());
    }
    found
}

fn envelope(message: &Message) -> Vec<u8> {
    let quoted = |name: &str| match message.field(name) {
        Some(value) => [b"\"", value, b"\""].concat(),
        None => b"NIL".to_vec(),
    };
    let address = |name: &str| match message.field(name).map(String::from_utf8_lossy) {
        Some(value) => {
            let (local, host) = value.split_once('@').unwrap_or((&value, ""));
            format!("((NIL NIL \"{local}\" \"{host}\"))").into_bytes()
        }
        None => b"NIL".to_vec(),
    };
    let from = address("From");
    let fields = [
        quoted("Date"),
        quoted("Subject"),
        from.clone(),
        from.clone(),
        from,
        address("To"),
        b"NIL".to_vec(),
        b"NIL".to_vec(),
        b"NIL".to_vec(),
        quoted("Message-ID"),
    ];
    [b"ENVELOPE (".as_slice(), &fields.join(&b' '), b")"].concat()
}
