//! What Gmail, Outlook and Dovecot say where all is well, as a table. What they say else is in `words.rs`. The sources are in
//! the survey of what servers send (`docs/servers.md`).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::config::{Mechanism, Protocol};
use crate::failure::{Cause, spelled_enum};

spelled_enum! {
    /// Whose words the server uses.
    Flavour {
        /// Gmail.
        Gmail = "gmail",
        /// Outlook.com and Exchange Online: no OAUTHBEARER, no error challenge.
        Outlook = "outlook",
        /// Dovecot.
        Dovecot = "dovecot",
    }
}

impl Flavour {
    pub(super) fn mechanisms(self) -> &'static [Mechanism] {
        match self {
            Self::Gmail | Self::Dovecot => &[Mechanism::XOAuth2, Mechanism::OAuthBearer],
            Self::Outlook => &[Mechanism::XOAuth2],
        }
    }

    pub(super) fn greeting(self, protocol: Protocol, secure: bool) -> String {
        match (protocol, self) {
            (Protocol::Imap, Self::Gmail) => {
                "* OK Gimap ready for requests from 192.0.2.1 a1mb2".to_string()
            }
            (Protocol::Imap, Self::Outlook) => {
                "* OK The Microsoft Exchange IMAP4 service is ready. [TQBX]".to_string()
            }
            (Protocol::Imap, Self::Dovecot) => {
                format!(
                    "* OK [CAPABILITY {}] Dovecot ready.",
                    self.imap_capabilities(secure, false)
                )
            }
            (Protocol::Pop3, Self::Gmail) => {
                "+OK Gpop ready for requests from 192.0.2.1 a1mb2".to_string()
            }
            (Protocol::Pop3, Self::Outlook) => {
                "+OK The Microsoft Exchange POP3 service is ready. [TQBX]".to_string()
            }
            (Protocol::Pop3, Self::Dovecot) => "+OK Dovecot ready.".to_string(),
            (Protocol::Smtp, Self::Gmail) => "220 smtp.gmail.com ESMTP a1mb2 - gsmtp".to_string(),
            (Protocol::Smtp, Self::Outlook) => {
                "220 outlook.office365.com Microsoft ESMTP MAIL Service ready".to_string()
            }
            (Protocol::Smtp, Self::Dovecot) => "220 localhost Dovecot ready.".to_string(),
        }
    }

    pub(super) fn imap_capabilities(self, secure: bool, logged_in: bool) -> String {
        if !secure {
            return "IMAP4rev1 SASL-IR ID LITERAL+ STARTTLS LOGINDISABLED".to_string();
        }
        let base = match (self, logged_in) {
            (Self::Gmail, false) => {
                "IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 SASL-IR"
            }
            (Self::Gmail, true) => {
                "IMAP4rev1 UNSELECT IDLE NAMESPACE ID CHILDREN UIDPLUS ENABLE MOVE ESEARCH LIST-EXTENDED LIST-STATUS \
                 LITERAL- SPECIAL-USE"
            }
            (Self::Outlook, _) => {
                "IMAP4 IMAP4rev1 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+"
            }
            (Self::Dovecot, false) => "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+",
            (Self::Dovecot, true) => {
                "IMAP4rev1 LOGIN-REFERRALS ID ENABLE IDLE UIDPLUS UNSELECT NAMESPACE CHILDREN LIST-EXTENDED ESEARCH \
                 LIST-STATUS MOVE SPECIAL-USE LITERAL+"
            }
        };
        if logged_in && self != Self::Outlook {
            return base.to_string();
        }
        let mechanisms = self.mechanisms().iter().map(|one| format!(" AUTH={one}"));
        [base.to_string()].into_iter().chain(mechanisms).collect()
    }

    /// The mailboxes that each account has beside INBOX, with their uses (RFC 6154).
    pub(super) fn mailboxes(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Gmail => &[
                ("[Gmail]", "\\Noselect"),
                ("[Gmail]/All Mail", "\\All"),
                ("[Gmail]/Drafts", "\\Drafts"),
                ("[Gmail]/Important", "\\Important"),
                ("[Gmail]/Sent Mail", "\\Sent"),
                ("[Gmail]/Spam", "\\Junk"),
                ("[Gmail]/Starred", "\\Flagged"),
                ("[Gmail]/Trash", "\\Trash"),
            ],
            Self::Outlook => &[
                ("Archive", "\\Archive"),
                ("Deleted Items", "\\Trash"),
                ("Drafts", "\\Drafts"),
                ("Junk Email", "\\Junk"),
                ("Sent Items", "\\Sent"),
            ],
            Self::Dovecot => &[
                ("Drafts", "\\Drafts"),
                ("Junk", "\\Junk"),
                ("Sent", "\\Sent"),
                ("Trash", "\\Trash"),
            ],
        }
    }

    /// Where it keeps a copy of what is submitted over SMTP: Gmail, and Exchange Online since 2018 (`docs/servers.md`).
    pub(super) fn sent_copies(self) -> Option<&'static str> {
        match self {
            Self::Gmail => Some("[Gmail]/Sent Mail"),
            Self::Outlook => Some("Sent Items"),
            Self::Dovecot => None,
        }
    }

    pub(super) fn sasl_list(self) -> String {
        self.mechanisms().iter().map(|one| one.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// The continuation request for the token.
    pub(super) fn prompt(self, protocol: Protocol) -> &'static str {
        match (protocol, self) {
            (Protocol::Smtp, _) => "334 ",
            // MailKit #178.
            (Protocol::Imap, Self::Outlook) => "+",
            (Protocol::Imap | Protocol::Pop3, _) => "+ ",
        }
    }

    /// The error challenge, where there is one.
    pub(super) fn challenge(self, mechanism: Mechanism, cause: Cause) -> Option<&'static str> {
        match (self, mechanism, cause) {
            (Self::Outlook, _, _) => None,
            (_, _, cause) if !matches!(cause, Cause::TokenRejected | Cause::InsufficientScope) => {
                None
            }
            (Self::Gmail, Mechanism::XOAuth2, _) => {
                Some(r#"{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}"#)
            }
            (Self::Gmail, Mechanism::OAuthBearer, _) => {
                Some(r#"{"status":"invalid_request","scope":"https://mail.google.com/"}"#)
            }
            (Self::Dovecot, Mechanism::XOAuth2, Cause::InsufficientScope) => {
                Some(r#"{"schemes":"bearer","status":"403","scope":"mail"}"#)
            }
            (Self::Dovecot, Mechanism::OAuthBearer, Cause::InsufficientScope) => {
                Some(r#"{"status":"insufficient_scope","scope":"mail"}"#)
            }
            (Self::Dovecot, Mechanism::XOAuth2, _) => {
                Some(r#"{"status":"401","schemes":"bearer","scope":"mail"}"#)
            }
            (Self::Dovecot, Mechanism::OAuthBearer, _) => {
                Some(r#"{"status":"invalid_token","scope":"mail"}"#)
            }
        }
    }

    /// The line that ends a session whose token or time is over.
    pub(super) fn farewell(self, protocol: Protocol) -> &'static str {
        match (protocol, self) {
            (Protocol::Imap, Self::Outlook) => "* BYE Session invalidated - AccessTokenExpired",
            (Protocol::Imap, _) => "* BYE Session expired, please login again.",
            (Protocol::Pop3, _) => "-ERR Session expired, please login again.",
            (Protocol::Smtp, _) => "421 4.7.0 Connection expired, try reconnecting. a1mb2 - gsmtp",
        }
    }

    /// The line that ends all sessions.
    pub(super) fn shutdown(protocol: Protocol) -> &'static str {
        match protocol {
            Protocol::Imap => "* BYE Server shutting down.",
            Protocol::Pop3 => "-ERR [SYS/TEMP] Server shutting down.",
            Protocol::Smtp => "421 4.3.0 localhost Server shutting down.",
        }
    }

    /// Octets of a command line above which the server refuses it, and what it says then.
    pub(super) fn line_limit(self, protocol: Protocol) -> Option<(usize, &'static str)> {
        match (protocol, self) {
            // MailKit #1948, getmail6 #256: the connection is closed.
            (Protocol::Pop3, Self::Outlook) => {
                Some((255, "-ERR Protocol error. Connection is closed. 10"))
            }
            (Protocol::Smtp, Self::Gmail) => {
                Some((1_000, "555-5.5.2 Syntax error, command line too long\r\n555 5.5.2 - gsmtp"))
            }
            (Protocol::Smtp, Self::Dovecot) => Some((1_031, "500 5.5.2 Line too long")),
            (Protocol::Imap | Protocol::Pop3 | Protocol::Smtp, _) => None,
        }
    }
}
