//! The host: it carries out orders, and tells the account what became of them.

use mailbearer::limits;
use mailbearer::testing::TokenRequest;
use mailbearer::{AccessToken, AccountPlan, Fact, Order, Protocol, SessionKey, Tls};

use super::rules::{MailboxBug, Rule};
use super::{Event, HOUR_MS, MINUTE_MS, Mailbox, Outcome, SECOND_MS, Socket, Trouble, USER};

impl Mailbox {
    pub(super) fn tell(&mut self, account: usize, fact: Fact) -> Outcome {
        if self.traced {
            println!("{:>12} {account} > {fact:?}", self.now_ms);
        }
        let plan = self.accounts[account]
            .handle(self.now_ms, fact)
            .map_err(|_| "a right call was called misuse")?;
        self.follow(account, plan)
    }

    pub(super) fn follow(&mut self, account: usize, plan: AccountPlan) -> Outcome {
        self.report.facts += 1;
        if plan.wake_at_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            return Err("a plan wakes in the past");
        }
        self.wakes[account] = plan.wake_at_ms;
        for order in plan.orders {
            self.obey(account, order)?;
        }
        for delivery in plan.deliveries {
            self.deliver(account, delivery)?;
        }
        Ok(())
    }

    pub(super) fn session(&self, account: usize, key: SessionKey) -> usize {
        let at = self.sessions.iter().position(|one| (one.0, one.1) == (account, key));
        at.expect("a session of this account")
    }

    pub(super) fn obey(&mut self, account: usize, order: Order) -> Outcome {
        if self.traced {
            println!("{:>12} {account} < {order:?}", self.now_ms);
        }
        match order {
            Order::FetchToken { request, force, .. } => self.fetch_token(account, request, force),
            Order::Open { ticket, session, .. } => self.open(account, ticket, session),
            Order::Send { ticket, bytes, sensitive } => {
                self.send(account, ticket, &bytes, sensitive)
            }
            Order::Pause { .. } => {
                self.refused_in_a_row.clear();
                Ok(())
            }
            Order::StartTls { .. } => Err("an upgrade where TLS is implicit"),
            Order::KeepAlive { ticket, .. } | Order::Probe { ticket, .. } => {
                self.ask(account, ticket)
            }
            Order::Close { ticket } => {
                if self.bug != Some(MailboxBug::NoClose) {
                    self.hang_up(account, ticket);
                }
                Ok(())
            }
        }
    }

    pub(super) fn fetch_token(&mut self, account: usize, request: u64, force: bool) -> Outcome {
        self.report.asked_at_ms.push(self.now_ms);
        self.due_ms = None;
        let allowances = [limits::TOKENS, limits::REFRESHES];
        self.held_to(&self.report.asked_at_ms, &allowances, 1, "tokens are asked for too often")?;
        // One that has no answer after a minute is given up.
        let open = self.asked_at_ms.is_some_and(|at_ms| self.now_ms < at_ms + MINUTE_MS);
        if open {
            self.breaks(Rule::Token)?;
        }
        self.asked_at_ms = Some(self.now_ms);
        let fresh = self.cached.as_ref().is_some_and(|(_, over_at_ms)| *over_at_ms > self.now_ms);
        if force || !fresh {
            self.cached = None;
        }
        match self.trouble {
            Trouble::TokensDown => {
                self.after(10, SECOND_MS, Event::NoToken(account, request, false))
            }
            Trouble::Revoked => self.after(10, SECOND_MS, Event::NoToken(account, request, true)),
            _ => self.after(10, 2 * SECOND_MS, Event::Token(account, request)),
        }
        Ok(())
    }

    pub(super) fn give_token(&mut self, account: usize, request: u64) -> Outcome {
        self.asked_at_ms = None;
        if self.cached.is_none() {
            let wish = TokenRequest { octets: Some(32), ..TokenRequest::default() };
            let token = self.server.issue_token(self.now_ms, USER, wish);
            self.cached = Some((token, self.now_ms + HOUR_MS));
        }
        let (text, over_at_ms) = self.cached.clone().expect("a token");
        let token = AccessToken::new(&text).expect("a token of the server");
        let lives_ms = Some(over_at_ms.saturating_sub(self.now_ms));
        self.tell(account, Fact::Token { request, token, lives_ms })
    }

    pub(super) fn open(&mut self, account: usize, ticket: u64, key: SessionKey) -> Outcome {
        let session = self.session(account, key);
        self.report.opened_at_ms.push(self.now_ms);
        self.due_ms = None;
        let sessions = self.sessions.len() as u64;
        let opened = &self.report.opened_at_ms;
        self.held_to(opened, &[limits::CONNECTIONS], sessions, "connections are opened too often")?;
        if !self.wanted[session] {
            return Err("a connection is opened that nobody wants");
        }
        if self.called[session] {
            return self.breaks_another("a connection is opened although a person was called");
        }
        if self.is_called {
            self.breaks(Rule::Stop)?;
        }
        let protocol = self.protocol(session);
        let open = self.sockets.values().filter(|one| self.protocol(one.session) == protocol);
        let most = self.known_limit.filter(|_| protocol == Protocol::Imap);
        if most.is_some_and(|most| open.count() >= most as usize) {
            self.breaks(Rule::Places)?;
        }
        if self.refused_in_a_row.len() >= 2 {
            self.breaks(Rule::Refusals)?;
        }
        if protocol == Protocol::Imap && self.now_ms < self.throttled_until_ms {
            self.breaks(Rule::Waits)?;
        }
        let (peer, output) = self.server.open(self.now_ms, protocol, Tls::Implicit);
        let socket = Socket { peer, session, ..Socket::default() };
        self.sockets.insert((account, ticket), socket);
        if self.is_network_down() {
            self.after(10, 5 * SECOND_MS, Event::Ended(self.number(account, ticket)));
        } else {
            self.after(20, 300, Event::Opened(self.number(account, ticket)));
            if !output.send.is_empty() {
                let number = self.number(account, ticket);
                self.at(self.now_ms + 301, Event::Deliver(number, output.send));
            }
        }
        Ok(())
    }

    pub(super) fn protocol(&self, session: usize) -> Protocol {
        self.sessions[session].2
    }

    /// Account and ticket in one number, for events.
    pub(super) fn number(&self, account: usize, ticket: u64) -> u64 {
        ticket * self.accounts.len() as u64 + account as u64
    }

    pub(super) fn of_number(&self, number: u64) -> (usize, u64) {
        let count = self.accounts.len() as u64;
        ((number % count) as usize, number / count)
    }

    /// A keep-alive or a probe: the mail client says NOOP.
    pub(super) fn ask(&mut self, account: usize, ticket: u64) -> Outcome {
        let Some(socket) = self.sockets.get(&(account, ticket)) else { return Ok(()) };
        let command: &[u8] = match self.protocol(socket.session) {
            Protocol::Imap => b"w1 NOOP\r\n",
            Protocol::Pop3 | Protocol::Smtp => b"NOOP\r\n",
        };
        self.accounts[account].sent(ticket, command);
        self.send(account, ticket, command, false)
    }

    pub(super) fn hang_up(&mut self, account: usize, ticket: u64) {
        if let Some(socket) = self.sockets.remove(&(account, ticket)) {
            self.server.closed(self.now_ms, socket.peer);
        }
    }
}
