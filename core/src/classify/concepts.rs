//! The lexicon: stems of words, and the concept that each stands for.

use alloc::vec::Vec;

use super::words::Word;

/// What a word can speak of, and what it can say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Concept {
    // Subjects.
    Account,
    AppPassword,
    Argument,
    Auth,
    ClientHost,
    ClientName,
    Command,
    Connection,
    Credential,
    Login,
    Logon,
    Lookup,
    Mailbox,
    Mechanism,
    Plan,
    Policy,
    Protocol,
    Rate,
    Scope,
    Security,
    Server,
    Service,
    Session,
    ThisIs,
    Tls,
    Token,
    UserName,
    Verification,
    // States.
    Aged,
    Authenticated,
    Blocked,
    Busy,
    Cancelled,
    Denied,
    Expired,
    Idle,
    Inactive,
    Internal,
    Invalid,
    Later,
    Locked,
    Malformed,
    Must,
    NotAllowed,
    NotConnected,
    NotValid,
    Off,
    Or,
    Shutdown,
    SystemError,
    TooLong,
    TooMany,
    Unavailable,
    Unknown,
    Unsupported,
    WrongState,
}

/// A set of concepts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Concepts(u64);

impl Concepts {
    pub(super) const fn has(self, concept: Concept) -> bool {
        self.0 & (1 << concept as u64) != 0
    }

    const fn add(&mut self, concept: Concept) {
        self.0 |= 1 << concept as u64;
    }

    fn has_of_each(self, groups: &[&[Concept]]) -> bool {
        groups.iter().all(|group| group.iter().any(|concept| self.has(*concept)))
    }

    const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A word or a few that stand for a concept. `~` stands for any letters, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stem {
    pub(super) words: &'static str,
    /// What it says.
    says: Option<Concept>,
    /// What it says where it is denied: `not allowed`.
    denied: Option<Concept>,
}

/// A word that says the same where it is denied: "not a robot".
const fn always(concept: Concept, words: &'static str) -> Stem {
    Stem { words, says: Some(concept), denied: Some(concept) }
}

/// A word that says something only where it is not denied.
const fn plain(concept: Concept, words: &'static str) -> Stem {
    Stem { words, says: Some(concept), denied: None }
}

/// A word that says something only where it is denied.
const fn denied(concept: Concept, words: &'static str) -> Stem {
    Stem { words, says: None, denied: Some(concept) }
}

use Concept::{
    Account, Aged, AppPassword, Argument, Auth, Authenticated, Blocked, Busy, Cancelled,
    ClientHost, ClientName, Command, Connection, Credential, Denied, Expired, Idle, Inactive,
    Internal, Invalid, Later, Locked, Login, Logon, Lookup, Mailbox, Malformed, Mechanism, Must,
    NotAllowed, NotConnected, NotValid, Off, Or, Plan, Policy, Protocol, Rate, Scope, Security,
    Server, Service, Session, Shutdown, SystemError, ThisIs, Tls, Token, TooLong, TooMany,
    Unavailable, Unknown, Unsupported, UserName, Verification, WrongState,
};

/// Each stem is needed by a sample: a test takes it out and sees a verdict change.
pub(super) const LEXICON: &[Stem] = &[
    // The account, the mailbox, the user.
    always(Account, "account~"),
    always(Account, "user"),
    always(Account, "domain"),
    always(Mailbox, "mailbox~"),
    always(Mailbox, "maildrop"),
    always(UserName, "username"),
    // Credentials.
    always(Credential, "credential~"),
    always(Credential, "password~"),
    always(Token, "token~"),
    always(Scope, "scope~"),
    always(Scope, "insufficient"),
    // Services.
    always(Protocol, "imap"),
    always(Protocol, "imap4"),
    always(Protocol, "pop"),
    always(Protocol, "pop3"),
    always(Protocol, "smtp"),
    always(Protocol, "protocol"),
    always(Service, "service"),
    always(Service, "access"),
    always(Plan, "upgrade"),
    always(Plan, "premium"),
    always(Plan, "subscri~"),
    always(Plan, "licen~"),
    always(Plan, "paid"),
    // Mechanisms and the login itself.
    always(Mechanism, "mechanism~"),
    always(Mechanism, "method~"),
    always(Mechanism, "type"),
    always(Mechanism, "basic"),
    always(Mechanism, "oauth~"),
    always(Mechanism, "xoauth2"),
    always(Auth, "auth~"),
    always(Login, "login~"),
    always(Logon, "logon"),
    always(Lookup, "lookup failed"),
    // Connections, sessions, rates.
    always(Connection, "connection~"),
    always(Connection, "simultaneous"),
    always(Connection, "concurrent"),
    always(Connection, "sessions"),
    always(Connection, "thread"),
    always(Session, "session"),
    always(Rate, "throttl~"),
    always(Rate, "rate"),
    always(Rate, "bandwidth"),
    always(Rate, "attempts"),
    always(Rate, "requests"),
    always(Rate, "too fast"),
    always(Rate, "too often"),
    always(Rate, "too frequent~"),
    // Lines and commands.
    always(Command, "command~"),
    always(Argument, "argument~"),
    always(Argument, "parameter~"),
    always(Argument, "initial response"),
    // The client.
    always(ClientName, "helo"),
    always(ClientName, "ehlo"),
    always(ClientName, "domain name"),
    always(ClientName, "hostname"),
    always(ClientHost, "ip"),
    always(ClientHost, "client host"),
    always(ClientHost, "location"),
    always(ClientHost, "network"),
    always(ClientHost, "country"),
    // Who rules.
    always(Policy, "policy"),
    always(Policy, "policies"),
    always(Policy, "conditional access"),
    always(Policy, "criteria"),
    always(Security, "unsafe"),
    always(Security, "not safe"),
    // What the user must do.
    always(AppPassword, "application password"),
    always(AppPassword, "app password"),
    always(AppPassword, "specific password"),
    always(AppPassword, "authorization code"),
    always(AppPassword, "totp"),
    always(AppPassword, "two factor"),
    always(AppPassword, "second factor"),
    always(Verification, "browser"),
    always(Verification, "web login"),
    always(Verification, "web for"),
    always(Verification, "robot"),
    always(Verification, "captcha"),
    always(Verification, "verify your account"),
    always(Verification, "verify your identity"),
    always(Verification, "consent"),
    always(Verification, "suspicious"),
    always(Verification, "unusual"),
    always(Verification, "unlock"),
    always(Verification, "terms"),
    always(Verification, "multi factor"),
    always(Verification, "change your password"),
    always(Verification, "reset your password"),
    // The server and its parts.
    always(Server, "server"),
    always(ThisIs, "this is"),
    always(Tls, "tls"),
    always(Tls, "ssl"),
    always(Tls, "starttls"),
    always(Tls, "encrypt~"),
    // What is said of them.
    plain(Authenticated, "authenticated"),
    denied(NotConnected, "connected"),
    always(Blocked, "block~"),
    always(Blocked, "suspend~"),
    always(Blocked, "banned"),
    always(Blocked, "deactivated"),
    always(Blocked, "blacklisted"),
    always(Blocked, "frozen"),
    always(Blocked, "closed"),
    always(Blocked, "deleted"),
    plain(Busy, "busy"),
    plain(Busy, "overload~"),
    always(Cancelled, "abort~"),
    always(Cancelled, "cancel~"),
    always(Expired, "expired"),
    always(Expired, "invalidated"),
    always(Aged, "open for too long"),
    always(Aged, "connection time"),
    always(Idle, "idle"),
    always(Idle, "inactivity"),
    always(Idle, "timed out"),
    always(Idle, "timeout"),
    always(Idle, "autologout"),
    always(Internal, "internal"),
    always(Internal, "server error"),
    always(SystemError, "system error"),
    always(Internal, "fatal"),
    always(Internal, "exception"),
    always(Internal, "backend"),
    always(Internal, "database"),
    always(Internal, "ldap"),
    always(Internal, "connection lost"),
    always(Internal, "unable to connect"),
    always(Internal, "could not connect"),
    always(Invalid, "fail~"),
    always(Invalid, "invalid"),
    always(Invalid, "incorrect"),
    denied(NotValid, "valid"),
    denied(Invalid, "accepted"),
    always(Later, "later"),
    always(Later, "temporar~"),
    always(Later, "maintenance"),
    always(Later, "try again in"),
    always(Locked, "lock~"),
    always(Locked, "in use"),
    always(Locked, "exclusive"),
    always(Malformed, "syntax"),
    always(Malformed, "decode"),
    always(Malformed, "format"),
    always(Malformed, "malformed"),
    always(Malformed, "challenge"),
    always(Malformed, "base64"),
    plain(Must, "must"),
    plain(Must, "required"),
    plain(Must, "first"),
    denied(NotAllowed, "allowed"),
    denied(NotAllowed, "permitted"),
    denied(NotAllowed, "authorized"),
    always(Denied, "denied"),
    always(Denied, "forbidden"),
    always(Denied, "restricted"),
    always(Off, "disabled"),
    always(Off, "enable~"),
    always(Off, "off"),
    denied(Inactive, "activ~"),
    always(Inactive, "inactive"),
    denied(Off, "have"),
    plain(Or, "or"),
    always(Shutdown, "shut~ down"),
    always(Shutdown, "shutdown"),
    always(Shutdown, "going down"),
    always(Shutdown, "restart~"),
    always(TooLong, "too long"),
    always(TooLong, "too large"),
    always(TooLong, "longer than"),
    always(TooLong, "response limit"),
    always(TooMany, "too many"),
    always(TooMany, "exceed~"),
    always(TooMany, "limit"),
    always(TooMany, "maximum"),
    always(Unavailable, "unavailable"),
    denied(Unavailable, "available"),
    always(Unavailable, "unreachable"),
    always(Unknown, "unknown"),
    always(Unknown, "unrecognized"),
    denied(Unknown, "recognized"),
    denied(Unknown, "implemented"),
    denied(Unknown, "exist~"),
    denied(Unknown, "found"),
    always(Unknown, "no such"),
    always(Unsupported, "unsupported"),
    denied(Unsupported, "support~"),
    denied(Unsupported, "advertised"),
    always(WrongState, "state"),
    always(WrongState, "identity changes"),
    always(WrongState, "already"),
    // Russian: account, app password, switched off, blocked, too many.
    always(Account, "\u{430}\u{43a}\u{43a}\u{430}\u{443}\u{43d}\u{442}~"),
    always(AppPassword, "\u{43f}\u{440}\u{438}\u{43b}\u{43e}\u{436}\u{435}\u{43d}\u{438}~"),
    always(Off, "\u{43e}\u{442}\u{43a}\u{43b}\u{44e}\u{447}~"),
    always(Blocked, "\u{437}\u{430}\u{431}\u{43b}\u{43e}\u{43a}\u{438}\u{440}~"),
    always(
        TooMany,
        "\u{441}\u{43b}\u{438}\u{448}\u{43a}\u{43e}\u{43c} \u{43c}\u{43d}\u{43e}\u{433}\u{43e}",
    ),
    // Chinese: account, authorization code, not switched on, frozen, busy, frequent.
    always(Account, "~\u{8d26}\u{53f7}~"),
    always(AppPassword, "~\u{6388}\u{6743}\u{7801}~"),
    always(Off, "~\u{672a}\u{5f00}\u{542f}~"),
    always(Blocked, "~\u{51bb}\u{7ed3}~"),
    always(Busy, "~\u{7e41}\u{5fd9}~"),
    always(Rate, "~\u{9891}\u{7e41}~"),
];

/// Words that deny what follows them.
const DENIALS: [&str; 9] =
    ["not", "no", "never", "cannot", "without", "nor", "can't", "isn't", "doesn't"];

/// How many words further a denial reaches.
const DENIAL_REACH: usize = 3;

/// What the words of a text speak of.
#[derive(Debug, Clone, Default)]
pub(super) struct Meaning {
    clauses: Vec<Concepts>,
    whole: Concepts,
}

impl Meaning {
    pub(super) fn of(words: &[Word], lexicon: &[Stem]) -> Self {
        let mut meaning = Self::default();
        for (at, word) in words.iter().enumerate() {
            let rest = words.get(at..).unwrap_or_default();
            let denied = is_denied(words, at);
            for stem in lexicon.iter().filter(|stem| stem.begins(rest)) {
                let concept = if denied { stem.denied } else { stem.says };
                // `IMAP server` is a server, and not what the reply speaks of.
                let names_a_server = concept == Some(Protocol)
                    && rest.get(1).is_some_and(|next| next.text == "server");
                if let Some(concept) = concept.filter(|_| !names_a_server) {
                    meaning.add(concept, word.clause);
                }
            }
        }
        meaning.whole = meaning.clauses.iter().copied().fold(Concepts::default(), Concepts::union);
        meaning
    }

    fn add(&mut self, concept: Concept, clause: usize) {
        if self.clauses.len() <= clause {
            self.clauses.resize(clause.saturating_add(1), Concepts::default());
        }
        if let Some(concepts) = self.clauses.get_mut(clause) {
            concepts.add(concept);
        }
    }

    /// Whether the text speaks of it.
    pub(super) const fn has(&self, concept: Concept) -> bool {
        self.whole.has(concept)
    }

    /// Whether the text speaks of one of each group.
    pub(super) fn says(&self, groups: &[&[Concept]]) -> bool {
        self.whole.has_of_each(groups)
    }

    /// Whether one clause does.
    pub(super) fn says_together(&self, groups: &[&[Concept]]) -> bool {
        self.clauses.iter().any(|clause| clause.has_of_each(groups))
    }
}

impl Stem {
    /// Whether the words begin with this stem.
    fn begins(&self, words: &[Word]) -> bool {
        let mut count = 0_usize;
        self.words.split(' ').all(|pattern| {
            let word = words.get(count);
            count = count.saturating_add(1);
            word.is_some_and(|word| fits(pattern, &word.text))
        })
    }
}

fn fits(pattern: &str, word: &str) -> bool {
    match (pattern.strip_prefix('~'), pattern.strip_suffix('~')) {
        (Some(part), _) => word.contains(part.trim_end_matches('~')),
        (None, Some(start)) => word.starts_with(start),
        (None, None) => word == pattern,
    }
}

/// Whether one of the words before, in the same clause, denies this one.
fn is_denied(words: &[Word], at: usize) -> bool {
    let Some(clause) = words.get(at).map(|word| word.clause) else { return false };
    let before = words.get(at.saturating_sub(DENIAL_REACH)..at).unwrap_or_default();
    before.iter().any(|word| word.clause == clause && DENIALS.contains(&word.text.as_str()))
}
