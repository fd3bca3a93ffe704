//! What Gmail, Outlook and Dovecot say when they refuse a login, as a table. The sources are in `docs/servers.md` and in
//! `tests/cases/`; a test holds that the core reads each as the cause that it stands for. Over SMTP, what is Dovecot's and what
//! Postfix says in front of it stand together, as they do in use.

use super::refusal::{Moment, Words};
use super::{Flavour, Then};
use crate::config::Protocol;
use crate::failure::Cause;

use Flavour::{Dovecot, Gmail, Outlook};

const fn verdict(lines: &'static str) -> Option<Words> {
    Some(Words { moment: Moment::Verdict, lines, then: Then::Read })
}

/// The verdict, and the end of the connection.
const fn farewell(lines: &'static str) -> Option<Words> {
    Some(Words { moment: Moment::Verdict, lines, then: Then::Close })
}

const fn at(moment: Moment, lines: &'static str) -> Option<Words> {
    Some(Words { moment, lines, then: Then::Read })
}

/// What a flavour says for a cause over a protocol; `None` where no server of it was seen to say so.
pub(super) fn words(flavour: Flavour, protocol: Protocol, cause: Cause) -> Option<Words> {
    match protocol {
        Protocol::Imap => imap(flavour, cause),
        Protocol::Pop3 => pop3(flavour, cause),
        Protocol::Smtp => smtp(flavour, cause),
    }
}

fn imap(flavour: Flavour, cause: Cause) -> Option<Words> {
    match (cause, flavour) {
        (Cause::TokenRejected, Gmail) => {
            verdict("% NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)")
        }
        (Cause::TokenRejected, Outlook) => verdict("% NO AUTHENTICATE failed."),
        (Cause::TokenRejected | Cause::InsufficientScope, Dovecot) => {
            verdict("% NO [AUTHENTICATIONFAILED] Authentication failed.")
        }
        (Cause::TokenExpired, Outlook) => {
            farewell("* BYE Session invalidated - AccessTokenExpired")
        }
        (Cause::MechanismUnavailable, Outlook) => at(
            Moment::Command,
            "% NO AUTHENTICATE failed. Provided authentication mechanism is not supported.",
        ),
        (Cause::MechanismUnavailable, Dovecot) => {
            at(Moment::Command, "% NO Unsupported authentication mechanism.")
        }
        (Cause::TlsRefused, Dovecot) => verdict(
            "% NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.",
        ),
        (Cause::ProtocolDisabled, Gmail) => verdict(
            "% NO [ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page and enable \
             your account for IMAP access. (Failure)",
        ),
        (Cause::ProtocolDisabled, Outlook) => {
            verdict("% NO AUTHENTICATE failed. IMAP access is disabled for this mailbox.")
        }
        (Cause::ProtocolDisabled, Dovecot) => {
            verdict("% NO [ALERT] IMAP access is disabled for this account.")
        }
        (Cause::AccountDisabled, Gmail) => verdict("% NO [ALERT] Account disabled (Failure)"),
        (Cause::AccountDisabled, Outlook) => {
            verdict("% NO AUTHENTICATE failed. Account is disabled.")
        }
        (Cause::AccountDisabled, Dovecot) => {
            verdict("% NO [CONTACTADMIN] Login disabled for this user")
        }
        (Cause::PolicyBlocked, Outlook) => {
            verdict("% NO AUTHENTICATE failed. Blocked by a conditional access policy.")
        }
        (Cause::AppPasswordRequired, Gmail | Outlook | Dovecot) => verdict(
            "% NO [ALERT] Application-specific password required: \
             https://support.google.com/accounts/answer/185833 (Failure)",
        ),
        (Cause::InteractionRequired, Gmail) => verdict(
            "* NO [WEBALERT https://accounts.google.com/signin/continue?plt=AK] Web login required.\r\n\
             % NO [ALERT] Please log in via your web browser: https://support.google.com/mail/answer/78754 (Failure)",
        ),
        (Cause::InteractionRequired, Outlook) => verdict(
            "% NO AUTHENTICATE failed. Account is blocked. Login to your account via a web browser to verify your identity.",
        ),
        (Cause::InteractionRequired, Dovecot) => verdict("% NO [ALERT] Password expired"),
        // What Exchange says, `BYE Connection is closed. 10`, is of a session, and at a login stands for credentials.
        (Cause::TooManyConnections, Gmail | Outlook) => {
            verdict("% NO [ALERT] Too many simultaneous connections. (Failure)")
        }
        (Cause::TooManyConnections, Dovecot) => verdict(
            "% NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
        ),
        (Cause::RateLimited, Gmail) => {
            verdict("% NO [ALERT] Account exceeded command or bandwidth limits. (Failure)")
        }
        (Cause::RateLimited, Outlook) => {
            verdict("% BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds")
        }
        (Cause::RateLimited, Dovecot) => verdict("% NO [LIMIT] Rate limit hit."),
        (Cause::Unavailable, Gmail) => {
            verdict("% NO [UNAVAILABLE] Temporary System Problem (Failure)")
        }
        (Cause::Unavailable, Outlook) => verdict("% NO Server Unavailable. 15"),
        (Cause::Unavailable, Dovecot) => {
            verdict("% NO [UNAVAILABLE] Temporary authentication failure.")
        }
        (Cause::MailboxLocked, Dovecot) => verdict("% NO [INUSE] Timeout while waiting for lock"),
        (Cause::NotConnected, Outlook) => {
            at(Moment::Session, "% BAD User is authenticated but not connected.")
        }
        (Cause::LineTooLong, Outlook) => verdict("% BAD Command line too long"),
        (Cause::SessionLimit, Gmail) => farewell("* BYE Session expired, please login again."),
        (Cause::IdleTimeout, Outlook) => farewell("* BYE Connection is closed. 13"),
        (Cause::Shutdown, Gmail | Outlook | Dovecot) => farewell(Flavour::shutdown(Protocol::Imap)),
        (Cause::ProtocolViolation, Gmail) => verdict("% BAD Invalid SASL argument."),
        (Cause::ProtocolViolation, Outlook) => verdict("% BAD Command Argument Error. 12"),
        (Cause::ProtocolViolation, Dovecot) => {
            verdict("% BAD Invalid base64 data in initial response")
        }
        (Cause::Unrecognized, Dovecot) => verdict("% NO [ALERT] Mind the gap, please"),
        (Cause::WrongService, Gmail) => {
            at(Moment::Greeting, "220 smtp.gmail.com ESMTP a1mb2 - gsmtp")
        }
        (Cause::WrongService, Outlook) => {
            at(Moment::Greeting, "220 outlook.office365.com Microsoft ESMTP MAIL Service ready")
        }
        (Cause::WrongService, Dovecot) => at(Moment::Greeting, "220 localhost Dovecot ready."),
        (Cause::Preauthenticated, Dovecot) => {
            at(Moment::Greeting, "* PREAUTH [CAPABILITY IMAP4rev1] Logged in as joe")
        }
        (_, _) => None,
    }
}

fn pop3(flavour: Flavour, cause: Cause) -> Option<Words> {
    match (cause, flavour) {
        (Cause::TokenRejected, Gmail) => verdict("-ERR [AUTH] Username and password not accepted."),
        (Cause::TokenRejected, Outlook) => {
            verdict("-ERR Authentication failure: unknown user name or bad password.")
        }
        (Cause::TokenRejected | Cause::InsufficientScope, Dovecot) => {
            verdict("-ERR [AUTH] Authentication failed.")
        }
        (Cause::MechanismUnavailable, Dovecot) => {
            at(Moment::Command, "-ERR Unsupported authentication mechanism.")
        }
        (Cause::ProtocolDisabled, Gmail) => at(
            Moment::Session,
            "-ERR [SYS/PERM] Your account is not enabled for POP access. Please visit your Gmail settings page and \
             enable your account for POP access.",
        ),
        (Cause::ProtocolDisabled, Outlook | Dovecot) => verdict("-ERR [SYS/PERM] POP3 is disabled"),
        (Cause::AccountDisabled, Gmail | Dovecot) => {
            verdict("-ERR [AUTH] Login disabled for this user")
        }
        (Cause::AccountDisabled, Outlook) => {
            verdict("-ERR Logon failure: account currently disabled.")
        }
        (Cause::AppPasswordRequired, Gmail | Outlook | Dovecot) => verdict(
            "-ERR [AUTH] Application-specific password required: https://support.google.com/accounts/answer/185833",
        ),
        (Cause::InteractionRequired, Gmail | Outlook | Dovecot) => {
            verdict("-ERR [AUTH] Web login required: https://support.google.com/mail/answer/78754")
        }
        (Cause::TooManyConnections, Dovecot) => verdict(
            "-ERR [SYS/TEMP] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
        ),
        (Cause::TooManyConnections, Gmail | Outlook) => {
            verdict("-ERR Too many open connections (1 of 1 for user)")
        }
        (Cause::RateLimited, Gmail | Outlook | Dovecot) => {
            verdict("-ERR [LOGIN-DELAY] Minimum time between logins not met")
        }
        (Cause::Unavailable, Gmail) => {
            verdict("-ERR [SYS/TEMP] Temporary system problem. Please try again later.")
        }
        (Cause::Unavailable, Outlook) => verdict("-ERR Server Unavailable. 21"),
        (Cause::Unavailable, Dovecot) => {
            verdict("-ERR [SYS/TEMP] Temporary authentication failure.")
        }
        (Cause::MailboxLocked, Gmail | Outlook) => {
            verdict("-ERR [IN-USE] Unable to lock maildrop: Mailbox is locked by POP server")
        }
        (Cause::MailboxLocked, Dovecot) => verdict("-ERR [IN-USE] Timeout while waiting for lock"),
        (Cause::LineTooLong, Outlook) => farewell("-ERR Protocol error. Connection is closed. 10"),
        (Cause::SessionLimit, Gmail) => farewell("-ERR Session expired, please login again."),
        (Cause::ProtocolViolation, Dovecot) => {
            verdict("-ERR [AUTH] Invalid base64 data in continued response")
        }
        (Cause::Unrecognized, Dovecot) => verdict("-ERR [AUTH] Mind the gap, please"),
        (Cause::WrongService, Gmail) => {
            at(Moment::Greeting, "220 smtp.gmail.com ESMTP a1mb2 - gsmtp")
        }
        (Cause::WrongService, Outlook) => {
            at(Moment::Greeting, "220 outlook.office365.com Microsoft ESMTP MAIL Service ready")
        }
        (Cause::WrongService, Dovecot) => at(Moment::Greeting, "* OK Dovecot ready."),
        (_, _) => None,
    }
}

fn smtp(flavour: Flavour, cause: Cause) -> Option<Words> {
    match (cause, flavour) {
        (Cause::TokenRejected, Gmail) => verdict(
            "535-5.7.8 Username and Password not accepted. Learn more at\r\n\
             535 5.7.8  https://support.google.com/mail/?p=BadCredentials - gsmtp",
        ),
        (Cause::TokenRejected, Outlook) => verdict(
            "535 5.7.3 Authentication unsuccessful [LO4P265CA0001.GBRP265.PROD.OUTLOOK.COM]",
        ),
        (Cause::TokenRejected | Cause::InsufficientScope, Dovecot) => {
            verdict("535 5.7.8 Authentication failed.")
        }
        (Cause::MechanismUnavailable, Gmail | Outlook) => {
            at(Moment::Command, "504 5.7.4 Unrecognized Authentication Type.")
        }
        (Cause::MechanismUnavailable, Dovecot) => {
            at(Moment::Command, "504 5.5.4 Unsupported authentication mechanism.")
        }
        (Cause::InitialResponseRefused, Gmail | Outlook) => at(
            Moment::InitialResponse,
            "535 5.5.4 Optional Argument not permitted for that AUTH mode.",
        ),
        (Cause::TlsRefused, Gmail) => verdict("530 5.7.0 Must issue a STARTTLS command first"),
        (Cause::TlsRefused, Outlook) => Some(Words {
            moment: Moment::Greeting,
            lines: "421 4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/update your client to support TLS 1.2.",
            then: Then::Close,
        }),
        (Cause::TlsRefused, Dovecot) => verdict(
            "523 5.7.10 Plaintext authentication disallowed on non-secure (SSL/TLS) connections.",
        ),
        (Cause::ProtocolDisabled, Gmail | Outlook | Dovecot) => verdict(
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit \
             https://aka.ms/smtp_auth_disabled for more information.",
        ),
        (Cause::AccountDisabled, Gmail | Outlook) => verdict("525 5.7.13 User account is disabled"),
        (Cause::AccountDisabled, Dovecot) => verdict("525 5.7.13 Account is disabled"),
        (Cause::PolicyBlocked, Outlook) => verdict(
            "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. \
             Contact your administrator.",
        ),
        (Cause::AppPasswordRequired, Gmail | Outlook | Dovecot) => verdict(
            "534-5.7.9 Application-specific password required. Learn more at\r\n\
             534 5.7.9  https://support.google.com/mail/?p=InvalidSecondFactor - gsmtp",
        ),
        (Cause::InteractionRequired, Gmail | Outlook | Dovecot) => verdict(
            "534-5.7.14 <https://accounts.google.com/signin/continue?plt=AK\r\n\
             534-5.7.14 Yy1> Please log in via your web browser and then try again.\r\n\
             534 5.7.14  https://support.google.com/mail/answer/78754 - gsmtp",
        ),
        (Cause::UserNameRefused, Outlook) => verdict(
            "501 5.5.124 Invalid XOAUTH2 auth data - User address provided is not valid. Please ensure the auth data is valid",
        ),
        (Cause::ClientNameRefused, Gmail) => Some(Words {
            moment: Moment::Ehlo,
            lines: "421-4.7.0 Try again later, closing connection. (EHLO)\r\n\
                    421-4.7.0 For more information, go to\r\n\
                    421 4.7.0  About SMTP error messages - a1mb2 - gsmtp",
            then: Then::Close,
        }),
        (Cause::ClientNameRefused, Outlook) => at(
            Moment::Ehlo,
            "501 5.5.4 Invalid domain name [LO4P265CA0001.GBRP265.PROD.OUTLOOK.COM]",
        ),
        (Cause::ClientNameRefused, Dovecot) => at(
            Moment::Ehlo,
            "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname",
        ),
        (Cause::TooManyConnections, Gmail | Outlook) => {
            verdict("432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded")
        }
        (Cause::TooManyConnections, Dovecot) => {
            farewell("421 4.7.0 localhost Error: too many connections from 192.0.2.1")
        }
        (Cause::RateLimited, Gmail) => verdict(
            "454-4.7.0 Too many login attempts, please try again later.\r\n\
             454 4.7.0 https://support.google.com/mail/answer/7126229",
        ),
        (Cause::RateLimited, Outlook) => farewell(
            "421 4.4.2 Message submission rate for this client has exceeded the configured limit",
        ),
        (Cause::RateLimited, Dovecot) => {
            farewell("421 4.7.0 localhost Error: too many AUTH commands from 192.0.2.1")
        }
        (Cause::Unavailable, Gmail) => verdict(
            "454 4.7.0 Cannot authenticate due to temporary system problem. Try again later.",
        ),
        (Cause::Unavailable, Outlook) => verdict("454 4.7.0 Temporary authentication failure"),
        (Cause::Unavailable, Dovecot) => verdict(
            "454 4.7.0 Temporary authentication failure: Connection lost to authentication server",
        ),
        (Cause::LineTooLong, Gmail) => verdict("555 5.5.2 Syntax error, command line too long"),
        (Cause::LineTooLong, Dovecot) => verdict("500 5.5.2 Line too long"),
        (Cause::IdleTimeout, Gmail) => farewell("451 4.4.2 Timeout - closing connection. a1mb2"),
        (Cause::IdleTimeout, Dovecot) => {
            farewell("421 4.4.2 localhost Disconnected for inactivity")
        }
        (Cause::Shutdown, Gmail | Outlook | Dovecot) => farewell(Flavour::shutdown(Protocol::Smtp)),
        (Cause::ProtocolViolation, Gmail) => verdict("501 5.5.2 Cannot Decode response"),
        (Cause::ProtocolViolation, Outlook | Dovecot) => verdict("501 5.5.2 Invalid base64 data"),
        (Cause::Unrecognized, Dovecot) => {
            verdict("535 5.7.8 Error: authentication failed: Mind the gap, please")
        }
        (Cause::WrongService, Gmail) => {
            at(Moment::Greeting, "* OK Gimap ready for requests from 192.0.2.1 a1mb2")
        }
        (Cause::WrongService, Outlook) => {
            at(Moment::Greeting, "+OK The Microsoft Exchange POP3 service is ready. [TQBX]")
        }
        (Cause::WrongService, Dovecot) => at(Moment::Greeting, "+OK Dovecot ready."),
        (_, _) => None,
    }
}
