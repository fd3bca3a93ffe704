//! The envelope of a message: who sends it, who is to have it, and what the server must be able to do for it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::a_label::a_label;
use crate::config::{ConfigError, Field};

/// Octets of an address: 64 before the `@`, 255 behind it (RFC 5321 section 4.5.3.1).
const ADDRESS_OCTETS_MAX: usize = 64 + 1 + 255;

/// Who sends a message, who is to have it, and what it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// Where reports of failed deliveries go; empty: nowhere.
    pub sender: String,
    /// Who is to have it.
    pub recipients: Vec<String>,
    /// Octets of the message.
    pub octets: u64,
    /// Its text has octets beyond ASCII (RFC 6152).
    pub is_8bit: bool,
    /// Its header fields have characters beyond ASCII (RFC 6532).
    pub is_utf8: bool,
}

impl Envelope {
    /// Checks what would break the dialogue, or be refused by every server.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the field and the place, and never the address.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.recipients.is_empty() {
            return Err(ConfigError::Empty { field: Field::Recipient });
        }
        if !self.sender.is_empty() {
            check_address(Field::Sender, &self.sender)?;
        }
        self.recipients.iter().try_for_each(|address| check_address(Field::Recipient, address))
    }

    /// Why this server cannot take it, where it cannot: it would have to be asked for what it does not offer.
    pub(super) fn missing(&self, extensions: &Extensions) -> Option<String> {
        let addresses = || self.recipients.iter().chain([&self.sender]);
        if let Some(most) = extensions.size.filter(|most| (1..self.octets).contains(most)) {
            return Some(format!(
                "the message has {} octets, and the server takes {most}",
                self.octets
            ));
        }
        if (self.is_utf8 || addresses().any(|address| needs_utf8(address)))
            && !extensions.has("SMTPUTF8")
        {
            return Some("the server takes no addresses and headers beyond ASCII".to_string());
        }
        (self.is_8bit && !extensions.has("8BITMIME"))
            .then(|| "the server takes no text beyond ASCII".to_string())
    }

    /// `MAIL`, with what the server is to be told of the message.
    pub(super) fn mail(&self, extensions: &Extensions) -> String {
        let mut command = format!("MAIL FROM:<{}>", on_the_wire(&self.sender));
        if extensions.has("SIZE") {
            command += &format!(" SIZE={}", self.octets);
        }
        if self.is_8bit {
            command += " BODY=8BITMIME";
        }
        let addresses = self.recipients.iter().chain([&self.sender]);
        if self.is_utf8 || addresses.into_iter().any(|address| needs_utf8(address)) {
            command += " SMTPUTF8";
        }
        command + "\r\n"
    }

    pub(super) fn rcpt(address: &str) -> String {
        format!("RCPT TO:<{}>\r\n", on_the_wire(address))
    }
}

/// What the server can do, of its answer to `EHLO`.
#[derive(Debug, Clone, Default)]
pub(super) struct Extensions {
    keywords: Vec<String>,
    size: Option<u64>,
}

impl Extensions {
    pub(super) fn of(capabilities: &[String]) -> Self {
        let mut extensions = Self::default();
        for line in capabilities {
            let (keyword, parameters) = line.split_once(' ').unwrap_or((line, ""));
            if keyword.eq_ignore_ascii_case("SIZE") {
                extensions.size = parameters.trim().parse().ok();
            }
            extensions.keywords.push(keyword.to_ascii_uppercase());
        }
        extensions
    }

    pub(super) fn has(&self, keyword: &str) -> bool {
        self.keywords.iter().any(|one| one == keyword)
    }
}

/// A domain alone can be said in ASCII (RFC 5890); a local part cannot.
fn needs_utf8(address: &str) -> bool {
    !on_the_wire(address).is_ascii()
}

fn on_the_wire(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) if !domain.is_ascii() && local.is_ascii() => match a_label(domain) {
            Some(domain) => format!("{local}@{domain}"),
            None => address.to_string(),
        },
        Some(_) | None => address.to_string(),
    }
}

fn check_address(field: Field, address: &str) -> Result<(), ConfigError> {
    if address.is_empty() {
        return Err(ConfigError::Empty { field });
    }
    if address.len() > ADDRESS_OCTETS_MAX {
        return Err(ConfigError::TooLong { field, max: ADDRESS_OCTETS_MAX });
    }
    // A local part in quotes may have a space (RFC 5321 section 4.1.2); no address has what ends a command or a path.
    let is_quoted = address.starts_with('"');
    let forbidden =
        |one: char| one.is_control() || matches!(one, '<' | '>') || one == ' ' && !is_quoted;
    match address.find(forbidden) {
        Some(offset) => Err(ConfigError::ForbiddenOctet { field, offset }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(sender: &str, recipient: &str) -> Envelope {
        let recipients = Vec::from([recipient.to_string()]);
        Envelope { sender: sender.to_string(), recipients, octets: 100, ..Envelope::default() }
    }

    #[test]
    fn an_address_that_would_be_a_command_is_refused() {
        for (sender, recipient, expected) in [
            (
                "joe@example.org",
                "ann@example.org\r\nDATA",
                "recipient has an octet that is not allowed at offset 15: remove it",
            ),
            (
                "joe@example.org> SIZE=1",
                "ann@example.org",
                "sender has an octet that is not allowed at offset 15: remove it",
            ),
            (
                "joe@example.org",
                "ann smith@example.org",
                "recipient has an octet that is not allowed at offset 3: remove it",
            ),
            ("joe@example.org", "", "recipient is empty: a value is needed"),
        ] {
            assert_eq!(envelope(sender, recipient).check().unwrap_err().to_string(), expected);
        }
        let long = "a".repeat(321);
        let too_long = envelope("", &long).check().unwrap_err().to_string();
        assert_eq!(too_long, "recipient is too long: at most 320 octets are allowed");
        assert!(envelope("", "\"ann smith\"@example.org").check().is_ok());
        let nobody = Envelope { recipients: Vec::new(), ..envelope("", "x") };
        assert_eq!(nobody.check(), Err(ConfigError::Empty { field: Field::Recipient }));
    }

    #[test]
    fn a_domain_beyond_ascii_needs_no_extension_and_a_local_part_does() {
        let none = Extensions::default();
        let domain = envelope("joe@bücher.example", "ann@example.org");
        assert_eq!(domain.missing(&none), None);
        assert_eq!(domain.mail(&none), "MAIL FROM:<joe@xn--bcher-kva.example>\r\n");
        let local = envelope("joe@example.org", "jürgen@bücher.example");
        assert!(local.missing(&none).unwrap().contains("beyond ASCII"));
        let all = Extensions::of(&["SMTPUTF8", "8BITMIME", "size 1000"].map(ToString::to_string));
        assert_eq!(local.missing(&all), None);
        assert_eq!(local.mail(&all), "MAIL FROM:<joe@example.org> SIZE=100 SMTPUTF8\r\n");
        assert_eq!(Envelope::rcpt("jürgen@bücher.example"), "RCPT TO:<jürgen@bücher.example>\r\n");
    }

    #[test]
    fn what_the_server_cannot_do_is_told_before_it_is_asked() {
        let small = Extensions::of(&["SIZE 99".to_string()]);
        let message = envelope("", "ann@example.org");
        assert_eq!(
            message.missing(&small).as_deref(),
            Some("the message has 100 octets, and the server takes 99")
        );
        // RFC 1870 section 4: 0 is no limit.
        assert_eq!(message.missing(&Extensions::of(&["SIZE 0".to_string()])), None);
        let eight = Envelope { is_8bit: true, ..message };
        assert!(eight.missing(&Extensions::default()).unwrap().contains("text beyond ASCII"));
        let able = Extensions::of(&["8BITMIME".to_string()]);
        assert_eq!(eight.mail(&able), "MAIL FROM:<> BODY=8BITMIME\r\n");
    }
}
