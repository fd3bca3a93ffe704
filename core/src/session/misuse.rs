//! Calls that are wrong: answers to orders that were never given, and answers that do not fit.

use super::{Input, Session, Stage};
use crate::failure::Misuse;

impl Session {
    /// Answers to orders that were never given, and answers that do not fit. An answer to an old order is none of these.
    pub(super) fn check(&self, input: &Input) -> Result<(), Misuse> {
        let answer = input.name();
        let misuse = Err(Misuse::UnexpectedAnswer { answer });
        let stage = |ticket: u64| {
            self.attempt
                .as_ref()
                .filter(|attempt| attempt.ticket == ticket)
                .map(|attempt| &attempt.stage)
        };
        match input {
            Input::Start | Input::Stop | Input::Tick | Input::Woke => Ok(()),
            Input::Token { request, .. } | Input::TokenFailed { request, .. } => {
                if self.token.knows(*request) { Ok(()) } else { misuse }
            }
            Input::Connected { ticket } => {
                self.check_ticket(*ticket, answer)?;
                match stage(*ticket) {
                    Some(Stage::LoggingIn(_) | Stage::HostLogin) => misuse,
                    Some(Stage::Connecting) | None => Ok(()),
                }
            }
            Input::TlsEstablished { ticket } => {
                self.check_ticket(*ticket, answer)?;
                match stage(*ticket) {
                    Some(Stage::LoggingIn(negotiation)) if negotiation.awaits_tls() => Ok(()),
                    Some(Stage::LoggingIn(_) | Stage::Connecting | Stage::HostLogin) => misuse,
                    None => Ok(()),
                }
            }
            Input::Authenticated { ticket } | Input::Refused { ticket, .. } => {
                self.check_ticket(*ticket, answer)?;
                match stage(*ticket) {
                    Some(Stage::LoggingIn(_) | Stage::Connecting) => misuse,
                    Some(Stage::HostLogin) | None => Ok(()),
                }
            }
            Input::Ended { ticket, .. }
            | Input::Line { ticket, .. }
            | Input::Drained { ticket } => self.check_ticket(*ticket, answer),
        }
    }

    pub(super) fn check_ticket(&self, ticket: u64, answer: &'static str) -> Result<(), Misuse> {
        if (1..=self.tickets).contains(&ticket) {
            Ok(())
        } else {
            Err(Misuse::UnexpectedAnswer { answer })
        }
    }
}
