use std::collections::BTreeSet;
use std::string::{String, ToString};

use super::*;

fn sent(plan: &FollowPlan) -> &str {
    core::str::from_utf8(&plan.bytes).expect("ASCII")
}

fn in_idle(config: FollowConfig) -> Follow {
    let mut follow = Follow::new(config, 0);
    assert_eq!(sent(&follow.start(0)), "MBF1 IDLE\r\n");
    let plan = follow.receive(10, b"+ idling\r\n");
    assert_eq!((follow.state(), plan.wake_at_ms), (FollowState::Idle, Some(90_010)));
    follow
}

#[test]
fn idle_is_left_at_a_change_and_the_change_is_told_when_the_connection_is_free() {
    let mut follow = in_idle(FollowConfig::changes());
    let plan = follow.receive(50, b"* 4 EXISTS\r\n* 2 EXPUNGE\r\n");
    assert_eq!((sent(&plan), plan.events.len()), ("DONE\r\n", 0));
    let plan = follow.receive(60, b"* 1 FETCH (FLAGS ())\r\nMBF1 OK done\r\n");
    let changed =
        FollowEvent::Changed { exists: Some(4), expunged: Vec::from([2]), flagged: Vec::from([1]) };
    assert_eq!(plan.events, [changed, FollowEvent::Free]);
    assert_eq!((plan.wake_at_ms, sent(&follow.resume(70))), (None, "MBF2 IDLE\r\n"));
}

#[test]
fn idle_is_said_anew_before_two_minutes_are_over_and_a_mute_server_is_noticed() {
    let mut follow = in_idle(FollowConfig::changes());
    assert_eq!(sent(&follow.tick(90_009)), "");
    let plan = follow.tick(90_010);
    assert_eq!((sent(&plan), plan.wake_at_ms), ("DONE\r\n", Some(110_010)));
    assert_eq!(sent(&follow.receive(90_050, b"MBF1 OK done\r\n")), "MBF2 IDLE\r\n");
    let _ = follow.receive(90_060, b"+ idling\r\n");
    let _ = follow.tick(180_060);
    let plan = follow.tick(200_060);
    assert_eq!((plan.events, follow.state()), (Vec::from([FollowEvent::Late]), FollowState::Over));
    assert_eq!(follow.resume(200_070), FollowPlan::default());
}

#[test]
fn every_command_has_its_time() {
    let mut follow = Follow::new(FollowConfig::messages("INBOX", "7:5".parse().ok()), 0);
    assert_eq!(follow.start(0).wake_at_ms, Some(20_000));
    let select = b"* 3 EXISTS\r\n* OK [UIDVALIDITY 7] a\r\nMBF1 OK [READ-WRITE] b\r\n";
    let plan = follow.receive(5_000, select);
    assert_eq!((sent(&plan), plan.wake_at_ms), ("MBF2 UID SEARCH UID 5:*\r\n", Some(205_000)));
    assert_eq!(follow.tick(205_000).events, [FollowEvent::Late]);
}

#[test]
fn an_interruption_frees_the_connection_as_soon_as_no_command_is_under_way() {
    let mut follow = in_idle(FollowConfig::changes());
    assert_eq!(sent(&follow.interrupt(50)), "DONE\r\n");
    assert_eq!(follow.receive(60, b"MBF1 OK done\r\n").events, [FollowEvent::Free]);
    // While IDLE is being entered: it is entered and left.
    assert_eq!(sent(&follow.resume(70)), "MBF2 IDLE\r\n");
    assert_eq!(sent(&follow.interrupt(80)), "");
    assert_eq!(sent(&follow.receive(90, b"+ idling\r\n")), "DONE\r\n");
    assert_eq!(follow.receive(100, b"MBF2 OK done\r\n").events, [FollowEvent::Free]);
    // It is not interrupted for ever.
    assert_eq!(sent(&follow.resume(110)), "MBF3 IDLE\r\n");
    let _ = follow.receive(120, b"+ idling\r\n");
    assert_eq!(follow.state(), FollowState::Idle);
}

#[test]
fn a_server_without_idle_is_asked_with_noop() {
    let mut follow = Follow::new(FollowConfig::changes(), 41);
    assert_eq!(sent(&follow.start(0)), "MBF42 IDLE\r\n");
    let plan = follow.receive(10, b"MBF42 BAD what?\r\n");
    assert_eq!((follow.state(), plan.wake_at_ms), (FollowState::Resting, Some(60_010)));
    assert_eq!(sent(&follow.tick(60_010)), "MBF43 NOOP\r\n");
    let plan = follow.receive(60_050, b"* 5 EXISTS\r\nMBF43 OK done\r\n");
    assert_eq!(plan.events.len(), 2);
    assert_eq!(sent(&follow.resume(60_060)), "");
    assert_eq!(follow.interrupt(60_070).events, [FollowEvent::Free]);
    assert_eq!(follow.tags(), 43);
}

#[test]
fn a_mailbox_that_cannot_be_selected_is_refused_with_the_servers_words() {
    let mut follow = Follow::new(FollowConfig::messages("Nope", None), 0);
    let _ = follow.start(0);
    let plan = follow.receive(10, b"MBF1 NO [NONEXISTENT] Unknown Mailbox: Nope (Failure)\r\n");
    let code = Some("NONEXISTENT".to_string());
    let text = "[NONEXISTENT] Unknown Mailbox: Nope (Failure)".to_string();
    assert_eq!(plan.events, [FollowEvent::Refused { code, text }]);
}

#[test]
fn with_another_uidvalidity_it_says_so_and_goes_on_from_now() {
    let mut follow = Follow::new(FollowConfig::messages("INBOX", "7:5".parse().ok()), 0);
    let _ = follow.start(0);
    let plan = follow.receive(
        10,
        b"* 3 EXISTS\r\n* OK [UIDVALIDITY 8] a\r\n* OK [UIDNEXT 4] b\r\nMBF1 OK c\r\n",
    );
    let cursor = Cursor { uid_validity: 8, uid_next: 4 };
    assert_eq!(plan.events, [FollowEvent::Reset { cursor }, FollowEvent::Free]);
    assert_eq!(follow.cursor(), Some(cursor));
}

#[test]
fn without_a_cursor_only_what_comes_from_now_on_is_told_also_where_uidnext_is_not_said() {
    let mut follow =
        Follow::new(FollowConfig { read_only: true, ..FollowConfig::messages("INBOX", None) }, 0);
    assert_eq!(sent(&follow.start(0)), "MBF1 EXAMINE INBOX\r\n");
    let plan = follow.receive(10, b"* 3 EXISTS\r\n* OK [UIDVALIDITY 8] a\r\nMBF1 OK c\r\n");
    assert_eq!(sent(&plan), "MBF2 UID SEARCH UID *\r\n");
    let plan = follow.receive(20, b"* SEARCH 17\r\nMBF2 OK c\r\n");
    let cursor = Cursor { uid_validity: 8, uid_next: 18 };
    let begins = FollowEvent::Messages { uids: Vec::new(), cursor };
    assert_eq!(plan.events, [begins, FollowEvent::Free]);
    assert_eq!(follow.cursor(), Some(cursor));
}

/// A mailbox at a server, and what it says to commands.
struct World {
    rng: fastrand::Rng,
    validity: u32,
    next: u32,
    messages: Vec<u32>,
    /// Told to this connection.
    told: usize,
    idle_tag: Option<String>,
    says_uidnext: bool,
}

impl World {
    fn deliver(&mut self) {
        self.messages.push(self.next);
        self.next += 1 + self.rng.u32(..3);
    }

    /// What it says unasked, where it may.
    fn news(&mut self) -> String {
        if self.messages.len() == self.told {
            return String::new();
        }
        self.told = self.messages.len();
        std::format!("* {} EXISTS\r\n", self.told)
    }

    fn answer(&mut self, line: &str) -> String {
        let (tag, command) = line.split_once(' ').unwrap_or(("", line));
        if line == "DONE" {
            let tag = self.idle_tag.take().expect("IDLE was said");
            return std::format!("{}{tag} OK idle\r\n", self.news());
        }
        if command.starts_with("SELECT") {
            self.told = self.messages.len();
            let next = if self.says_uidnext {
                std::format!("* OK [UIDNEXT {}] x\r\n", self.next)
            } else {
                String::new()
            };
            let (told, validity) = (self.told, self.validity);
            return std::format!(
                "* {told} EXISTS\r\n* OK [UIDVALIDITY {validity}] x\r\n{next}{tag} OK x\r\n"
            );
        }
        if let Some(set) = command.strip_prefix("UID SEARCH UID ") {
            let first: u32 = set.trim_end_matches(":*").parse().unwrap_or(u32::MAX);
            // What arrives during the search may be in the result or not.
            let mut found = self.messages.clone();
            if self.rng.bool() {
                self.deliver();
                if self.rng.bool() {
                    found.clone_from(&self.messages);
                }
            }
            let last = found.last().copied();
            found.retain(|uid| *uid >= first || Some(*uid) == last);
            let words: Vec<_> = found.iter().map(ToString::to_string).collect();
            return std::format!("* SEARCH {}\r\n{}{tag} OK x\r\n", words.join(" "), self.news());
        }
        assert_eq!(command, "IDLE");
        self.idle_tag = Some(tag.to_string());
        std::format!("+ idling\r\n{}", self.news())
    }
}

/// Plays sessions that are cut at any moment: the program stores the cursor when it has done with the messages.
fn exactly_once(seed: u64) {
    let mut world = World {
        rng: fastrand::Rng::with_seed(seed),
        validity: 7,
        next: 5,
        messages: Vec::from([1, 3]),
        told: 0,
        idle_tag: None,
        says_uidnext: seed.is_multiple_of(2),
    };
    let mut stored = Some(Cursor { uid_validity: 7, uid_next: 4 });
    let mut seen = BTreeSet::new();
    for _ in 0..12 {
        let mut follow = Follow::new(FollowConfig::messages("INBOX", stored), 0);
        world.idle_tag = None;
        let mut now_ms = 0;
        let mut plan = follow.start(now_ms);
        let mut to_client = String::new();
        for _ in 0..world.rng.usize(1..60) {
            now_ms += world.rng.u64(..40_000);
            let bytes = core::mem::take(&mut plan.bytes);
            for line in String::from_utf8(bytes).unwrap().lines() {
                let answer = world.answer(line);
                to_client.push_str(&answer);
            }
            if let Some(FollowEvent::Messages { uids, cursor }) = plan.events.first() {
                for uid in uids {
                    assert!(seen.insert(*uid), "seed {seed}: {uid} is told twice");
                }
                stored = Some(*cursor);
            }
            if follow.state() == FollowState::Free {
                // The program's client hears what came, and not the one who follows.
                if world.rng.bool() {
                    world.deliver();
                    let _ = world.news();
                }
                plan = follow.resume(now_ms);
                continue;
            }
            if world.rng.u8(..4) == 0 {
                world.deliver();
            }
            if world.idle_tag.is_some() {
                let news = world.news();
                to_client.push_str(&news);
            }
            // Time passes only while nothing is to be read: no answer is late here.
            if to_client.is_empty() {
                plan = follow.tick(follow.plan().wake_at_ms.unwrap_or(now_ms));
                continue;
            }
            let count = world.rng.usize(1..=to_client.len());
            let piece: String = to_client.drain(..count).collect();
            plan = follow.receive(now_ms, piece.as_bytes());
        }
    }
    // A last session without a cut.
    let mut follow = Follow::new(FollowConfig::messages("INBOX", stored), 0);
    world.idle_tag = None;
    let mut plan = follow.start(0);
    loop {
        if let Some(FollowEvent::Messages { uids, .. }) = plan.events.first() {
            assert!(uids.iter().all(|uid| seen.insert(*uid)), "seed {seed}: told twice");
        }
        let said = String::from_utf8(plan.bytes.clone()).unwrap();
        let answer = match follow.state() {
            FollowState::Free => {
                plan = follow.resume(0);
                continue;
            }
            FollowState::Idle if said.is_empty() => world.news(),
            FollowState::Selecting
            | FollowState::Searching
            | FollowState::Entering
            | FollowState::Idle
            | FollowState::Leaving
            | FollowState::Resting
            | FollowState::Asking
            | FollowState::Over => world.answer(said.trim_end()),
        };
        if answer.is_empty() {
            break;
        }
        plan = follow.receive(0, answer.as_bytes());
    }
    let due: BTreeSet<u32> = world.messages.iter().copied().filter(|uid| *uid >= 4).collect();
    assert_eq!(seen, due, "seed {seed}");
}

#[test]
fn no_message_is_missed_or_told_twice_however_sessions_are_cut() {
    for seed in 0..3_000 {
        exactly_once(seed);
    }
}
