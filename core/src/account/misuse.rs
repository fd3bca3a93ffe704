//! Calls that are wrong, and whose a number is.

use super::member::Member;
use super::{Account, Fact, SessionKey};
use crate::failure::Misuse;
use crate::session::Input;

impl Account {
    pub(super) fn check(&self, fact: &Fact) -> Result<(), Misuse> {
        let answer = fact.name();
        match fact {
            Fact::Want { session } => {
                let member = self.member(*session)?;
                if member.want.is_some() { Err(Misuse::WantedAlready) } else { Ok(()) }
            }
            Fact::NoLonger { session } | Fact::Remove { session } => {
                self.member(*session).map(|_| ())
            }
            Fact::Close
            | Fact::Retry
            | Fact::NetworkLost
            | Fact::NetworkBack
            | Fact::Slept { .. }
            | Fact::Tick => Ok(()),
            Fact::Opened { ticket } => {
                self.check_answer(*ticket, &Input::Connected { ticket: *ticket }, answer)
            }
            Fact::Secured { ticket } => {
                self.check_answer(*ticket, &Input::TlsEstablished { ticket: *ticket }, answer)
            }
            Fact::LetGo { ticket } | Fact::Ended { ticket, .. } | Fact::Answered { ticket } => {
                self.check_ticket(*ticket, answer)
            }
            Fact::Token { request, .. } | Fact::NoToken { request, .. } => {
                if self.tokens.knows(*request) {
                    Ok(())
                } else {
                    Err(Misuse::UnexpectedAnswer { answer })
                }
            }
        }
    }

    pub(super) fn check_ticket(&self, ticket: u64, answer: &'static str) -> Result<(), Misuse> {
        let known = (1..=self.tickets).contains(&ticket);
        if known { Ok(()) } else { Err(Misuse::UnexpectedAnswer { answer }) }
    }

    pub(super) fn check_answer(
        &self,
        ticket: u64,
        input: &Input,
        answer: &'static str,
    ) -> Result<(), Misuse> {
        self.check_ticket(ticket, answer)?;
        match self.place_of(ticket).and_then(|at| self.members.get(at)) {
            Some(member) => member.session.accepts(input),
            // It is over.
            None => Ok(()),
        }
    }

    pub(super) fn member(&self, key: SessionKey) -> Result<&Member, Misuse> {
        let member = self.members.iter().find(|member| member.key == key);
        member.ok_or(Misuse::UnknownSession { session: key.number() })
    }

    pub(super) fn at(&self, key: SessionKey) -> Option<usize> {
        self.members.iter().position(|member| member.key == key)
    }

    /// Whose connection this is, while it is open.
    pub(super) fn place_of(&self, ticket: u64) -> Option<usize> {
        self.members.iter().position(|member| member.has(ticket))
    }
}
