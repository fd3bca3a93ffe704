//! Sends messages over SMTP, each once: a [`Submit`] for each transaction, and an [`Outbox`] that decides what goes when.
//!
//! | file | what |
//! |---|---|
//! | `envelope.rs` | who sends, who is to have it, and what the server must offer for it |
//! | `submit.rs` | one message over one connection |
//! | `content.rs` | the message on the wire |

mod content;
mod envelope;
mod submit;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

pub use envelope::Envelope;
pub use submit::{Answer, Fate, Outcome, Submit, SubmitPlan};

use crate::session::Backoff;

/// What an [`Outbox`] is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxConfig {
    /// At most so many messages in any so many milliseconds: each of them holds.
    pub limits: Vec<(u32, u64)>,
    /// Greatest wait after the first refusal for now; it doubles with each.
    pub retry_ms: u64,
    /// Greatest wait of all.
    pub retry_max_ms: u64,
    /// How long a message is tried before it counts as refused.
    pub give_up_ms: u64,
}

impl Default for OutboxConfig {
    /// A minute that doubles up to half an hour (RFC 5321 section 4.5.4.1), for a day.
    fn default() -> Self {
        Self {
            limits: Vec::new(),
            retry_ms: 60_000,
            retry_max_ms: 1_800_000,
            give_up_ms: 86_400_000,
        }
    }
}

/// A message that is to be sent now, to those of its recipients that have no answer yet, by their places in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What [`Outbox::add`] gave.
    pub message: u64,
    /// Whom it is for now.
    pub recipients: Vec<usize>,
}

/// What is decided of a message after a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// Those recipients whose answer is the last, by their places in the message.
    pub answers: Vec<(usize, Answer)>,
    /// When it is sent again to the others; `None`: there are none, and the outbox has forgotten it.
    pub again_at_ms: Option<u64>,
}

#[derive(Debug)]
struct Queued {
    /// Recipients without a last answer, and what was said of them.
    open: Vec<(usize, Option<Answer>)>,
    added_ms: u64,
    tries: u32,
    is_out: bool,
}

/// Messages that wait to be sent. It holds no text and no address: numbers and times go in, jobs come out.
///
/// ```
/// use mailbearer::{Answer, Fate, Outbox, OutboxConfig, Outcome};
/// let mut outbox = Outbox::new(OutboxConfig { limits: vec![(1, 1_000)], ..OutboxConfig::default() }, 7);
/// let (first, second) = (outbox.add(0, 1), outbox.add(0, 1));
/// let job = outbox.take(0).unwrap();
/// assert_eq!((job.message, outbox.take(0)), (first, None));       // one in a second
/// assert_eq!(outbox.next_ms(0), Some(1_000));
/// let answers = vec![Answer { fate: Fate::Accepted, code: Some(250), failure: None }];
/// let settled = outbox.settle(10, first, &Outcome { answers, at_once: true, hold_ms: None });
/// assert_eq!((settled.answers[0].1.fate, settled.again_at_ms), (Fate::Accepted, None));
/// assert_eq!(outbox.take(1_000).unwrap().message, second);
/// ```
#[derive(Debug)]
pub struct Outbox {
    config: OutboxConfig,
    rng: fastrand::Rng,
    messages: BTreeMap<u64, Queued>,
    /// When each may be sent, but for those that are being sent.
    ready: BTreeSet<(u64, u64)>,
    /// For each limit, when its last messages began.
    begun: Vec<VecDeque<u64>>,
    held_until_ms: u64,
    holds: u32,
    added: u64,
}

impl Outbox {
    /// An empty one. `seed` decides all that is left to chance.
    #[must_use]
    pub fn new(config: OutboxConfig, seed: u64) -> Self {
        Self {
            begun: config.limits.iter().map(|_| VecDeque::new()).collect(),
            config,
            rng: fastrand::Rng::with_seed(seed),
            messages: BTreeMap::new(),
            ready: BTreeSet::new(),
            held_until_ms: 0,
            holds: 0,
            added: 0,
        }
    }

    /// Puts a message in, for so many recipients: its number.
    pub fn add(&mut self, now_ms: u64, recipients: usize) -> u64 {
        self.added = self.added.saturating_add(1);
        let open = (0..recipients).map(|at| (at, None)).collect();
        let queued = Queued { open, added_ms: now_ms, tries: 0, is_out: false };
        self.messages.insert(self.added, queued);
        self.ready.insert((now_ms, self.added));
        self.added
    }

    /// Takes out what is to be sent now. [`Outbox::settle`] must follow.
    pub fn take(&mut self, now_ms: u64) -> Option<Job> {
        if self.next_ms(now_ms)? > now_ms {
            return None;
        }
        let (_, message) = self.ready.pop_first()?;
        for (begun, &(most, _)) in self.begun.iter_mut().zip(&self.config.limits) {
            begun.push_back(now_ms);
            // Of more than the limit's number nothing is asked.
            if begun.len() > most as usize {
                begun.pop_front();
            }
        }
        let queued = self.messages.get_mut(&message)?;
        queued.is_out = true;
        Some(Job { message, recipients: queued.open.iter().map(|(at, _)| *at).collect() })
    }

    /// When the next message may be sent: now, later, or never where nothing waits.
    #[must_use]
    pub fn next_ms(&self, now_ms: u64) -> Option<u64> {
        let (ready_ms, _) = self.ready.first()?;
        let limits = self.begun.iter().zip(&self.config.limits).map(|(begun, &(most, per_ms))| {
            let oldest = begun.front().filter(|_| begun.len() >= most as usize);
            oldest.map_or(0, |at_ms| at_ms.saturating_add(per_ms))
        });
        limits.chain([*ready_ms, self.held_until_ms, now_ms]).max()
    }

    /// How many messages could be sent now, if as many connections were there.
    #[must_use]
    pub fn due(&self, now_ms: u64) -> usize {
        match self.next_ms(now_ms) {
            Some(at_ms) if at_ms <= now_ms => {
                self.ready.range(..=(now_ms, u64::MAX)).take(DUE_MAX).count()
            }
            Some(_) | None => 0,
        }
    }

    /// Messages that are not settled, those that are being sent among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether all are settled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Decides what becomes of a message whose transaction is over: `outcome` has an answer for each recipient of its [`Job`].
    pub fn settle(&mut self, now_ms: u64, message: u64, outcome: &Outcome) -> Settled {
        self.hold(now_ms, outcome);
        let Some(queued) = self.messages.get_mut(&message).filter(|queued| queued.is_out) else {
            return Settled::default();
        };
        queued.is_out = false;
        let mut settled = Settled::default();
        let open = core::mem::take(&mut queued.open);
        for ((at, before), answer) in open.into_iter().zip(&outcome.answers) {
            if answer.fate == Fate::Later {
                // Why a server did not want it says more than that a connection was lost.
                let said = answer.failure.is_some() || before.is_none();
                queued.open.push((at, if said { Some(answer.clone()) } else { before }));
            } else {
                settled.answers.push((at, answer.clone()));
            }
        }
        let until_ms = queued.added_ms.saturating_add(self.config.give_up_ms);
        // That a connection was lost says nothing of the message: it has a second try, whatever its time.
        let is_first_loss = outcome.at_once && queued.tries == 0;
        if !queued.open.is_empty() && (is_first_loss || now_ms < until_ms) {
            let again_ms = self.again(now_ms, message, outcome);
            settled.again_at_ms = Some(again_ms.min(until_ms.max(now_ms)));
        }
        match settled.again_at_ms {
            Some(at_ms) => {
                self.ready.insert((at_ms, message));
            }
            None => settled.answers.extend(self.withdraw(message)),
        }
        settled
    }

    /// Takes a message back; false where it is being sent, or is unknown.
    pub fn take_back(&mut self, message: u64) -> bool {
        let is_here = self.messages.get(&message).is_some_and(|queued| !queued.is_out);
        if is_here {
            self.messages.remove(&message);
            self.ready.retain(|(_, one)| *one != message);
        }
        is_here
    }

    /// Forgets a message: the last answers of its recipients, as refused.
    fn withdraw(&mut self, message: u64) -> Vec<(usize, Answer)> {
        let Some(queued) = self.messages.remove(&message) else { return Vec::new() };
        let refused = |before: Option<Answer>| {
            let (code, failure) = before.map_or((None, None), |one| (one.code, one.failure));
            Answer { fate: Fate::Refused, code, failure }
        };
        queued.open.into_iter().map(|(at, before)| (at, refused(before))).collect()
    }

    /// When a message is sent again: at once after the first loss, else after a wait that doubles.
    fn again(&mut self, now_ms: u64, message: u64, outcome: &Outcome) -> u64 {
        let tries = match self.messages.get_mut(&message) {
            Some(queued) => {
                queued.tries = queued.tries.saturating_add(1);
                queued.tries
            }
            None => 1,
        };
        if outcome.at_once
            && (tries == 1 || outcome.answers.iter().any(|one| one.fate == Fate::Accepted))
        {
            return now_ms;
        }
        now_ms.saturating_add(self.backoff(self.config.retry_ms).wait_ms(tries, 0, &mut self.rng))
    }

    /// Where the server takes nothing now, nothing is sent; what it takes ends that.
    fn hold(&mut self, now_ms: u64, outcome: &Outcome) {
        if let Some(least_ms) = outcome.hold_ms {
            self.holds = self.holds.saturating_add(1);
            let wait =
                self.backoff(self.config.retry_ms).wait_ms(self.holds, least_ms, &mut self.rng);
            self.held_until_ms = self.held_until_ms.max(now_ms.saturating_add(wait));
        } else if outcome.answers.iter().any(|answer| answer.fate == Fate::Accepted) {
            self.holds = 0;
        }
    }

    fn backoff(&self, base_ms: u64) -> Backoff {
        Backoff { base_ms, max_ms: self.config.retry_max_ms, at_least_half: true }
    }
}

/// Nobody has as many connections: it is not counted further.
const DUE_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn answer(fate: Fate) -> Answer {
        Answer { fate, code: None, failure: None }
    }

    fn outcome(fates: &[Fate]) -> Outcome {
        Outcome {
            answers: fates.iter().copied().map(answer).collect(),
            at_once: true,
            hold_ms: None,
        }
    }

    fn outbox() -> Outbox {
        Outbox::new(OutboxConfig::default(), 7)
    }

    #[test]
    fn goes_in_the_order_in_which_it_came_and_each_once() {
        let mut outbox = outbox();
        let numbers = [outbox.add(0, 1), outbox.add(0, 2), outbox.add(5, 1)];
        assert_eq!((outbox.len(), outbox.due(0), outbox.due(5)), (3, 2, 3));
        let taken: Vec<u64> =
            core::iter::from_fn(|| outbox.take(5)).map(|job| job.message).collect();
        assert_eq!(taken, numbers);
        assert_eq!((outbox.next_ms(5), outbox.due(5)), (None, 0));
        for message in numbers {
            let _ = outbox.settle(6, message, &outcome(&[Fate::Accepted, Fate::Refused]));
        }
        assert!(outbox.is_empty());
        assert_eq!(outbox.settle(7, 1, &outcome(&[Fate::Later])), Settled::default());
    }

    #[test]
    fn only_who_has_no_last_answer_has_it_again() {
        let mut outbox = outbox();
        let message = outbox.add(0, 4);
        let _ = outbox.take(0);
        let fates = [Fate::Accepted, Fate::Later, Fate::Unknown, Fate::Later];
        let settled = outbox.settle(0, message, &Outcome { at_once: false, ..outcome(&fates) });
        let told: Vec<(usize, Fate)> =
            settled.answers.iter().map(|(at, one)| (*at, one.fate)).collect();
        assert_eq!(told, [(0, Fate::Accepted), (2, Fate::Unknown)]);
        let again = settled.again_at_ms.unwrap();
        assert!((30_000..=60_000).contains(&again), "{again}");
        assert_eq!(outbox.take(again - 1), None);
        assert_eq!(outbox.take(again), Some(Job { message, recipients: vec![1, 3] }));
    }

    #[test]
    fn a_first_loss_costs_no_wait_and_a_message_that_is_lost_each_time_does() {
        let mut outbox = outbox();
        let message = outbox.add(0, 1);
        let _ = outbox.take(0);
        assert_eq!(outbox.settle(5, message, &outcome(&[Fate::Later])).again_at_ms, Some(5));
        let _ = outbox.take(5);
        let second = outbox.settle(5, message, &outcome(&[Fate::Later])).again_at_ms.unwrap();
        assert!(second >= 60_000, "{second}");
    }

    #[test]
    fn after_its_time_it_is_refused_with_what_was_said_last() {
        let mut outbox =
            Outbox::new(OutboxConfig { give_up_ms: 50_000, ..OutboxConfig::default() }, 7);
        let message = outbox.add(0, 1);
        let _ = outbox.take(0);
        let later = Answer { code: Some(450), ..answer(Fate::Later) };
        let refusal = Outcome { answers: vec![later.clone()], at_once: false, hold_ms: None };
        let again = outbox.settle(0, message, &refusal).again_at_ms.unwrap();
        assert!(again <= 50_000, "once more, at the end of its time");
        let _ = outbox.take(50_000);
        let settled = outbox.settle(50_000, message, &outcome(&[Fate::Later]));
        assert_eq!(settled.again_at_ms, None);
        assert_eq!(settled.answers, [(0, Answer { fate: Fate::Refused, ..later })]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_is_taken_back_is_not_sent_and_what_is_being_sent_is_not_taken_back() {
        let mut outbox = outbox();
        let (first, second) = (outbox.add(0, 1), outbox.add(0, 1));
        let _ = outbox.take(0);
        assert_eq!(
            [first, second, 7].map(|message| outbox.take_back(message)),
            [false, true, false]
        );
        assert_eq!((outbox.take(0), outbox.len()), (None, 1));
    }

    #[test]
    fn a_message_without_time_is_tried_again_after_a_loss_and_not_after_a_refusal() {
        let config = OutboxConfig { give_up_ms: 0, ..OutboxConfig::default() };
        let mut outbox = Outbox::new(config, 7);
        let (lost, refused) = (outbox.add(0, 1), outbox.add(0, 1));
        while outbox.take(10).is_some() {}
        assert_eq!(outbox.settle(10, lost, &outcome(&[Fate::Later])).again_at_ms, Some(10));
        let later = Outcome { at_once: false, ..outcome(&[Fate::Later]) };
        assert_eq!(outbox.settle(10, refused, &later).again_at_ms, None);
        let _ = outbox.take(10);
        assert_eq!(outbox.settle(20, lost, &outcome(&[Fate::Later])).again_at_ms, None);
    }

    #[test]
    fn every_limit_holds_in_every_window() {
        let limits = vec![(2, 1_000), (3, 10_000)];
        let mut outbox = Outbox::new(OutboxConfig { limits, ..OutboxConfig::default() }, 7);
        for _ in 0..8 {
            outbox.add(0, 1);
        }
        let mut sent = Vec::new();
        for now_ms in (0..30_000).step_by(100) {
            while outbox.take(now_ms).is_some() {
                sent.push(now_ms);
            }
        }
        assert_eq!(sent, [0, 0, 1_000, 10_000, 10_000, 11_000, 20_000, 20_000]);
    }

    #[test]
    fn a_server_that_takes_nothing_now_holds_all_and_longer_each_time() {
        let mut outbox = outbox();
        let (first, _second) = (outbox.add(0, 1), outbox.add(0, 1));
        let _ = outbox.take(0);
        let limited = Outcome { hold_ms: Some(90_000), at_once: false, ..outcome(&[Fate::Later]) };
        let _ = outbox.settle(0, first, &limited);
        let next = outbox.next_ms(0).unwrap();
        assert!(next >= 90_000, "what the server asks for is the least: {next}");
        assert_eq!((outbox.take(next - 1), outbox.due(next - 1)), (None, 0));
        let job = outbox.take(next).unwrap();
        let _ = outbox.settle(next, job.message, &Outcome { hold_ms: Some(0), ..limited });
        assert!(outbox.next_ms(next).unwrap() >= next + 60_000, "half of two minutes, at least");
        let at_ms = outbox.next_ms(next).unwrap();
        let job = outbox.take(at_ms).unwrap();
        let _ = outbox.settle(at_ms, job.message, &outcome(&[Fate::Accepted]));
        assert_eq!(outbox.holds, 0);
    }
}
