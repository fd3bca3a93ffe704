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

/// Characters of a reply's text that are read for what it means: a server can send a mebibyte in 128 lines, and no sentence is
/// as long. Gmail's longest has 600.
pub const READ_CHARS_MAX: usize = 4 << 10;

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

/// Milliseconds after which one connection more is tried than a server was seen to allow. It doubles each time that the
/// server does not, up to a day.
pub const LIMIT_RETRIAL_MS: u64 = 60 * 60_000;

// ---- What a session asks of others, whatever a server and a token source do ------------------------------------------

/// How often an order may be given: so many at once, and one more in each interval. The unit of time is
/// [`SessionConfig::login_interval_ms`](crate::SessionConfig::login_interval_ms), a minute by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// What it is for.
    pub order: &'static str,
    /// As many at once.
    pub at_once: u64,
    /// One more in each of so many login intervals.
    pub every: u64,
    /// Whether a session that lasts pays its login back: from [`PAID_BACK_FROM`] on in part, and in whole after
    /// [`PAID_BACK_AFTER`].
    pub paid_back: bool,
}

impl Allowance {
    /// The greatest number in this many login intervals, while no session lasts.
    #[must_use]
    pub const fn most_without_sessions(&self, intervals: u64) -> u64 {
        self.at_once.saturating_add(intervals / self.every)
    }

    /// The greatest number in this many login intervals.
    #[must_use]
    pub const fn most(&self, intervals: u64) -> u64 {
        // One session may have begun before.
        let paid_back =
            if self.paid_back { (intervals / PAID_BACK_AFTER).saturating_add(1) } else { 0 };
        self.most_without_sessions(intervals).saturating_add(paid_back)
    }
}

/// Login intervals before which a session has paid nothing back.
pub const PAID_BACK_FROM: u64 = 2;

/// Login intervals after which a session has paid its login back. Keycloak's tokens live for 5 minutes unless somebody says
/// otherwise.
pub const PAID_BACK_AFTER: u64 = 5;

/// Tokens that are asked for: a source that fails is asked again at most so often. Of a bare session these are all, of an account
/// those that a cache may answer.
pub const TOKENS: Allowance =
    Allowance { order: "FetchToken", at_once: 24, every: 2, paid_back: false };

/// Tokens that bypass the source's cache: each costs its issuer a refresh, and issuers limit those.
pub const REFRESHES: Allowance =
    Allowance { order: "FetchToken with force_refresh", at_once: 20, every: 36, paid_back: true };

/// Connections that are tried, also where no login comes of them.
pub const CONNECTIONS: Allowance =
    Allowance { order: "Connect", at_once: 24, every: 2, paid_back: false };

/// Connections on which a token is sent, or on which the host logs in.
pub const LOGINS: Allowance = Allowance { order: "login", at_once: 20, every: 36, paid_back: true };

/// Logins that may follow each other before they keep the login interval: a login, its repetition with a fresh token, one
/// in two steps, and one after a cut.
pub const LOGINS_BEFORE_INTERVAL: u64 = 4;

/// All that a session keeps to, and an account: connections and logins are of each of its sessions, tokens of the account.
pub const BUDGET: [Allowance; 4] = [CONNECTIONS, LOGINS, TOKENS, REFRESHES];

/// Endings in a row that must agree before a length of sessions is learnt from them.
pub const AGREEING_LENGTHS: usize = 3;

/// Endings in a row before it is learnt whether sessions end with their token.
pub const AGREEING_EXPIRIES: u32 = 2;

/// Shortest length of sessions that is learnt: what ends sooner ends for another reason, and renewing ahead of it would make
/// it worse.
pub const LEARNT_LENGTH_LEAST_MS: u64 = 10 * 60_000;

/// Every so many sessions one is not renewed ahead of a length that was learnt, to see whether it is still true.
pub const LENGTH_TRIAL_EVERY: u32 = 8;

/// Time online without a limit or an outage of the server after which those before are forgotten. The sessions may be
/// several.
pub const LIMIT_FORGIVEN_AFTER_MS: u64 = 60 * 60_000;

/// Refused tokens in a day after which a person is asked, although logins succeeded between them.
pub const REFUSALS_PER_DAY: usize = 6;

/// Octets of a server's line that a [`Follow`](crate::Follow) reads: a search over some hundred thousand messages.
pub const FOLLOWED_LINE_OCTETS_MAX: usize = 4 << 20;

/// Messages that a [`Follow`](crate::Follow) tells at a time; a search names no more.
pub const UIDS_MAX: usize = 400_000;

/// Octets of an autoconfig file. The greatest of the 163 in Thunderbird's database has 8.7 KiB.
#[cfg(feature = "discover")]
pub const AUTOCONFIG_OCTETS_MAX: usize = 64 << 10;

/// Elements, attributes and texts of an autoconfig file. The greatest of Thunderbird's database has 91 elements.
#[cfg(feature = "discover")]
pub const AUTOCONFIG_NODES_MAX: u32 = 4_000;

/// Servers of an autoconfig file that are looked at. The most in Thunderbird's database are 7.
#[cfg(feature = "discover")]
pub const AUTOCONFIG_SERVERS_MAX: usize = 64;

/// Octets of an authorization server's metadata (RFC 8414). Keycloak's have 7 KiB.
#[cfg(feature = "discover")]
pub const METADATA_OCTETS_MAX: usize = 64 << 10;

/// Records of one DNS answer that are looked at.
#[cfg(feature = "discover")]
pub const RECORDS_MAX: usize = 32;

/// Lookups of one discovery: 7 of DNS, 2 files of the domain, 4 of others, 2 of metadata, and a redirect of each file.
#[cfg(feature = "discover")]
pub const LOOKUPS_MAX: usize = 21;

/// Milliseconds for a lookup in DNS: a resolver that is asked again after a lost packet answers within it.
#[cfg(feature = "discover")]
pub const RECORDS_WITHIN_MS: u64 = 3_000;

/// Milliseconds for one file. With those for DNS, all four rounds are over in 15 seconds.
#[cfg(feature = "discover")]
pub const FILE_WITHIN_MS: u64 = 4_000;
