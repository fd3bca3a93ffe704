//! What a [`Follow`](super::Follow) is told, and what comes out of it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Cursor;
use crate::failure::spelled_enum;

/// How a mailbox is followed. Every time has a default that is right for most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowConfig {
    /// The mailbox to select, as people write it; `None`: the one that is selected.
    pub mailbox: Option<String>,
    /// Whether it is opened with EXAMINE, so that nothing is marked as read.
    pub read_only: bool,
    /// Where the program stands: messages from there on are told. `None`: those that come from now on.
    pub since: Option<Cursor>,
    /// Whether new messages are searched for by UID. Without it only changes are told.
    pub tells_messages: bool,
    /// Whether the server has IDLE (RFC 2177). Without it it is asked with NOOP.
    pub has_idle: bool,
    /// Milliseconds after which IDLE is said anew: a server or a path that is mute is noticed by that. Default: 90 seconds,
    /// so that it takes less than two minutes with the answer.
    pub reissue_ms: u64,
    /// Milliseconds between two NOOPs where there is no IDLE. Default: 1 minute.
    pub poll_ms: u64,
    /// Milliseconds for an answer. Default: 20 seconds; a search has ten times as long.
    pub answer_ms: u64,
}

impl FollowConfig {
    /// Tells what changes in the mailbox that is selected.
    #[must_use]
    pub fn changes() -> Self {
        Self {
            mailbox: None,
            read_only: false,
            since: None,
            tells_messages: false,
            has_idle: true,
            reissue_ms: 90_000,
            poll_ms: 60_000,
            answer_ms: 20_000,
        }
    }

    /// Selects a mailbox, and tells its new messages from where the program stands.
    #[must_use]
    pub fn messages(mailbox: &str, since: Option<Cursor>) -> Self {
        Self { mailbox: Some(mailbox.to_string()), since, tells_messages: true, ..Self::changes() }
    }
}

/// What to write, what happened, and when to come back.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FollowPlan {
    /// To be written whole.
    pub bytes: Vec<u8>,
    /// In this order.
    pub events: Vec<FollowEvent>,
    /// When to call [`Follow::tick`](super::Follow::tick); `None`: not at all.
    pub wake_at_ms: Option<u64>,
}

/// Something that happened in the mailbox that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowEvent {
    /// Messages that were not told yet, in the order of their UIDs. They may be gone by the time that they are fetched.
    /// None at first, where no cursor was given: the cursor says where it begins.
    Messages {
        /// UIDs, ascending.
        uids: Vec<u32>,
        /// Where the program stands once it has done with them: to be stored then.
        cursor: Cursor,
    },
    /// The mailbox was made anew: UIDs of before mean nothing any more. It goes on from what there is now.
    Reset {
        /// Where it stands now.
        cursor: Cursor,
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
    /// No command is under way: the connection is the program's until it says [`Follow::resume`](super::Follow::resume).
    Free,
    /// The mailbox cannot be selected, or the server does not search it. It is over.
    Refused {
        /// RFC 5530 code, such as `NONEXISTENT`.
        code: Option<String>,
        /// What the server said: untrusted, without control characters.
        text: String,
    },
    /// An answer did not come in time: the link is dead, or the server is. The connection is of no use any more.
    Late,
}

spelled_enum! {
    /// Where a [`Follow`](super::Follow) stands.
    FollowState {
        /// The mailbox is being selected.
        Selecting = "selecting",
        /// New messages are searched for.
        Searching = "searching",
        /// IDLE was said.
        Entering = "entering",
        /// The server will tell what changes.
        Idle = "idle",
        /// DONE was said.
        Leaving = "leaving",
        /// It waits to ask again, for there is no IDLE.
        Resting = "resting",
        /// NOOP was said.
        Asking = "asking",
        /// The connection is the program's.
        Free = "free",
        /// It is over.
        Over = "over",
    }
}
