//! `Follow`.

use std::sync::{Arc, Mutex};

use crate::errors::{CoreError, guard, locked};

/// How a mailbox is followed.
#[derive(uniffi::Record)]
pub struct FollowConfig {
    /// The mailbox to select, as people write it; absent: the one that is selected.
    #[uniffi(default = None)]
    pub mailbox: Option<String>,
    /// Where the program stands, as it was told: messages from there on are told. Absent: those that come from now on.
    #[uniffi(default = None)]
    pub since: Option<String>,
    /// Whether the mailbox is opened so that nothing is marked as read.
    #[uniffi(default = false)]
    pub read_only: bool,
    /// Whether new messages are searched for by UID. Without it only changes are told.
    #[uniffi(default = false)]
    pub tells_messages: bool,
    /// Whether the server has IDLE (RFC 2177). Without it it is asked with NOOP.
    #[uniffi(default = true)]
    pub has_idle: bool,
    /// Milliseconds after which IDLE is said anew: a server or a path that is mute is noticed by that.
    #[uniffi(default = 90000)]
    pub reissue_ms: u64,
    /// Milliseconds between two NOOPs where there is no IDLE.
    #[uniffi(default = 60000)]
    pub poll_ms: u64,
    /// Milliseconds for an answer; a search has ten times as long.
    #[uniffi(default = 20000)]
    pub answer_ms: u64,
}

/// What to write, what happened, and when to come back.
#[derive(uniffi::Record)]
pub struct FollowPlan {
    /// To be written whole.
    pub bytes: Vec<u8>,
    /// In this order.
    pub events: Vec<FollowEvent>,
    /// When to call `tick`; absent: not at all.
    pub wake_at_ms: Option<u64>,
}

/// Something that happened in the mailbox that is followed.
#[derive(uniffi::Enum)]
pub enum FollowEvent {
    /// Messages that were not told yet, in the order of their UIDs. They may be gone by the time that they are fetched.
    /// None at first, where no cursor was given: the cursor says where it begins.
    Messages {
        /// UIDs, ascending.
        uids: Vec<u32>,
        /// Where the program stands once it has done with them: to be stored then.
        cursor: String,
    },
    /// The mailbox was made anew: UIDs of before mean nothing any more. It goes on from what there is now.
    Reset {
        /// Where it stands now.
        cursor: String,
    },
    /// Something changed.
    Changed {
        /// How many messages there are, where the server said it.
        exists: Option<u32>,
        /// Sequence numbers of messages that were expunged, in the server's order.
        expunged: Vec<u32>,
        /// Sequence numbers of messages whose flags the server told.
        flagged: Vec<u32>,
    },
    /// No command is under way: the connection is the program's until it says `resume`.
    Free,
    /// The mailbox cannot be selected, or the server does not search it. It is over.
    Refused {
        /// RFC 5530 code, such as `NONEXISTENT`.
        code: Option<String>,
        /// What the server said: untrusted, without control characters.
        text: String,
    },
    /// An answer did not come in time: the link is dead, or the server is.
    Late,
}

impl From<mailbearer::FollowEvent> for FollowEvent {
    fn from(event: mailbearer::FollowEvent) -> Self {
        match event {
            mailbearer::FollowEvent::Messages { uids, cursor } => {
                Self::Messages { uids, cursor: cursor.to_string() }
            }
            mailbearer::FollowEvent::Reset { cursor } => Self::Reset { cursor: cursor.to_string() },
            mailbearer::FollowEvent::Changed { exists, expunged, flagged } => {
                Self::Changed { exists, expunged, flagged }
            }
            mailbearer::FollowEvent::Free => Self::Free,
            mailbearer::FollowEvent::Refused { code, text } => Self::Refused { code, text },
            mailbearer::FollowEvent::Late => Self::Late,
        }
    }
}

/// Follows one mailbox of an IMAP connection that is logged in: waits in IDLE for what changes, and tells which messages are
/// new. Octets and times go in, a plan comes out. Between `free` and `resume` the program may use the connection.
#[derive(uniffi::Object)]
pub struct Follow(Mutex<mailbearer::Follow>);

#[uniffi::export]
impl Follow {
    /// Follows from the next command on. `first_tag` counts on where an earlier one on the same connection ended; 0 for the
    /// first.
    #[uniffi::constructor]
    pub fn new(config: FollowConfig, first_tag: u32) -> Result<Arc<Self>, CoreError> {
        guard(|| {
            let since = config.since.map(|text| text.parse()).transpose()?;
            let config = mailbearer::FollowConfig {
                mailbox: config.mailbox,
                read_only: config.read_only,
                since,
                tells_messages: config.tells_messages,
                has_idle: config.has_idle,
                reissue_ms: config.reissue_ms,
                poll_ms: config.poll_ms,
                answer_ms: config.answer_ms,
            };
            Ok(Arc::new(Self(Mutex::new(mailbearer::Follow::new(config, first_tag)))))
        })
    }

    /// Begins: with the mailbox, if one is to be selected.
    pub fn start(&self, now_ms: u64) -> Result<FollowPlan, CoreError> {
        locked(&self.0, |follow| Ok(plan(follow.start(now_ms))))
    }

    /// Takes what one read of the connection brought, while it is not the program's.
    pub fn receive(&self, now_ms: u64, bytes: &[u8]) -> Result<FollowPlan, CoreError> {
        locked(&self.0, |follow| Ok(plan(follow.receive(now_ms, bytes))))
    }

    /// The program has done with the connection: it waits for more.
    pub fn resume(&self, now_ms: u64) -> Result<FollowPlan, CoreError> {
        locked(&self.0, |follow| Ok(plan(follow.resume(now_ms))))
    }

    /// Ends the wait: `free` follows as soon as no command is under way.
    pub fn interrupt(&self, now_ms: u64) -> Result<FollowPlan, CoreError> {
        locked(&self.0, |follow| Ok(plan(follow.interrupt(now_ms))))
    }

    /// The time of `wake_at_ms` has come. An early one is harmless.
    pub fn tick(&self, now_ms: u64) -> Result<FollowPlan, CoreError> {
        locked(&self.0, |follow| Ok(plan(follow.tick(now_ms))))
    }

    /// The last number of its tags: for who follows on the same connection after it.
    pub fn tags(&self) -> Result<u32, CoreError> {
        locked(&self.0, |follow| Ok(follow.tags()))
    }

    /// Where the program stands, with all that was told; absent before the mailbox is selected for the first time.
    pub fn cursor(&self) -> Result<Option<String>, CoreError> {
        locked(&self.0, |follow| Ok(follow.cursor().map(|cursor| cursor.to_string())))
    }
}

fn plan(plan: mailbearer::FollowPlan) -> FollowPlan {
    FollowPlan {
        bytes: plan.bytes,
        events: plan.events.into_iter().map(Into::into).collect(),
        wake_at_ms: plan.wake_at_ms,
    }
}
