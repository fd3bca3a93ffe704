//! The joint rules: what follows from the state of all sessions together. Each leads to a state in which it does not
//! apply, and they are tried in this order:
//!
//! | joint state | then |
//! |---|---|
//! | a session, a probe or a token request past its time | that is carried out, or has failed |
//! | a connection that nobody wants, for too long | it is closed |
//! | somebody waits, and there is a stop or a mistake | it is raised |
//! | somebody waits, and a connection is logged in | it is given |
//! | somebody waits for longer than the policy says, and something failed | it is raised |
//! | somebody waits, and may open: wait over, place free, a token | one is opened |
//! | a connection's end is near, and a newer token is there | it may be renewed |
//! | the same, without such a token | the source is asked |

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use super::Account;
use super::member::{Attempt, Doubt, Login, Member};
use super::plan::{AccountEvent, AccountPlan, Delivery, EventKind, Order, Raise, RaiseKind};
use super::tokens::Needed;
use crate::config::Protocol;
use crate::failure::Cause;
use crate::session::{Input, RenewWhy, Renewal, Supply, WakeReason, Wish};

/// Rounds for each session in which the rules come to rest.
const ROUNDS_MAX: usize = 8;

/// The earliest of times.
#[derive(Debug, Default, Clone, Copy)]
struct Earliest(Option<u64>);

impl Earliest {
    fn note(&mut self, at_ms: u64) {
        self.0 = Some(self.0.map_or(at_ms, |before_ms| before_ms.min(at_ms)));
    }
}

/// Why a session does not open a connection now.
enum Hindrance {
    /// Nothing is to be opened.
    Unwanted,
    /// None: it may open one.
    None,
    /// Not before this time.
    Until(u64),
    /// Until another session has given its place back, or until this time.
    Place(Option<u64>),
    /// Until another session has tried the token.
    Trial,
    /// Until there is a token.
    Token,
}

impl Account {
    pub(super) fn settle(&mut self, mut plan: AccountPlan) -> AccountPlan {
        for _ in 0..ROUNDS_MAX.saturating_mul(self.members.len().saturating_add(1)) {
            if !self.round(&mut plan) {
                break;
            }
        }
        let wake_at_ms = self.next_wake(&mut plan);
        self.wake_at_ms = wake_at_ms.map(|at_ms| at_ms.max(self.now_ms.saturating_add(1)));
        plan.wake_at_ms = self.wake_at_ms;
        plan
    }

    /// Applies one rule to each session; false when none applies any more.
    fn round(&mut self, plan: &mut AccountPlan) -> bool {
        if self.closed {
            return false;
        }
        let mut changed = self.note_late_token(plan);
        for at in 0..self.members.len() {
            changed |= self.tick(at, plan)
                || self.see_doubts(at, plan)
                || self.close_parked(at, plan)
                || self.raise_stop(at, plan)
                || self.raise_mistake(at, plan)
                || self.give(at, plan)
                || self.raise_late(at, plan);
        }
        changed || self.open(plan) || self.renew(plan)
    }

    fn note_late_token(&mut self, plan: &mut AccountPlan) -> bool {
        let (config, rng) = (&self.config, &mut self.rng);
        let Some(request) = self.tokens.late(self.now_ms, config, rng) else { return false };
        self.say_token_failed(request, plan);
        true
    }

    fn tick(&mut self, at: usize, plan: &mut AccountPlan) -> bool {
        let now_ms = self.now_ms;
        let Some(member) = self.members.get_mut(at) else { return false };
        if member.wake_at_ms().is_none_or(|at_ms| now_ms < at_ms) {
            return false;
        }
        if let Ok(orders) = member.session.handle(now_ms, Input::Tick) {
            self.obey(at, orders, plan);
        }
        true
    }

    fn close_parked(&mut self, at: usize, plan: &mut AccountPlan) -> bool {
        let now_ms = self.now_ms;
        let parked = self.members.get(at).and_then(|member| {
            let ready = member.ready.as_ref().filter(|_| member.want.is_none())?;
            // While the predecessor is let go, the program is on its way.
            (member.leaving.is_none() && now_ms >= ready.until_ms).then_some(())
        });
        if parked.is_some() {
            self.drop_parked(at, plan);
        }
        parked.is_some()
    }

    fn raise_stop(&mut self, at: usize, plan: &mut AccountPlan) -> bool {
        let Some(member) = self.members.get_mut(at) else { return false };
        if member.ready.is_some() || member.given.is_some() {
            return false;
        }
        let Some(stop) = self.stops.of(member.session.service()) else { return false };
        if member.want.take().is_none() {
            return false;
        }
        let raise = Raise {
            session: member.key,
            kind: stop.kind,
            failure: stop.failure.clone(),
            request: stop.request,
            ticket: stop.ticket,
        };
        plan.deliveries.push(Delivery::Raise(raise.into()));
        true
    }

    /// To all who wait, else to who comes next.
    fn raise_mistake(&mut self, at: usize, plan: &mut AccountPlan) -> bool {
        let wanted = self.members.get(at).is_some_and(|member| member.want.is_some());
        if !wanted {
            return false;
        }
        let Some((request, failure)) = self.mistake.take() else { return false };
        for member in &mut self.members {
            if member.want.take().is_some() {
                let raise = Raise {
                    session: member.key,
                    kind: RaiseKind::Mistake,
                    failure: (*failure).clone(),
                    request: Some(request),
                    ticket: None,
                };
                plan.deliveries.push(Delivery::Raise(raise.into()));
            }
        }
        true
    }

    fn give(&mut self, at: usize, plan: &mut AccountPlan) -> bool {
        let now_ms = self.now_ms;
        let Some(member) = self.members.get_mut(at) else { return false };
        if member.want.is_none() {
            return false;
        }
        let Some(ready) = member.ready.take() else { return false };
        member.want = None;
        member.given = Some(ready.given.ticket);
        let idle_ms = member.idle_ms();
        member.doubt = Doubt::begin(now_ms, idle_ms, &self.config, &mut self.rng);
        plan.deliveries.push(Delivery::Give(ready.given.into()));
        true
    }

    /// The policy for a first connection, and for later ones. Who only waits for a place has no failure to be told.
    fn raise_late(&mut self, at: usize, plan: &mut AccountPlan) -> bool {
        let late = self.members.get(at).and_then(|member| {
            let until_ms = self.patience_until_ms(member)?;
            (self.now_ms >= until_ms).then_some(())
        });
        if late.is_some() {
            self.give_up(at, plan);
        }
        late.is_some()
    }

    /// Until when failures are waited out.
    fn patience_until_ms(&self, member: &Member) -> Option<u64> {
        let want = member.want.filter(|_| member.given.is_none() && member.ready.is_none())?;
        let limited = member.failed.as_ref().is_some_and(|failed| {
            failed.failure.cause == Cause::TooManyConnections
                && self.online_at(member.session.service()) > 0
        });
        let failed = member.failed.is_some() || self.tokens.problem().is_some();
        if limited || !failed {
            return None;
        }
        let is_first = member.session.generation() == 0;
        let patience_ms = if is_first { self.config.first_ms } else { self.config.later_ms };
        Some(want.since_ms.saturating_add(patience_ms?))
    }

    // ---- Towards the next connection -----------------------------------------------------------------------------

    /// Sessions that somebody waits for: who came first is served first.
    fn waiting(&self) -> Vec<usize> {
        let wanted = self.members.iter().enumerate();
        let mut turns: Vec<(u64, usize)> =
            wanted.filter_map(|(at, member)| Some((member.want?.turn, at))).collect();
        turns.sort_unstable();
        turns.into_iter().map(|(_, at)| at).collect()
    }

    /// Opens one connection, or asks for the token that is missing for it.
    fn open(&mut self, plan: &mut AccountPlan) -> bool {
        for at in self.waiting() {
            match self.hindrance(at) {
                Hindrance::None if self.is_wishing(at) => {
                    self.supply(at, plan);
                    return true;
                }
                Hindrance::Token if self.ask(plan) => return true,
                Hindrance::Unwanted
                | Hindrance::None
                | Hindrance::Token
                | Hindrance::Until(_)
                | Hindrance::Place(_)
                | Hindrance::Trial => {}
            }
        }
        false
    }

    /// Whether a connection is to be opened for who waits.
    fn is_wishing(&self, at: usize) -> bool {
        let wish = self.members.get(at).and_then(|member| member.session.wish());
        matches!(wish, Some(Wish::Login { .. }))
    }

    /// Sees to renewals: they need no `Want`, for the program has the connection.
    fn renew(&mut self, plan: &mut AccountPlan) -> bool {
        let mut satisfied = true;
        for at in 0..self.members.len() {
            let Some(member) = self.members.get_mut(at) else { continue };
            member.session.advance(self.now_ms);
            if member.given.is_none() {
                if matches!(self.hindrance(at), Hindrance::Token) {
                    satisfied = false;
                }
                continue;
            }
            let Some(Wish::Renewal { .. }) = member.session.wish() else { continue };
            match self.hindrance(at) {
                Hindrance::None if self.begin_renewal(at, plan) => return true,
                Hindrance::Token => {
                    satisfied = false;
                    if self.ask(plan) {
                        return true;
                    }
                }
                Hindrance::Unwanted
                | Hindrance::None
                | Hindrance::Until(_)
                | Hindrance::Place(_)
                | Hindrance::Trial => {}
            }
        }
        if satisfied {
            self.tokens.satisfied();
        }
        false
    }

    /// True when something was ordered.
    fn begin_renewal(&mut self, at: usize, plan: &mut AccountPlan) -> bool {
        let now_ms = self.now_ms;
        let Some(member) = self.members.get_mut(at) else { return false };
        if member.session.config().renewal == Renewal::Overlap {
            self.supply(at, plan);
            return true;
        }
        let orders = member.session.may_be_renewed(now_ms);
        let renews = !orders.actions.is_empty();
        self.obey(at, orders, plan);
        renews
    }

    /// What a session's next connection waits for.
    fn hindrance(&mut self, at: usize) -> Hindrance {
        let now_ms = self.now_ms;
        let Some(member) = self.members.get_mut(at) else { return Hindrance::Unwanted };
        member.session.advance(now_ms);
        let Some(wish) = member.session.wish() else { return Hindrance::Unwanted };
        let Some(member) = self.members.get(at) else { return Hindrance::Unwanted };
        let service = member.session.service();
        if self.stops.of(service).is_some() {
            return Hindrance::Unwanted;
        }
        let (at_ms, opens, needed) = match wish {
            Wish::Login { .. } if member.want.is_none() => return Hindrance::Unwanted,
            Wish::Login { at_ms } => {
                // Where the source has no other token, the same one is tried again, and counts.
                let other_than = member.other_than.filter(|_| !self.tokens.has_no_newer());
                (at_ms, true, Needed { other_than, outlives_ms: None })
            }
            Wish::Renewal { .. } if member.given.is_none() => return Hindrance::Unwanted,
            Wish::Renewal { why, at_ms, overlaps } => {
                (at_ms, overlaps, renewal_needs(why, member.login))
            }
        };
        // What works is not let go for a login that cannot be.
        let until_ms =
            at_ms.max(self.places.throttled_until_ms(service)).max(self.lost_until_ms.unwrap_or(0));
        if until_ms > now_ms {
            return Hindrance::Until(until_ms);
        }
        if opens {
            let known = member.session.config().limits.connections;
            let limit = self.places.limit(now_ms, service, known);
            if limit.is_some_and(|limit| self.open_at(service) >= limit) {
                return Hindrance::Place(self.places.retry_at_ms(now_ms, service));
            }
        }
        if self.tokens.fit(now_ms, needed, &self.config).is_none() {
            return Hindrance::Token;
        }
        let others_try = self.members.iter().any(|member| member.attempt.is_some());
        if opens && self.tokens.is_suspect() && others_try {
            return Hindrance::Trial;
        }
        Hindrance::None
    }

    /// Connections of a service that are open or on their way.
    fn open_at(&self, service: Protocol) -> u32 {
        let of = self.members.iter().filter(|member| member.session.service() == service);
        of.map(Member::open).sum()
    }

    fn supply(&mut self, at: usize, plan: &mut AccountPlan) {
        let now_ms = self.now_ms;
        let Some(good) = self.tokens.fit(now_ms, Needed::default(), &self.config).cloned() else {
            return;
        };
        let Some(member) = self.members.get_mut(at) else { return };
        let ticket = self.tickets.saturating_add(1);
        let supply = Supply {
            token: good.token,
            received_at_ms: good.received_at_ms,
            expires_at_ms: good.expires_at_ms,
            ticket,
        };
        let login = Login { fingerprint: good.fingerprint, expires_at_ms: good.expires_at_ms };
        let orders = member.session.supply(now_ms, supply);
        if member.session.attempt_ticket() == Some(ticket) {
            self.tickets = ticket;
            member.other_than = None;
            member.attempt = Some(Box::new(Attempt { ticket, login, token_sent: false }));
        }
        self.obey(at, orders, plan);
    }

    /// Asks the source, if that may be done now.
    fn ask(&mut self, plan: &mut AccountPlan) -> bool {
        let (config, rng) = (&self.config, &mut self.rng);
        let Ok(ask) = self.tokens.want(self.now_ms, config, rng) else { return false };
        let text = if ask.force { "past its cache" } else { "" };
        let event = AccountEvent {
            text: text.into(),
            ..AccountEvent::of_source(EventKind::FetchingToken, ask.request)
        };
        plan.deliveries.push(Delivery::Event(event.into()));
        let (request, force, refused) = (ask.request, ask.force, ask.refused);
        plan.orders.push(Order::FetchToken { request, force, refused });
        true
    }

    // ---- The next wake -------------------------------------------------------------------------------------------

    fn next_wake(&mut self, plan: &mut AccountPlan) -> Option<u64> {
        if self.closed {
            return None;
        }
        let now_ms = self.now_ms;
        let mut earliest = Earliest(self.tokens.deadline_ms());
        for at in 0..self.members.len() {
            let hindrance = self.hindrance(at);
            let Some(member) = self.members.get(at) else { continue };
            let doubt_ms = member.given.and_then(|_| member.doubt.wake_at_ms());
            let parked_ms = member
                .ready
                .as_ref()
                .filter(|_| member.want.is_none() && member.leaving.is_none())
                .map(|ready| ready.until_ms);
            let patience_ms = self.patience_until_ms(member);
            for at_ms in [member.wake_at_ms(), doubt_ms, parked_ms, patience_ms] {
                at_ms.into_iter().for_each(|at_ms| earliest.note(at_ms));
            }
            match hindrance {
                Hindrance::Unwanted | Hindrance::None | Hindrance::Trial => {}
                Hindrance::Until(until_ms) => {
                    earliest.note(until_ms);
                    self.warn_of_short_tokens(at, plan);
                    self.tell_wait(at, until_ms, WakeReason::BackOff, plan);
                }
                Hindrance::Place(until_ms) => {
                    until_ms.into_iter().for_each(|until_ms| earliest.note(until_ms));
                }
                Hindrance::Token => {
                    if let Some(until_ms) = self.tokens.next_ms(now_ms) {
                        earliest.note(until_ms);
                        self.tell_wait(at, until_ms, WakeReason::TokenBackOff, plan);
                    }
                }
            }
        }
        earliest.0
    }

    /// Tells once that it is the token source that leads to so many logins.
    fn warn_of_short_tokens(&mut self, at: usize, plan: &mut AccountPlan) {
        let Some(member) = self.members.get(at).filter(|one| one.session.is_held_by_budget())
        else {
            return;
        };
        let interval_ms = member.session.config().login_interval_ms;
        let Some(life_ms) = self.tokens.short_life_ms(interval_ms) else { return };
        let text = format!(
            "tokens live for {life_ms} ms here: logins are held back to one in {interval_ms} ms, and then to fewer"
        );
        let event = AccountEvent {
            cause: Some(Cause::TokenExpired),
            text,
            ..AccountEvent::new(EventKind::Limited)
        };
        plan.deliveries.push(Delivery::Event(event.into()));
    }

    /// Tells once that nothing is tried for a while.
    fn tell_wait(&mut self, at: usize, until_ms: u64, reason: WakeReason, plan: &mut AccountPlan) {
        let Some(member) = self.members.get_mut(at) else { return };
        if member.want.is_none() || member.told_ms == until_ms {
            return;
        }
        member.told_ms = until_ms;
        let event = AccountEvent {
            session: Some(member.key),
            text: reason.as_str().into(),
            wait_ms: Some(until_ms.saturating_sub(self.now_ms)),
            ..AccountEvent::new(EventKind::Waiting)
        };
        plan.deliveries.push(Delivery::Event(event.into()));
    }
}

/// What the token for a renewal must be: where only the time of the connection is near, any good one will do.
fn renewal_needs(why: RenewWhy, login: Login) -> Needed {
    match why {
        RenewWhy::TokenExpiry => {
            Needed { other_than: Some(login.fingerprint), outlives_ms: login.expires_at_ms }
        }
        RenewWhy::SessionLimit | RenewWhy::LearntLimit => Needed::default(),
    }
}
