//! What becomes of a session's orders, and of the ends of its connections.

use alloc::boxed::Box;
use alloc::string::ToString;

use super::Account;
use super::member::{Attempt, Failed, Ready};
use super::plan::{AccountEvent, AccountPlan, Delivery, EventKind, Given, Order, Raise, RaiseKind};
use super::stops::{Stop, is_hopeless, is_of_account, is_of_network};
use crate::config::Protocol;
use crate::failure::{Advice, Cause, Certainty, Failure, Verdict};
use crate::session::{Action, Input, Plan};

/// A connection that nobody wants any more is kept for so long: who cancels a wait often waits again.
const PARKED_MS: u64 = 60_000;

impl Account {
    // ---- Facts ---------------------------------------------------------------------------------------------------

    /// Tells the session what is its own. The call was checked before.
    pub(super) fn told(&mut self, ticket: u64, input: Input, plan: &mut AccountPlan) {
        let Some(at) = self.place_of(ticket) else { return };
        let now_ms = self.now_ms;
        let Some(member) = self.members.get_mut(at) else { return };
        if let Ok(orders) = member.session.handle(now_ms, input) {
            self.obey(at, orders, plan);
        }
    }

    pub(super) fn ended(&mut self, ticket: u64, failure: Option<Failure>, plan: &mut AccountPlan) {
        let cause = failure.as_ref().map(|failure| failure.cause);
        self.problem = failure.map(Box::new);
        self.told(ticket, Input::Ended { ticket, last_line: None, cause }, plan);
        self.problem = None;
    }

    pub(super) fn let_go(&mut self, ticket: u64, plan: &mut AccountPlan) {
        let Some(at) = self.place_of(ticket) else { return };
        let now_ms = self.now_ms;
        let Some(member) = self.members.get_mut(at) else { return };
        let (given, leaving) = (member.given, member.leaving);
        member.given = given.filter(|given| *given != ticket);
        member.leaving = leaving.filter(|leaving| *leaving != ticket);
        if (given, leaving) == (member.given, member.leaving) {
            // The program does not have it.
            return;
        }
        self.wait_begins(at);
        let Some(member) = self.members.get_mut(at) else { return };
        let event = AccountEvent {
            session: Some(member.key),
            ticket: Some(ticket),
            cause: Some(Cause::NoFault),
            ..AccountEvent::new(EventKind::Ended)
        };
        plan.deliveries.push(Delivery::Event(event.into()));
        if let Ok(orders) = member.session.handle(now_ms, Input::Drained { ticket }) {
            self.obey(at, orders, plan);
        }
    }

    /// Who waited while there was a connection waits in earnest from now on.
    fn wait_begins(&mut self, at: usize) {
        let now_ms = self.now_ms;
        if let Some(want) = self.members.get_mut(at).and_then(|member| member.want.as_mut()) {
            want.since_ms = now_ms;
        }
    }

    // ---- Orders of a session -------------------------------------------------------------------------------------

    /// Turns what a session orders into orders for the host, and sees what has ended.
    pub(super) fn obey(&mut self, at: usize, orders: Plan, plan: &mut AccountPlan) {
        let mut stop = None;
        for action in orders.actions {
            match action {
                // A session of an account asks for none.
                Action::FetchToken { .. } => {}
                Action::Connect { ticket, attempt } => self.opens(at, ticket, attempt, plan),
                Action::Send { ticket, bytes, sensitive } => {
                    self.note_token_sent(at, sensitive);
                    plan.orders.push(Order::Send { ticket, bytes, sensitive });
                }
                Action::StartTls { ticket } => plan.orders.push(Order::StartTls { ticket }),
                Action::Online {
                    ticket,
                    generation,
                    mechanism,
                    capabilities,
                    leftover,
                    resumed,
                } => {
                    let Some(member) = self.members.get(at) else { continue };
                    let session = member.key;
                    let given = Given {
                        session,
                        ticket,
                        generation,
                        mechanism,
                        capabilities,
                        leftover,
                        resumed,
                    };
                    self.online(at, given, plan);
                }
                Action::Renew { ticket, by_ms, why } => {
                    let Some(member) = self.members.get(at) else { continue };
                    let session = member.key;
                    if member.given != Some(ticket) && member.leaving != Some(ticket) {
                        self.drop_parked(at, plan);
                        continue;
                    }
                    let event = AccountEvent {
                        session: Some(session),
                        ticket: Some(ticket),
                        text: why.to_string(),
                        wait_ms: Some(by_ms.saturating_sub(self.now_ms)),
                        ..AccountEvent::new(EventKind::Renewing)
                    };
                    plan.deliveries.push(Delivery::Event(event.into()));
                    plan.deliveries.push(Delivery::Renew { session, ticket, by_ms, why });
                }
                Action::Close { ticket, .. } => plan.orders.push(Order::Close { ticket }),
                Action::NeedsUser(failure) => stop = Some((RaiseKind::NeedsUser, failure)),
                Action::GiveUp(failure) => stop = Some((RaiseKind::GaveUp, failure)),
            }
        }
        self.see_ends(at, plan);
        if let Some((kind, failure)) = stop {
            self.stop_session(at, kind, failure, plan);
        }
    }

    fn opens(&mut self, at: usize, ticket: u64, attempt: u32, plan: &mut AccountPlan) {
        let Some(member) = self.members.get(at) else { return };
        let session = member.key;
        let event = AccountEvent {
            session: Some(session),
            ticket: Some(ticket),
            ..AccountEvent::new(EventKind::Connecting)
        };
        plan.deliveries.push(Delivery::Event(event.into()));
        plan.orders.push(Order::Open { ticket, session, attempt });
    }

    fn note_token_sent(&mut self, at: usize, sensitive: bool) {
        let attempt = self.members.get_mut(at).and_then(|member| member.attempt.as_deref_mut());
        if let Some(attempt) = attempt {
            attempt.token_sent |= sensitive;
        }
    }

    fn online(&mut self, at: usize, given: Given, plan: &mut AccountPlan) {
        let now_ms = self.now_ms;
        let Some(member) = self.members.get_mut(at) else { return };
        if let Some(attempt) = member.attempt.take() {
            member.login = attempt.login;
        }
        self.tokens.accepted(now_ms, member.login.fingerprint);
        member.failed = None;
        member.waits_for_network = false;
        if let Some(predecessor) = member.given.take() {
            member.leaving = Some(predecessor);
        }
        let event = AccountEvent {
            session: Some(given.session),
            ticket: Some(given.ticket),
            generation: Some(given.generation),
            ..AccountEvent::new(EventKind::Online)
        };
        plan.deliveries.push(Delivery::Event(event.into()));
        plan.orders.push(Order::Pause { ticket: given.ticket });
        let until_ms = now_ms.saturating_add(PARKED_MS);
        member.ready = Some(Box::new(Ready { given, until_ms }));
        let service = member.session.service();
        self.places.logged_in(now_ms, service, self.online_at(service));
    }

    // ---- Ends ----------------------------------------------------------------------------------------------------

    /// Compares what the session has with what it had: what is gone has ended.
    fn see_ends(&mut self, at: usize, plan: &mut AccountPlan) {
        let Some(member) = self.members.get_mut(at) else { return };
        let (attempt, live, leaving) = (
            member.session.attempt_ticket(),
            member.session.live_ticket(),
            member.session.leaving_ticket(),
        );
        let lost = member.attempt.take_if(|one| attempt != Some(one.ticket)).map(|one| *one);
        let unseen = member.ready.take_if(|ready| live != Some(ready.given.ticket));
        let given = member.given.take_if(|ticket| live != Some(*ticket));
        let late = member.leaving.take_if(|ticket| leaving != Some(*ticket));
        if unseen.is_some() || given.is_some() {
            member.session.mask_ending(|text| self.tokens.redact(text));
        }
        if let Some(attempt) = lost {
            self.attempt_failed(at, attempt, plan);
        }
        if let Some(ready) = unseen {
            let verdict = self.verdict_at_end(at);
            self.note_end(at, ready.given.ticket, &verdict, plan);
        }
        if let Some(ticket) = given {
            let verdict = self.verdict_at_end(at);
            self.over(at, ticket, verdict, plan);
        }
        if let Some(ticket) = late {
            // It was not let go in time, while its successor is there.
            let (cause, advice) = (Cause::SessionLimit, Advice::Reconnect);
            self.over(
                at,
                ticket,
                Verdict::new(cause, advice, Certainty::Inferred, "renewal"),
                plan,
            );
        }
    }

    fn verdict_at_end(&self, at: usize) -> Verdict {
        let seen = self.members.get(at).and_then(|member| member.session.last_ending().cloned());
        seen.unwrap_or_else(|| Verdict::of_host(Cause::ConnectionLost))
    }

    /// The program's connection has ended.
    fn over(&mut self, at: usize, ticket: u64, verdict: Verdict, plan: &mut AccountPlan) {
        self.wait_begins(at);
        self.note_end(at, ticket, &verdict, plan);
        let Some(member) = self.members.get(at) else { return };
        let aftermath = member.session.aftermath();
        plan.deliveries.push(Delivery::Over { session: member.key, ticket, verdict, aftermath });
    }

    /// What the end of a connection says of token, limits and network.
    fn note_end(&mut self, at: usize, ticket: u64, verdict: &Verdict, plan: &mut AccountPlan) {
        let now_ms = self.now_ms;
        let Some(member) = self.members.get_mut(at) else { return };
        let (service, login) = (member.session.service(), member.login);
        member.waits_for_network = is_of_network(verdict.cause);
        let event = AccountEvent {
            session: Some(member.key),
            ticket: Some(ticket),
            cause: Some(verdict.cause),
            ..AccountEvent::new(EventKind::Ended)
        };
        plan.deliveries.push(Delivery::Event(event.into()));
        if verdict.cause == Cause::NotConnected {
            member.other_than = Some(login.fingerprint);
        }
        if verdict.cause == Cause::TokenExpired {
            // Also where only the clock says so: a cache may think otherwise.
            self.tokens.retire(now_ms, login.fingerprint);
        }
        if verdict.cause == Cause::TooManyConnections {
            self.limit_met(service, plan);
        }
        if verdict.cause == Cause::RateLimited || verdict.wait_ms.is_some() {
            let (config, rng) = (&self.config, &mut self.rng);
            self.places.throttle(now_ms, service, verdict.wait_ms, config, rng);
        }
    }

    fn attempt_failed(&mut self, at: usize, attempt: Attempt, plan: &mut AccountPlan) {
        let now_ms = self.now_ms;
        let Some(member) = self.members.get_mut(at) else { return };
        let Some(seen) = member.session.last_failure() else { return };
        // What the host itself saw says more: which certificate, which address.
        let told = self.problem.take().filter(|problem| problem.cause == seen.cause);
        let failure = match told {
            Some(told) => Failure { advice: seen.advice, ..*told },
            None => seen.clone(),
        };
        let (session, service) = (member.key, member.session.service());
        member.waits_for_network = is_of_network(failure.cause);
        member.failed = Some(Box::new(Failed { failure: failure.clone(), ticket: attempt.ticket }));
        let event = AccountEvent {
            session: Some(session),
            ticket: Some(attempt.ticket),
            cause: Some(failure.cause),
            text: failure.to_string(),
            ..AccountEvent::new(EventKind::LoginFailed)
        };
        plan.deliveries.push(Delivery::Event(event.into()));
        if failure.cause == Cause::TooManyConnections {
            self.limit_met(service, plan);
        }
        if failure.cause == Cause::RateLimited || failure.wait_ms.is_some() {
            let (config, rng) = (&self.config, &mut self.rng);
            self.places.throttle(now_ms, service, failure.wait_ms, config, rng);
        }
        let is_of_token = matches!(failure.cause, Cause::TokenRejected | Cause::TokenExpired)
            || failure.advice == Advice::RefreshToken;
        if is_of_token && attempt.token_sent {
            self.refused(attempt, failure, plan);
        } else if is_hopeless(failure.cause) {
            self.raise_hopeless(at, plan);
        }
    }

    fn refused(&mut self, attempt: Attempt, failure: Failure, plan: &mut AccountPlan) {
        let fingerprint = attempt.login.fingerprint;
        if self.tokens.refuse(self.now_ms, fingerprint) {
            let failure = Failure { advice: Advice::AskUser, ..failure };
            self.stop_all(RaiseKind::NeedsUser, failure, None, Some(attempt.ticket), plan);
            return;
        }
        // Logins under way that have not sent it do not send it any more.
        for at in 0..self.members.len() {
            let under_way = self.members.get(at).and_then(|member| member.attempt.as_deref());
            let unsent = under_way
                .is_some_and(|one| !one.token_sent && one.login.fingerprint == fingerprint);
            if unsent {
                self.abandon(at, plan);
            }
        }
    }

    /// Before a first connection, what does not get better is raised at once.
    fn raise_hopeless(&mut self, at: usize, plan: &mut AccountPlan) {
        let Some(member) = self.members.get(at) else { return };
        if member.session.generation() == 0 {
            self.give_up(at, plan);
        }
    }

    /// Raises the last failure to who waits. It is no stop: who wants again is served again.
    pub(super) fn give_up(&mut self, at: usize, plan: &mut AccountPlan) {
        let token = self.tokens.problem().cloned();
        let Some(member) = self.members.get_mut(at) else { return };
        let failed = member.failed.as_ref();
        let raise = match (failed, token) {
            (Some(failed), _) => Raise {
                session: member.key,
                kind: RaiseKind::GaveUp,
                failure: failed.failure.clone(),
                request: None,
                ticket: Some(failed.ticket),
            },
            (None, Some((request, failure))) => Raise {
                session: member.key,
                kind: RaiseKind::GaveUp,
                failure: *failure,
                request: Some(request),
                ticket: None,
            },
            (None, None) => return,
        };
        if member.want.take().is_some() {
            member.failed = None;
            let event = AccountEvent {
                session: Some(raise.session),
                cause: Some(raise.failure.cause),
                text: raise.failure.to_string(),
                ..AccountEvent::new(EventKind::GaveUp)
            };
            plan.deliveries.push(Delivery::Event(event.into()));
            plan.deliveries.push(Delivery::Raise(raise.into()));
        }
    }

    /// Drops a connection on its way, which is no failure.
    pub(super) fn abandon(&mut self, at: usize, plan: &mut AccountPlan) {
        let Some(member) = self.members.get_mut(at) else { return };
        if let Some(attempt) = member.attempt.take() {
            member.session.abandon();
            plan.orders.push(Order::Close { ticket: attempt.ticket });
        }
    }

    /// Closes a connection that the program does not have, and does not want.
    pub(super) fn drop_parked(&mut self, at: usize, plan: &mut AccountPlan) {
        let now_ms = self.now_ms;
        let Some(member) = self.members.get_mut(at) else { return };
        let Some(ready) = member.ready.take() else { return };
        let ticket = ready.given.ticket;
        if let Ok(orders) = member.session.handle(now_ms, Input::Drained { ticket }) {
            self.obey(at, orders, plan);
        }
    }

    fn limit_met(&mut self, service: Protocol, plan: &mut AccountPlan) {
        let others = self.online_at(service);
        if self.places.met(self.now_ms, service, others) {
            let text = alloc::format!("{service}: {} at a time", others.max(1));
            let event = AccountEvent { text, ..AccountEvent::new(EventKind::Limited) };
            plan.deliveries.push(Delivery::Event(event.into()));
        }
    }

    pub(super) fn online_at(&self, service: Protocol) -> u32 {
        let of = self.members.iter().filter(|member| member.session.service() == service);
        of.map(super::member::Member::online).sum()
    }

    // ---- Stops ---------------------------------------------------------------------------------------------------

    fn stop_session(
        &mut self,
        at: usize,
        kind: RaiseKind,
        failure: Failure,
        plan: &mut AccountPlan,
    ) {
        let Some(member) = self.members.get(at) else { return };
        let of_account = is_of_account(failure.cause);
        let service = (!of_account).then(|| member.session.service());
        let failed = member.failed.as_ref();
        let told = failed.filter(|failed| failed.failure.cause == failure.cause);
        let ticket = told.map(|failed| failed.ticket);
        // The words that the host itself had.
        let failure = match told {
            Some(failed) => Failure { advice: failure.advice, ..failed.failure.clone() },
            None => failure,
        };
        self.stop(Stop { service, kind, failure, request: None, ticket }, plan);
    }

    pub(super) fn stop_all(
        &mut self,
        kind: RaiseKind,
        failure: Failure,
        request: Option<u64>,
        ticket: Option<u64>,
        plan: &mut AccountPlan,
    ) {
        self.stop(Stop { service: None, kind, failure, request, ticket }, plan);
    }

    /// Nothing is tried behind a stop; what works goes on.
    fn stop(&mut self, mut stop: Stop, plan: &mut AccountPlan) {
        stop.failure.mask(|text| self.tokens.redact(text));
        let event = AccountEvent {
            request: stop.request,
            ticket: stop.ticket,
            cause: Some(stop.failure.cause),
            text: stop.failure.to_string(),
            ..AccountEvent::new(match stop.kind {
                RaiseKind::NeedsUser => EventKind::NeedsUser,
                RaiseKind::GaveUp | RaiseKind::Mistake => EventKind::GaveUp,
            })
        };
        if self.stops.add(stop) {
            plan.deliveries.push(Delivery::Event(event.into()));
        }
        for at in 0..self.members.len() {
            let Some(member) = self.members.get(at) else { continue };
            if self.stops.of(member.session.service()).is_some() {
                self.abandon(at, plan);
                self.drop_parked(at, plan);
            }
        }
    }
}
