//! Every bound that the machines keep, each with its reason. None is configurable: a sound server stays far below.

/// Octets of one line before login, with its line end. RFC 4954 section 4 asks a client to take 12,288 octets of base64;
/// the longest prefix is `334 `, and CRLF ends the line. curl allows 65,536, aiosmtplib 8,192.
pub const LINE_OCTETS_MAX: usize = 12_288 + 4 + 2;

/// Octets that a server may send in one phase (greeting, capabilities, upgrade, login). Real logins need below 10 KiB.
pub const PHASE_OCTETS_MAX: usize = 1 << 20;

/// Untagged responses in one phase. Gmail sends one, Dovecot two.
pub const PHASE_RESPONSES_MAX: usize = 1_000;

/// Octets of one literal before login, which nothing there needs. MailKit refuses above 4 KiB.
pub const LITERAL_OCTETS_MAX: u64 = 64 << 10;

/// Lines of one SMTP reply or of a POP3 capability list. Exchange sends 11, Gmail 9.
pub const REPLY_LINES_MAX: usize = 128;

/// Capabilities kept. Exchange 2026 has 20, Yahoo 25.
pub const CAPABILITIES_MAX: usize = 512;

/// Untagged status lines kept for the verdict: Gmail's web address comes in one of its own.
pub const NOTICES_MAX: usize = 4;

/// Characters of server text kept in a failure.
pub const SERVER_TEXT_CHARS_MAX: usize = 512;

/// Octets of a line that a [`Transcript`](crate::Transcript) shows: more than a person reads, and than a sound server's line has
/// before the login.
pub const TRANSCRIPT_LINE_OCTETS_MAX: usize = 4 << 10;

/// Octets of an error challenge's JSON. Dovecot's with `openid-configuration` has about 150.
pub const REJECTION_OCTETS_MAX: usize = 8 << 10;

/// Octets of a line that a [`Watch`](crate::Watch) looks at: status lines are shorter; the rest of a longer one is
/// counted and not kept.
pub const WATCHED_LINE_OCTETS_MAX: usize = 2_048;

/// Commands in flight that a [`Watch`](crate::Watch) follows. A host that pipelines more is not followed any further.
pub const PIPELINE_MAX: usize = 1_024;

/// POP3 deletions that a [`Watch`](crate::Watch) remembers: more than any maildrop that a client empties in one go.
pub const DELETIONS_MAX: usize = 100_000;

/// Words of an IMAP command that a [`Watch`](crate::Watch) knows again in its refusal: names of mailboxes have a few. Of
/// one with more only the codes of the refusal count.
pub const REPEATED_WORDS_MAX: usize = 64;

/// Tokens that servers may refuse in a row, over all sessions of an account, before a person is asked: once more with a
/// fresh one, and no more.
pub const REFUSALS_IN_A_ROW_MAX: usize = 2;

/// Tokens that servers may refuse in a day, whatever succeeded between them.
pub const REFUSALS_IN_A_DAY_MAX: usize = 6;

/// Connections that one session of an account may open at once, whatever server and token source do: short tokens in a
/// test need some; a sound account needs 30 in a day. 180 in an hour, 1,560 in a day.
pub const OPENS_BURST: u64 = 120;

/// Milliseconds for one more.
pub const OPENS_INTERVAL_MS: u64 = 60_000;

/// Requests for tokens of one account, likewise.
pub const ASKS_BURST: u64 = 120;

/// Milliseconds for one more.
pub const ASKS_INTERVAL_MS: u64 = 60_000;

/// Milliseconds after which one connection more is tried than a server was seen to allow. It doubles each time that the
/// server does not, up to a day.
pub const LIMIT_RETRIAL_MS: u64 = 60 * 60_000;
