//! Both directions of a [`Watch`] against a slow and plain reference, which sees one octet at a time.
//!
//! Input: the protocol, the seed of the cuts, then what the two sides write in turns, the server first, with 0xf8 between
//! them. 0xfc repeats the line before it as many times as the next octet squared.

mod reference;

use mailbearer::limits::{DELETIONS_MAX, PIPELINE_MAX, WATCHED_LINE_OCTETS_MAX};
use mailbearer::{Aftermath, Protocol, Verdict, Watch};

use crate::octets::{Cuts, Octets};
use reference::Reference;

const TURN_END: u8 = 0xf8;
const AGAIN: u8 = 0xfc;

/// Octets of one turn, so that one input takes no more than milliseconds.
const TURN_OCTETS_MAX: usize = 64 << 10;

/// Holds the watch against the reference.
pub fn check(data: &[u8]) {
    let mut octets = Octets::new(data);
    let protocol = octets.one_of(&Protocol::ALL);
    let seed = octets.octet();
    let mut cuts = Cuts::new(seed);
    let mut watch = Watch::new(protocol);
    let mut reference = Reference::new(protocol);
    let mut ending = None;
    for (at, turn) in octets.rest().split(|octet| *octet == TURN_END).enumerate() {
        let written = expand(turn);
        for piece in cuts.pieces(&written) {
            if at % 2 == 0 {
                let seen = received(&mut watch, piece, seed & 1 == 1);
                assert!(seen.is_none() || ending.is_none(), "an ending is reported twice");
                ending = ending.or(seen);
                piece.iter().for_each(|octet| reference.received(*octet));
            } else {
                watch.sent(piece);
                piece.iter().for_each(|octet| reference.sent(*octet));
            }
            assert_eq!(ending.as_ref(), reference.ending(), "the ending");
        }
        assert_eq!(watch.aftermath(), without_controls(reference.aftermath()), "the aftermath");
        assert_eq!(watch.is_silent(), reference.is_silent(), "whether it is silent");
        assert_eq!(watch.is_quiet(), reference.is_quiet(), "whether it is quiet");
        bounded(&watch.aftermath());
    }
    assert_eq!(watch.closed(), reference.closed(), "the end");
    assert_eq!(watch.closed(), reference.closed(), "the end, asked for a second time");
}

fn without_controls(mut aftermath: Aftermath) -> Aftermath {
    if let Aftermath::Imap { selected, unanswered, .. } = &mut aftermath {
        let names = selected.iter_mut().map(|mailbox| &mut mailbox.name);
        names.chain(unanswered).for_each(|text| *text = text.replace(char::is_control, "\u{fffd}"));
    }
    aftermath
}

fn expand(turn: &[u8]) -> Vec<u8> {
    let mut written = Vec::new();
    let mut octets = Octets::new(turn);
    while !octets.is_empty() && written.len() < TURN_OCTETS_MAX {
        match octets.octet() {
            AGAIN => {
                let times = usize::from(octets.octet()).pow(2);
                let line = written
                    .split_inclusive(|octet| *octet == b'\n')
                    .next_back()
                    .unwrap_or_default()
                    .to_vec();
                written.extend(line.repeat(times.min(TURN_OCTETS_MAX / line.len().max(1))));
            }
            octet => written.push(octet),
        }
    }
    written
}

/// Shows what came, or passes by what need not be shown.
fn received(watch: &mut Watch, piece: &[u8], skips: bool) -> Option<Verdict> {
    let mut rest = piece;
    let mut ending = None;
    while !rest.is_empty() {
        // A read ends where the host likes, so that its next call may begin with what can be passed by.
        let (shown, more) = match rest.iter().position(|octet| *octet == b'\n') {
            Some(end) if skips => rest.split_at(end + 1),
            Some(_) | None => (rest, [].as_slice()),
        };
        let sighting = watch.received(shown);
        ending = ending.or(sighting.ending);
        rest = more;
        if skips {
            let octets = usize::try_from(sighting.skip).unwrap_or(usize::MAX).min(rest.len());
            watch.skipped(octets as u64);
            rest = &rest[octets..];
        }
    }
    ending
}

fn bounded(aftermath: &Aftermath) {
    match aftermath {
        Aftermath::Imap { selected, unanswered, .. } => {
            // A character that is no UTF-8 is shown as three octets.
            let name = selected.as_ref().map_or(0, |mailbox| mailbox.name.len());
            assert!(name <= 3 * 2 * WATCHED_LINE_OCTETS_MAX, "a name without bound");
            assert!(unanswered.len() <= PIPELINE_MAX + 2, "commands without bound");
            assert!(
                unanswered.iter().all(|one| one.chars().count() <= 64 + 1 + 24),
                "a command without bound"
            );
        }
        Aftermath::Pop3 { uncommitted_deletes } => {
            assert!(uncommitted_deletes.len() <= DELETIONS_MAX + 1, "deletions without bound");
        }
        Aftermath::Smtp { .. } => {}
    }
}
