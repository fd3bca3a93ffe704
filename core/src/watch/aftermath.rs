//! The texts of an [`Aftermath`].

use alloc::string::String;

use super::{Aftermath, Mailbox};

impl Aftermath {
    /// The same, with each text of the client altered.
    pub(crate) fn map_texts(self, alter: impl Fn(String) -> String) -> Self {
        match self {
            Self::Imap { selected, idling, unanswered } => Self::Imap {
                selected: selected.map(|mailbox| Mailbox { name: alter(mailbox.name), ..mailbox }),
                idling,
                unanswered: unanswered.into_iter().map(alter).collect(),
            },
            Self::Pop3 { uncommitted_deletes } => Self::Pop3 { uncommitted_deletes },
            Self::Smtp { submission } => Self::Smtp { submission },
        }
    }

    /// No mailbox and no command has control characters in its name (RFC 9051 section 5.1): what has them is not shown so.
    pub(super) fn without_controls(self) -> Self {
        let shown = |one: char| if one.is_control() { char::REPLACEMENT_CHARACTER } else { one };
        self.map_texts(|text| text.chars().map(shown).collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Protocol;
    use crate::watch::{Aftermath, Watch};

    #[test]
    fn holds_no_control_characters() {
        let mut watch = Watch::new(Protocol::Imap);
        watch.sent(b"A1 SELECT \"a\x1b[2J\xe2\x80\x8d\x07b\"\r\n");
        let _ = watch.received(b"A1 OK done\r\n");
        watch.sent(b"\x1b[31mA2 NOOP\r\n");
        let Aftermath::Imap { selected, unanswered, .. } = watch.aftermath() else { panic!() };
        assert_eq!(selected.unwrap().name, "a\u{fffd}[2J\u{200d}\u{fffd}b");
        assert_eq!(unanswered, ["\u{fffd}[31mA2 NOOP"]);
    }
}
