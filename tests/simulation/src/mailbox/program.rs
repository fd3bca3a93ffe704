//! The program and its person: what they want, and when.

use std::cmp::Reverse;

use mailbearer::{Account, Cause, Delivery, Fact, Failure, NoToken, Raise, RaiseKind};

use super::{
    Event, FAULTS_END_MS, HOUR_MS, MINUTE_MS, Mailbox, MailboxBug, Outcome, SECOND_MS, Trouble,
    account_config, session_config,
};

impl Mailbox {
    pub(super) fn deliver(&mut self, account: usize, delivery: Delivery) -> Outcome {
        match delivery {
            Delivery::Give(given) => {
                let session = self.session(account, given.session);
                self.report.given += 1;
                let Some(socket) = self.sockets.get_mut(&(account, given.ticket)) else {
                    return Err("given, and not open");
                };
                socket.given = true;
                socket.logged_in_at_ms = Some(self.now_ms);
                self.evict();
                self.plot(account, given.ticket, self.protocol(session));
                if std::mem::take(&mut self.wanted[session]) {
                    Ok(())
                } else {
                    Err("given, and nobody wanted it")
                }
            }
            Delivery::Renew { ticket, .. } => {
                self.after(0, 20 * SECOND_MS, Event::LetGo(self.number(account, ticket)));
                Ok(())
            }
            Delivery::Over { session, ticket, verdict, .. } => {
                let session = self.session(account, session);
                self.hang_up(account, ticket);
                self.after(0, SECOND_MS, Event::Want(session));
                if self.naps && verdict.rule == "woke" {
                    return self.breaks_another("a nap ended a connection that lives");
                }
                Ok(())
            }
            Delivery::Raise(raise) => self.raised(account, &raise),
            Delivery::End { .. } => Err("an end that nobody asked for"),
            Delivery::Event(event) => {
                if self.traced {
                    println!("{:>12} {account}   {event:?}", self.now_ms);
                }
                Ok(())
            }
        }
    }

    pub(super) fn raised(&mut self, account: usize, raise: &Raise) -> Outcome {
        let session = self.session(account, raise.session);
        if !std::mem::take(&mut self.wanted[session]) {
            return Err("raised, and nobody wanted anything");
        }
        if raise.kind == RaiseKind::NeedsUser {
            self.report.called += 1;
            self.called[session] = true;
            self.is_called |= raise.failure.cause == Cause::TokenUnavailable;
            if self.bug == Some(MailboxBug::NobodyCalled) {
                self.refused.clear();
                self.tell(account, Fact::Retry)?;
                self.after(0, SECOND_MS, Event::Want(session));
                return Ok(());
            }
            // The person comes late; the program asks now and then.
            let late_ms = if self.now_ms < FAULTS_END_MS { 6 * HOUR_MS } else { 10 * MINUTE_MS };
            if !std::mem::replace(&mut self.retry_is_near, true) {
                self.after(MINUTE_MS, late_ms, Event::Retry);
            }
            self.after(MINUTE_MS, 2 * HOUR_MS, Event::Want(session));
            return Ok(());
        }
        self.after(SECOND_MS, MINUTE_MS, Event::Want(session));
        Ok(())
    }

    pub(super) fn happen(&mut self, event: Event) -> Outcome {
        match event {
            Event::Want(session) => {
                let holds = self.sockets.values().any(|one| one.session == session && one.given);
                if self.wanted[session] || holds {
                    return Ok(());
                }
                self.wanted[session] = true;
                let (account, key, _) = self.sessions[session];
                self.tell(account, Fact::Want { session: key })
            }
            Event::LetGo(number) => {
                let (account, ticket) = self.of_number(number);
                let Some(socket) = self.sockets.get(&(account, ticket)).copied() else {
                    return Ok(());
                };
                self.tell(account, Fact::LetGo { ticket })?;
                self.hang_up(account, ticket);
                self.after(0, SECOND_MS, Event::Want(socket.session));
                Ok(())
            }
            Event::Retry => self.retry(),
            Event::Opened(number) => {
                let (account, ticket) = self.of_number(number);
                if !self.sockets.contains_key(&(account, ticket)) {
                    return Ok(());
                }
                self.tell(account, Fact::Opened { ticket })
            }
            Event::Ended(number) => {
                let (account, ticket) = self.of_number(number);
                let known = self.sockets.get(&(account, ticket)).copied();
                if known.is_some_and(|socket| socket.dead_since_ms.is_some()) {
                    return Ok(());
                }
                self.hang_up(account, ticket);
                let Some(socket) = known else { return Ok(()) };
                let is_new = socket.logged_in_at_ms.is_none() && !socket.given;
                let failure = (self.is_network_down() && is_new)
                    .then(|| Failure::of_connect("ENETUNREACH", "Network is unreachable"));
                self.tell(account, Fact::Ended { ticket, failure })
            }
            Event::Deliver(number, bytes) => self.came(number, &bytes),
            Event::Token(account, request) => self.give_token(account, request),
            Event::NoToken(account, request, permanent) => {
                self.asked_at_ms = None;
                let why = if permanent { NoToken::Permanent } else { NoToken::Outage };
                self.tell(account, Fact::NoToken { request, why, text: "invalid_grant".into() })
            }
            Event::Trouble => self.make_trouble(),
            Event::FaultsEnd => {
                self.trouble = Trouble::None;
                self.refuse(None);
                self.retry()
            }
        }
    }

    pub(super) fn retry(&mut self) -> Outcome {
        self.called.fill(false);
        self.is_called = false;
        self.retried_at_ms.push(self.now_ms);
        self.retry_is_near = false;
        self.refused_in_a_row.clear();
        for account in 0..self.accounts.len() {
            self.tell(account, Fact::Retry)?;
        }
        for session in 0..self.sessions.len() {
            self.after(0, SECOND_MS, Event::Want(session));
        }
        Ok(())
    }

    /// The program dies, and comes back with a snapshot.
    pub(super) fn restart(&mut self) -> Outcome {
        self.trouble = Trouble::None;
        self.due_ms = None;
        let open: Vec<(usize, u64)> = self.sockets.keys().copied().collect();
        for (account, ticket) in open {
            self.hang_up(account, ticket);
        }
        self.events = std::mem::take(&mut self.events)
            .into_iter()
            .filter(|Reverse((_, _, event))| {
                matches!(event, Event::Trouble | Event::FaultsEnd | Event::Retry)
            })
            .collect();
        self.asked_at_ms = None;
        let snapshots: Vec<Vec<u8>> =
            self.accounts.iter().map(|account| account.snapshot(self.now_ms)).collect();
        let dead_ms = self.rng.u64(SECOND_MS..HOUR_MS);
        self.now_ms += dead_ms;
        let config = account_config(self.bug);
        self.accounts.clear();
        for snapshot in snapshots {
            let seed = self.rng.u64(..);
            let restored =
                Account::restore(config.clone(), &snapshot, self.now_ms, self.now_ms, seed);
            self.accounts.push(restored.expect("a snapshot of this program"));
        }
        for at in 0..self.sessions.len() {
            let (account, _, protocol) = self.sessions[at];
            let config = session_config(protocol, self.known_limit, self.ends_with_token, self.bug);
            let key = self.accounts[account].add(config);
            self.sessions[at].1 = key.expect("a configuration that works");
            self.wanted[at] = false;
            self.after(0, 5 * SECOND_MS, Event::Want(at));
        }
        self.wakes.fill(None);
        Ok(())
    }
}
