//! mailbearer on that socket.

use std::io::{Read, Write};

use mailbearer::{
    AccessToken, Identity, Negotiation, NegotiationConfig, Next, Protocol, Provider, Step, Watch,
};

use super::{Client, Failed, LoggedIn, Setup, Stream, noop_by_hand, noop_line};

struct Mailbearer {
    setup: Setup,
    config: NegotiationConfig,
}

struct Watched {
    stream: Stream,
    protocol: Protocol,
    watch: Watch,
}

/// Gmail's profile, at the address of the server: what `mailbearer.connect` does with `provider="gmail"`.
pub(super) fn mailbearer(setup: Setup) -> Result<Box<dyn Client>, Failed> {
    let mut config = Provider::gmail().negotiation(setup.protocol, Identity::new(&setup.user))?;
    config.endpoint.host = setup.host.clone();
    config.endpoint.port = setup.address.port();
    Ok(Box::new(Mailbearer { setup, config }))
}

impl Client for Mailbearer {
    fn login(&self) -> Result<Box<dyn LoggedIn + '_>, Failed> {
        let token = AccessToken::new(&self.setup.token)?;
        let mut negotiation = Negotiation::new(self.config.clone(), token)?;
        let mut stream = self.setup.connect()?;
        let mut buffer = [0; 4096];
        loop {
            let count = stream.read(&mut buffer)?;
            let Step { send, next, .. } = match count {
                0 => negotiation.closed()?,
                count => negotiation.receive(&buffer[..count])?,
            };
            if !send.is_empty() {
                stream.write_all(&send)?;
            }
            match next {
                Next::Read => {}
                Next::StartTls => return Err("STARTTLS was not configured".into()),
                Next::Failed(failure) => return Err(failure.into()),
                Next::Done(_) => {
                    let protocol = self.setup.protocol;
                    return Ok(Box::new(Watched { stream, protocol, watch: Watch::new(protocol) }));
                }
            }
        }
    }
}

impl LoggedIn for Watched {
    fn noop(&mut self) -> Result<String, Failed> {
        self.watch.sent(noop_line(self.protocol));
        let reply = noop_by_hand(&mut self.stream, self.protocol)?;
        match self.watch.received(format!("{reply}\r\n").as_bytes()).ending {
            None => Ok(reply),
            Some(verdict) => Err(format!("{}: {} ({reply})", verdict.cause, verdict.advice).into()),
        }
    }
}
