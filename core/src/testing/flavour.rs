//! What Gmail, Outlook and Dovecot say, as a table. The sources are in the survey of what servers send (`docs/servers.md`,
//! sections 2, 3 and 5.1).

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
                "IMAP4rev1 UNSELECT IDLE NAMESPACE ID CHILDREN UIDPLUS ENABLE LITERAL- SPECIAL-USE"
            }
            (Self::Outlook, _) => {
                "IMAP4 IMAP4rev1 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+"
            }
            (Self::Dovecot, false) => "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+",
            (Self::Dovecot, true) => {
                "IMAP4rev1 LOGIN-REFERRALS ID ENABLE IDLE UIDPLUS UNSELECT NAMESPACE LITERAL+"
            }
        };
        if logged_in && self != Self::Outlook {
            return base.to_string();
        }
        let mechanisms = self.mechanisms().iter().map(|one| format!(" AUTH={one}"));
        [base.to_string()].into_iter().chain(mechanisms).collect()
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

    /// The lines that refuse a login. `%` stands for the tag of IMAP.
    pub(super) fn refusal(self, protocol: Protocol, cause: Cause) -> &'static str {
        match protocol {
            Protocol::Imap => self.imap_refusal(cause),
            Protocol::Pop3 => self.pop3_refusal(cause),
            Protocol::Smtp => self.smtp_refusal(cause),
        }
    }

    fn imap_refusal(self, cause: Cause) -> &'static str {
        match (cause, self) {
            (Cause::ProtocolDisabled, _) => {
                "% NO [ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page and enable \
                 your account for IMAP access. (Failure)"
            }
            (Cause::TooManyConnections, Self::Dovecot) => {
                "% NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)"
            }
            (Cause::TooManyConnections, _) => {
                "% NO [ALERT] Too many simultaneous connections. (Failure)"
            }
            (Cause::RateLimited, Self::Outlook) => {
                "% BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds"
            }
            (Cause::RateLimited, _) => {
                "% NO [ALERT] Account exceeded command or bandwidth limits. (Failure)"
            }
            (Cause::Unavailable, _) => "% NO [UNAVAILABLE] Temporary System Problem (Failure)",
            (Cause::InteractionRequired, _) => {
                "* NO [WEBALERT https://accounts.google.com/signin/continue?plt=AK] Web login required.\r\n\
                 % NO [ALERT] Please log in via your web browser: https://support.google.com/mail/answer/78754 (Failure)"
            }
            (Cause::AppPasswordRequired, _) => {
                "% NO [ALERT] Application-specific password required: \
                 https://support.google.com/accounts/answer/185833 (Failure)"
            }
            (Cause::AccountDisabled, _) => "% NO [CONTACTADMIN] Login disabled for this user",
            (_, Self::Gmail) => "% NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
            (_, Self::Outlook) => "% NO AUTHENTICATE failed.",
            (_, Self::Dovecot) => "% NO [AUTHENTICATIONFAILED] Authentication failed.",
        }
    }

    fn pop3_refusal(self, cause: Cause) -> &'static str {
        match (cause, self) {
            (Cause::ProtocolDisabled, _) => {
                "-ERR [SYS/PERM] Your account is not enabled for POP access. Please visit your Gmail settings page and \
                 enable your account for POP access."
            }
            (Cause::TooManyConnections, _) => "-ERR Too many open connections (1 of 1 for user)",
            (Cause::RateLimited, _) => "-ERR [LOGIN-DELAY] Minimum time between logins not met",
            (Cause::Unavailable, _) => {
                "-ERR [SYS/TEMP] Temporary system problem. Please try again later."
            }
            (Cause::InteractionRequired, _) => {
                "-ERR [AUTH] Web login required: https://support.google.com/mail/answer/78754"
            }
            (Cause::AppPasswordRequired, _) => {
                "-ERR [AUTH] Application-specific password required: https://support.google.com/accounts/answer/185833"
            }
            (Cause::AccountDisabled, _) => "-ERR [AUTH] Login disabled for this user",
            (Cause::MailboxLocked, _) => {
                "-ERR [IN-USE] Unable to lock maildrop: Mailbox is locked by POP server"
            }
            (_, Self::Gmail) => "-ERR [AUTH] Username and password not accepted.",
            (_, Self::Outlook) => "-ERR Authentication failure: unknown user name or bad password.",
            (_, Self::Dovecot) => "-ERR [AUTH] Authentication failed.",
        }
    }

    fn smtp_refusal(self, cause: Cause) -> &'static str {
        match (cause, self) {
            (Cause::ProtocolDisabled, _) => {
                "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit \
                 https://aka.ms/smtp_auth_disabled for more information."
            }
            (Cause::TooManyConnections, _) => {
                "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded"
            }
            (Cause::RateLimited, _) => {
                "454-4.7.0 Too many login attempts, please try again later.\r\n\
                 454 4.7.0 https://support.google.com/mail/answer/7126229"
            }
            (Cause::Unavailable, _) => {
                "454 4.7.0 Cannot authenticate due to temporary system problem. Try again later."
            }
            (Cause::InteractionRequired, _) => {
                "534-5.7.14 <https://accounts.google.com/signin/continue?plt=AK\r\n\
                 534-5.7.14 Yy1> Please log in via your web browser and then try again.\r\n\
                 534 5.7.14  https://support.google.com/mail/answer/78754 - gsmtp"
            }
            (Cause::AppPasswordRequired, _) => {
                "534-5.7.9 Application-specific password required. Learn more at\r\n\
                 534 5.7.9  https://support.google.com/mail/?p=InvalidSecondFactor - gsmtp"
            }
            (Cause::AccountDisabled, _) => "525 5.7.13 User account is disabled",
            (_, Self::Gmail) => {
                "535-5.7.8 Username and Password not accepted. Learn more at\r\n\
                 535 5.7.8  https://support.google.com/mail/?p=BadCredentials - gsmtp"
            }
            (_, Self::Outlook) => {
                "535 5.7.3 Authentication unsuccessful [LO4P265CA0001.GBRP265.PROD.OUTLOOK.COM]"
            }
            (_, Self::Dovecot) => "535 5.7.8 Authentication failed.",
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
