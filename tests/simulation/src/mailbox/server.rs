//! Server and network, and what goes wrong with them.

use mailbearer::testing::{Output, Then};
use mailbearer::{Cause, Fact, Protocol};

use super::{
    Event, FAULTS_END_MS, HOUR_MS, Limit, MINUTE_MS, Mailbox, MailboxBug, Outcome, SECOND_MS,
    TROUBLES, Trouble,
};

/// What Exchange says of a limit, and how long it asks to wait.
const THROTTLED: &str = "Suggested Backoff Time: 92415 milliseconds";
const THROTTLED_MS: u64 = 92_415;

/// A nap of this length gives nothing up.
const NAP_MS: u64 = 30 * MINUTE_MS;

/// What a hostile server does with each login, so that an account comes back too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hostile {
    /// It ends each session for its time after so long.
    Ends(u64),
    /// It states a limit after so long.
    Limits(u64),
    /// It names a wait of a millisecond.
    NamesWait(u64),
    /// It takes a token and refuses the next, in turn.
    Alternates,
    /// It cuts without a word.
    Cuts(u64),
}

pub(super) const HOSTILE: [Hostile; 8] = [
    Hostile::Ends(SECOND_MS),
    Hostile::Ends(11 * MINUTE_MS),
    Hostile::Limits(61 * SECOND_MS),
    Hostile::Limits(6 * MINUTE_MS),
    Hostile::NamesWait(SECOND_MS),
    Hostile::Alternates,
    Hostile::Cuts(0),
    Hostile::Cuts(61 * SECOND_MS),
];

impl Mailbox {
    pub(super) fn is_network_down(&self) -> bool {
        matches!(self.trouble, Trouble::NetworkDown | Trouble::NetworkSaidDown)
    }

    pub(super) fn send(
        &mut self,
        account: usize,
        ticket: u64,
        bytes: &[u8],
        sensitive: bool,
    ) -> Outcome {
        let Some(socket) = self.sockets.get(&(account, ticket)).copied() else { return Ok(()) };
        let token = self.cached.as_ref().map(|(token, _)| token.clone()).unwrap_or_default();
        if sensitive && self.refused.contains(&token) {
            return self.breaks_another("a refused token was sent");
        }
        if sensitive && !socket.counted {
            self.count_login(socket.session)?;
            if let Some(socket) = self.sockets.get_mut(&(account, ticket)) {
                socket.counted = true;
            }
        }
        if self.is_network_down() || socket.dead_since_ms.is_some() {
            return Ok(());
        }
        let refuse = self.server.refusal(Protocol::Imap);
        let output = self.server.receive(self.now_ms, socket.peer, bytes);
        if sensitive && self.hostile == Some(Hostile::Alternates) && self.now_ms < FAULTS_END_MS {
            let refuses = self.server.refusal(Protocol::Imap).is_none();
            self.refuse(refuses.then_some(Cause::TokenRejected));
        }
        let events = self.server.take_events();
        if events.iter().any(|event| event.what == "refused")
            && refuse == Some(Cause::TokenRejected)
        {
            self.refused_in_a_row.insert(token);
        }
        self.serve(socket.peer, &output);
        self.evict();
        Ok(())
    }

    pub(super) fn refuse(&mut self, cause: Option<Cause>) {
        self.server.refuse(cause).expect("every flavour has words for these");
    }

    /// What the server does with a connection, after a time on the network.
    pub(super) fn serve(&mut self, peer: u64, output: &Output) {
        let found = self.sockets.iter().find(|(_, socket)| socket.peer == peer);
        let Some((&(account, ticket), _)) = found else { return };
        let number = self.number(account, ticket);
        if !output.send.is_empty() {
            self.after(5, 300, Event::Deliver(number, output.send.clone()));
        }
        if output.next == Then::Close {
            self.after(301, 600, Event::Ended(number));
        }
    }

    /// One connection too many costs the oldest.
    pub(super) fn evict(&mut self) {
        let Limit::Evicts(most) = self.limit else { return };
        loop {
            let counted: Vec<_> = self
                .sockets
                .iter()
                .filter(|(_, one)| self.protocol(one.session) == Protocol::Imap)
                .filter_map(|(key, one)| Some((one.logged_in_at_ms?, *key)))
                .collect();
            if counted.len() <= most as usize {
                return;
            }
            let Some((_, (account, ticket))) = counted.into_iter().min() else { return };
            if let Some(socket) = self.sockets.get_mut(&(account, ticket)) {
                socket.logged_in_at_ms = None;
            }
            let words = b"* BYE Too many simultaneous connections\r\n".to_vec();
            self.after(5, 50, Event::Deliver(self.number(account, ticket), words));
        }
    }

    /// What a hostile server does with a session that has just begun.
    pub(super) fn plot(&mut self, account: usize, ticket: u64, protocol: Protocol) {
        if self.now_ms >= FAULTS_END_MS {
            return;
        }
        let (after_ms, words) = match self.hostile {
            None | Some(Hostile::Alternates) => return,
            Some(Hostile::Cuts(after_ms)) => (after_ms, None),
            Some(Hostile::Ends(after_ms)) => (after_ms, Some("Session expired")),
            Some(Hostile::Limits(after_ms)) => (after_ms, Some("[LIMIT] Too many sessions")),
            Some(Hostile::NamesWait(after_ms)) => {
                (after_ms, Some("[UNAVAILABLE] Try again in 1 ms"))
            }
        };
        let (number, at_ms) = (self.number(account, ticket), self.now_ms + after_ms);
        if let Some(words) = words {
            let line = match protocol {
                Protocol::Imap => format!("* BYE {words}\r\n"),
                Protocol::Pop3 => format!("-ERR {words}\r\n"),
                Protocol::Smtp => format!("421 4.3.2 {words}\r\n"),
            };
            self.at(at_ms, Event::Deliver(number, line.into_bytes()));
        }
        self.at(at_ms + 1, Event::Ended(number));
    }

    pub(super) fn came(&mut self, number: u64, bytes: &[u8]) -> Outcome {
        let (account, ticket) = self.of_number(number);
        let Some(socket) = self.sockets.get(&(account, ticket)).copied() else { return Ok(()) };
        if self.is_network_down() || socket.dead_since_ms.is_some() {
            return Ok(());
        }
        if bytes.windows(THROTTLED.len()).any(|part| part == THROTTLED.as_bytes()) {
            self.throttled_until_ms = self.now_ms + THROTTLED_MS;
        }
        let plan = self.accounts[account]
            .receive(self.now_ms, ticket, bytes)
            .map_err(|_| "a right call was called misuse")?;
        self.follow(account, plan)
    }

    pub(super) fn make_trouble(&mut self) -> Outcome {
        if self.now_ms >= FAULTS_END_MS {
            return Ok(());
        }
        let before = self.trouble;
        self.due_ms = None;
        if self.trouble == Trouble::None {
            self.trouble = TROUBLES[self.rng.usize(0..TROUBLES.len())];
            self.after(MINUTE_MS, 2 * HOUR_MS, Event::Trouble);
        } else {
            self.trouble = Trouble::None;
            self.after(MINUTE_MS, 3 * HOUR_MS, Event::Trouble);
        }
        if self.traced {
            println!("{:>12}   {:?}", self.now_ms, self.trouble);
        }
        let refused = match self.trouble {
            Trouble::Refuses(cause) => {
                self.limited_at_ms = self.now_ms;
                Some(cause)
            }
            _ => None,
        };
        self.refuse(refused);
        if before == Trouble::NetworkSaidDown {
            self.say_that_it_is_back()?;
        }
        self.strike()
    }

    fn say_that_it_is_back(&mut self) -> Outcome {
        if self.is_silent_for_want_of_a_network() {
            self.due_ms = Some(self.now_ms + 15 * SECOND_MS);
        }
        if self.bug == Some(MailboxBug::NobodySaysBack) {
            return Ok(());
        }
        for account in 0..self.accounts.len() {
            self.tell(account, Fact::NetworkBack)?;
        }
        Ok(())
    }

    /// Somebody waits, and nothing but the network was wrong for a long time: no limit, no stop, no budget.
    fn is_silent_for_want_of_a_network(&self) -> bool {
        let waits = self.wanted.iter().zip(&self.called).any(|(wanted, called)| *wanted && !called);
        let recent = self.report.opened_at_ms.iter().rev();
        let opened = recent.take_while(|at_ms| **at_ms + HOUR_MS >= self.now_ms).count();
        waits
            && !self.is_called
            && self.hostile.is_none()
            && self.limit == Limit::None
            && self.sockets.is_empty()
            && self.limited_at_ms + 3 * HOUR_MS < self.now_ms
            && opened < 20 * self.sessions.len()
    }

    pub(super) fn strike(&mut self) -> Outcome {
        match self.trouble {
            Trouble::NetworkDown | Trouble::NetworkSaidDown => {
                if self.trouble == Trouble::NetworkSaidDown {
                    for account in 0..self.accounts.len() {
                        self.tell(account, Fact::NetworkLost)?;
                    }
                }
                let open: Vec<(usize, u64)> = self.sockets.keys().copied().collect();
                for (account, ticket) in open {
                    self.after(0, 30 * SECOND_MS, Event::Ended(self.number(account, ticket)));
                }
                Ok(())
            }
            Trouble::Slept => {
                let slept_ms = self.rng.u64(MINUTE_MS..3 * HOUR_MS);
                self.now_ms = (self.now_ms + slept_ms).min(FAULTS_END_MS);
                for socket in self.sockets.values_mut() {
                    socket.dead_since_ms = socket.dead_since_ms.map(|_| self.now_ms);
                }
                let _ = self.server.tick(self.now_ms);
                self.trouble = Trouble::None;
                self.naps = slept_ms < NAP_MS;
                for account in 0..self.accounts.len() {
                    self.tell(account, Fact::Slept { ms: slept_ms })?;
                }
                self.naps = false;
                Ok(())
            }
            Trouble::Vanishes => {
                self.trouble = Trouble::None;
                for socket in self.sockets.values_mut().filter(|socket| socket.given) {
                    socket.dead_since_ms.get_or_insert(self.now_ms);
                }
                Ok(())
            }
            Trouble::Restart => self.restart(),
            Trouble::None | Trouble::TokensDown | Trouble::Revoked | Trouble::Refuses(_) => Ok(()),
        }
    }
}
