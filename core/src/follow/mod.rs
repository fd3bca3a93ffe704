//! Follows one mailbox over IMAP: waits in IDLE for what changes, and tells which messages are new.
//!
//! | state | the server was sent | then |
//! |---|---|---|
//! | `Selecting` | `SELECT` or `EXAMINE` | new messages are searched for, or it waits |
//! | `Searching` | `UID SEARCH UID n:*` | they are told, and the connection is the program's |
//! | `Entering` | `IDLE` | `+` comes: it is quiet |
//! | `Idle` | nothing | something changed, the time to say `IDLE` anew has come, or an interruption: `DONE` |
//! | `Leaving` | `DONE` | what changed is told, or `IDLE` is said anew |
//! | `Resting` | nothing: the server has no IDLE | after a while, `NOOP` |
//! | `Asking` | `NOOP` | as `Leaving` |
//! | `Free` | nothing | the connection is the program's until it says [`Follow::resume`]; then it searches again |
//! | `Over` | nothing | the mailbox could not be selected |
//!
//! | file | what |
//! |---|---|
//! | `cursor.rs` | where a program stands in a mailbox, to be stored |
//! | `plan.rs` | what goes in and what comes out |
//! | `reading.rs` | lines and literals of the server, and the few of them that matter |
//! | `name.rs` | names of mailboxes on the wire |

mod cursor;
mod name;
mod plan;
mod reading;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

pub use cursor::Cursor;
pub use plan::{FollowConfig, FollowEvent, FollowPlan, FollowState};
use reading::{Heard, Reader};

use crate::limits::UIDS_MAX;

/// Follows one mailbox of an IMAP connection that is logged in. It has no socket and no clock: octets and times go in, a
/// [`FollowPlan`] comes out. Between [`FollowEvent::Free`] and [`Follow::resume`] the program may use the connection.
///
/// ```
/// use mailbearer::{Follow, FollowConfig, FollowEvent};
/// let mut follow = Follow::new(FollowConfig::messages("INBOX", "7:5".parse().ok()), 0);
/// assert_eq!(follow.start(0).bytes, b"MBF1 SELECT INBOX\r\n");
/// let plan = follow.receive(10, b"* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT 9] ok\r\nMBF1 OK done\r\n");
/// assert_eq!(plan.bytes, b"MBF2 UID SEARCH UID 5:*\r\n");
/// let plan = follow.receive(20, b"* SEARCH 8 6\r\nMBF2 OK done\r\n");
/// let cursor = "7:9".parse().unwrap();
/// assert_eq!(plan.events, [FollowEvent::Messages { uids: vec![6, 8], cursor }, FollowEvent::Free]);
/// // More may have come meanwhile.
/// assert_eq!(follow.resume(30).bytes, b"MBF3 UID SEARCH UID 9:*\r\n");
/// assert_eq!(follow.receive(40, b"* SEARCH 8\r\nMBF3 OK done\r\n").bytes, b"MBF4 IDLE\r\n");
/// ```
#[derive(Debug)]
pub struct Follow {
    config: FollowConfig,
    reader: Reader,
    state: FollowState,
    tags: u32,
    tag: String,
    /// Until when an answer is due, or when the next command is.
    wake_at_ms: Option<u64>,
    cursor: Option<Cursor>,
    seen: Seen,
    changed: Changed,
    interrupted: bool,
}

/// What the server has said of the mailbox since it was selected.
#[derive(Debug, Default)]
struct Seen {
    exists: Option<u32>,
    uid_validity: Option<u32>,
    uid_next: Option<u32>,
    found: Vec<u32>,
}

/// What was not told yet.
#[derive(Debug, Default)]
struct Changed {
    exists: Option<u32>,
    expunged: Vec<u32>,
    flagged: Vec<u32>,
    /// There are more messages than before.
    grew: bool,
}

impl Changed {
    fn is_nothing(&self) -> bool {
        self.exists.is_none() && self.expunged.is_empty() && self.flagged.is_empty()
    }
}

impl Follow {
    /// Follows from the next command on. `first_tag` counts on where an earlier one on the same connection ended
    /// ([`Follow::tags`]); 0 for the first.
    #[must_use]
    pub fn new(config: FollowConfig, first_tag: u32) -> Self {
        let cursor = config.since;
        Self {
            config,
            reader: Reader::default(),
            state: FollowState::Free,
            tags: first_tag,
            tag: String::new(),
            wake_at_ms: None,
            cursor,
            seen: Seen::default(),
            changed: Changed::default(),
            interrupted: false,
        }
    }

    /// Begins: with the mailbox, if one is to be selected.
    pub fn start(&mut self, now_ms: u64) -> FollowPlan {
        let Some(mailbox) = &self.config.mailbox else { return self.wait(now_ms) };
        let verb = if self.config.read_only { "EXAMINE" } else { "SELECT" };
        let command = format!("{verb} {}", name::spelled(mailbox));
        self.say(now_ms, FollowState::Selecting, &command)
    }

    /// Takes what one read of the connection brought, while it is not the program's.
    pub fn receive(&mut self, now_ms: u64, bytes: &[u8]) -> FollowPlan {
        let mut plan = FollowPlan::default();
        let mut input = bytes;
        while let Some(heard) = self.reader.take(&mut input, &self.tag) {
            let next = self.hear(now_ms, heard);
            plan.bytes.extend(next.bytes);
            plan.events.extend(next.events);
        }
        plan.wake_at_ms = self.wake_at_ms;
        plan
    }

    /// The program has done with the connection: it waits for more.
    pub fn resume(&mut self, now_ms: u64) -> FollowPlan {
        match self.state {
            // What came meanwhile was told to the program's client.
            FollowState::Free if self.config.tells_messages && self.cursor.is_some() => {
                self.search(now_ms)
            }
            FollowState::Free => self.wait(now_ms),
            FollowState::Selecting
            | FollowState::Searching
            | FollowState::Entering
            | FollowState::Idle
            | FollowState::Leaving
            | FollowState::Resting
            | FollowState::Asking
            | FollowState::Over => self.plan(),
        }
    }

    /// Ends the wait: [`FollowEvent::Free`] follows as soon as no command is under way.
    pub fn interrupt(&mut self, now_ms: u64) -> FollowPlan {
        match self.state {
            FollowState::Idle => {
                self.interrupted = true;
                self.leave(now_ms)
            }
            FollowState::Resting => self.free(Vec::new()),
            FollowState::Selecting
            | FollowState::Searching
            | FollowState::Entering
            | FollowState::Leaving
            | FollowState::Asking => {
                self.interrupted = true;
                self.plan()
            }
            FollowState::Free | FollowState::Over => self.plan(),
        }
    }

    /// The time of [`FollowPlan::wake_at_ms`] has come. An early one is harmless.
    pub fn tick(&mut self, now_ms: u64) -> FollowPlan {
        if self.wake_at_ms.is_none_or(|at_ms| now_ms < at_ms) {
            return self.plan();
        }
        match self.state {
            FollowState::Idle => self.leave(now_ms),
            FollowState::Resting => self.say(now_ms, FollowState::Asking, "NOOP"),
            FollowState::Selecting
            | FollowState::Searching
            | FollowState::Entering
            | FollowState::Leaving
            | FollowState::Asking => self.end(FollowEvent::Late),
            FollowState::Free | FollowState::Over => self.plan(),
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> FollowState {
        self.state
    }

    /// The last number of its tags: for who follows on the same connection after it.
    #[must_use]
    pub fn tags(&self) -> u32 {
        self.tags
    }

    /// Where the program stands, with all that was told; `None` before the mailbox is selected for the first time.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    // ---- What is said --------------------------------------------------------------------------------------------

    fn plan(&self) -> FollowPlan {
        FollowPlan { wake_at_ms: self.wake_at_ms, ..FollowPlan::default() }
    }

    fn say(&mut self, now_ms: u64, state: FollowState, command: &str) -> FollowPlan {
        self.tags = self.tags.wrapping_add(1);
        self.tag = format!("MBF{}", self.tags);
        self.state = state;
        let factor = if state == FollowState::Searching { SEARCH_FACTOR } else { 1 };
        self.wake_at_ms = Some(now_ms.saturating_add(self.config.answer_ms.saturating_mul(factor)));
        let bytes = format!("{} {command}\r\n", self.tag).into_bytes();
        FollowPlan { bytes, ..self.plan() }
    }

    /// Waits for what changes, if nobody has interrupted it.
    fn wait(&mut self, now_ms: u64) -> FollowPlan {
        if self.interrupted {
            return self.free(Vec::new());
        }
        if self.config.has_idle {
            return self.say(now_ms, FollowState::Entering, "IDLE");
        }
        self.state = FollowState::Resting;
        self.wake_at_ms = Some(now_ms.saturating_add(self.config.poll_ms));
        self.plan()
    }

    fn leave(&mut self, now_ms: u64) -> FollowPlan {
        self.state = FollowState::Leaving;
        self.wake_at_ms = Some(now_ms.saturating_add(self.config.answer_ms));
        FollowPlan { bytes: b"DONE\r\n".to_vec(), ..self.plan() }
    }

    fn search(&mut self, now_ms: u64) -> FollowPlan {
        self.seen.found.clear();
        self.changed.grew = false;
        let command = match self.cursor {
            Some(cursor) => format!("UID SEARCH UID {}:*", cursor.uid_next),
            // The server does not say which UID comes next: the last one does.
            None => "UID SEARCH UID *".to_string(),
        };
        self.say(now_ms, FollowState::Searching, &command)
    }

    fn free(&mut self, mut events: Vec<FollowEvent>) -> FollowPlan {
        self.state = FollowState::Free;
        self.wake_at_ms = None;
        self.interrupted = false;
        events.push(FollowEvent::Free);
        FollowPlan { events, ..self.plan() }
    }

    fn end(&mut self, event: FollowEvent) -> FollowPlan {
        self.state = FollowState::Over;
        self.wake_at_ms = None;
        FollowPlan { events: Vec::from([event]), ..self.plan() }
    }

    // ---- What is heard -------------------------------------------------------------------------------------------

    fn hear(&mut self, now_ms: u64, heard: Heard) -> FollowPlan {
        match heard {
            Heard::Exists(exists) => {
                self.changed.grew |= self.seen.exists.is_none_or(|before| exists > before);
                self.seen.exists = Some(exists);
                self.changed.exists = Some(exists);
                self.changed_in_idle(now_ms)
            }
            Heard::Expunge(number) => {
                self.seen.exists = self.seen.exists.map(|exists| exists.saturating_sub(1));
                note(&mut self.changed.expunged, number);
                self.changed_in_idle(now_ms)
            }
            Heard::Fetch(number) => {
                note(&mut self.changed.flagged, number);
                self.changed_in_idle(now_ms)
            }
            Heard::UidValidity(number) => {
                self.seen.uid_validity = Some(number);
                self.plan()
            }
            Heard::UidNext(number) => {
                self.seen.uid_next = Some(number);
                self.plan()
            }
            Heard::Found(uids) => {
                let room = UIDS_MAX.saturating_sub(self.seen.found.len());
                self.seen.found.extend(uids.into_iter().take(room));
                self.plan()
            }
            Heard::Continue => self.idling(now_ms),
            Heard::Done { ok: true, .. } => self.done(now_ms),
            Heard::Done { ok: false, code, text } => self.refused(now_ms, code, text),
            Heard::TooLong => {
                let text = "the server's line is longer than any that is read".to_string();
                self.end(FollowEvent::Refused { code: None, text })
            }
        }
    }

    fn changed_in_idle(&mut self, now_ms: u64) -> FollowPlan {
        if self.state == FollowState::Idle { self.leave(now_ms) } else { self.plan() }
    }

    fn idling(&mut self, now_ms: u64) -> FollowPlan {
        if self.state != FollowState::Entering {
            return self.plan();
        }
        self.state = FollowState::Idle;
        self.wake_at_ms = Some(now_ms.saturating_add(self.config.reissue_ms));
        if self.interrupted || !self.changed.is_nothing() {
            return self.leave(now_ms);
        }
        self.plan()
    }

    /// The command that was under way is answered with OK.
    fn done(&mut self, now_ms: u64) -> FollowPlan {
        match self.state {
            FollowState::Selecting => self.selected(now_ms),
            FollowState::Searching => self.found(now_ms),
            // The server has ended IDLE by itself: nothing forbids it.
            FollowState::Entering
            | FollowState::Idle
            | FollowState::Leaving
            | FollowState::Asking => self.told(now_ms),
            FollowState::Resting | FollowState::Free | FollowState::Over => self.plan(),
        }
    }

    fn refused(&mut self, now_ms: u64, code: Option<String>, text: String) -> FollowPlan {
        match self.state {
            FollowState::Selecting | FollowState::Searching => {
                self.end(FollowEvent::Refused { code, text })
            }
            FollowState::Entering | FollowState::Idle | FollowState::Leaving => {
                self.config.has_idle = false;
                self.told(now_ms)
            }
            FollowState::Asking => self.told(now_ms),
            FollowState::Resting | FollowState::Free | FollowState::Over => self.plan(),
        }
    }

    /// The mailbox is selected: what changed by that was no change.
    fn selected(&mut self, now_ms: u64) -> FollowPlan {
        self.changed = Changed::default();
        if !self.config.tells_messages {
            return self.wait(now_ms);
        }
        let validity = self.seen.uid_validity.unwrap_or(0);
        let now = self.seen.uid_next.map(|uid_next| Cursor { uid_validity: validity, uid_next });
        match (self.cursor.filter(|cursor| cursor.uid_validity == validity), now) {
            (Some(cursor), Some(now)) if cursor.uid_next >= now.uid_next => self.wait(now_ms),
            (Some(_), _) => self.search(now_ms),
            (None, Some(now)) => self.begin_at(now),
            (None, None) if self.seen.exists == Some(0) => {
                self.begin_at(Cursor { uid_validity: validity, uid_next: 1 })
            }
            (None, None) => {
                self.cursor = None;
                self.search(now_ms)
            }
        }
    }

    /// Nothing of before is told.
    fn begin_at(&mut self, cursor: Cursor) -> FollowPlan {
        self.cursor = Some(cursor);
        let event = match self.config.since.take() {
            Some(_) => FollowEvent::Reset { cursor },
            // To be stored at once: what comes before the first message is told must not be missed.
            None => FollowEvent::Messages { uids: Vec::new(), cursor },
        };
        self.free(Vec::from([event]))
    }

    fn found(&mut self, now_ms: u64) -> FollowPlan {
        let mut uids = core::mem::take(&mut self.seen.found);
        uids.sort_unstable();
        uids.dedup();
        let last = uids.last().copied();
        let Some(cursor) = self.cursor else {
            let uid_next = last.map_or(1, |uid| uid.saturating_add(1));
            let uid_validity = self.seen.uid_validity.unwrap_or(0);
            return self.begin_at(Cursor { uid_validity, uid_next });
        };
        // n:* names the last message also where its UID is less than n (RFC 9051 section 9, seq-range).
        uids.retain(|uid| *uid >= cursor.uid_next);
        let Some(last) = uids.last() else { return self.told(now_ms) };
        let cursor = Cursor { uid_next: last.saturating_add(1), ..cursor };
        self.cursor = Some(cursor);
        self.free(Vec::from([FollowEvent::Messages { uids, cursor }]))
    }

    /// What changed is told, or the wait goes on.
    fn told(&mut self, now_ms: u64) -> FollowPlan {
        let changed = core::mem::take(&mut self.changed);
        if self.config.tells_messages {
            // Also what came while it was searched: the search may have missed it.
            return if changed.grew { self.search(now_ms) } else { self.wait(now_ms) };
        }
        if changed.is_nothing() {
            return self.wait(now_ms);
        }
        let Changed { exists, expunged, flagged, .. } = changed;
        self.free(Vec::from([FollowEvent::Changed { exists, expunged, flagged }]))
    }
}

/// A search over a great mailbox takes its time.
const SEARCH_FACTOR: u64 = 10;

fn note(numbers: &mut Vec<u32>, number: u32) {
    if numbers.len() < UIDS_MAX {
        numbers.push(number);
    }
}

#[cfg(test)]
mod tests;
