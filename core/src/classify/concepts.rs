//! Concepts: what the words of a reply speak of, and what they say of it.

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
    Backend,
    Certificate,
    Change,
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
    Message,
    Person,
    Plan,
    Policy,
    /// A password or a token.
    Proof,
    Protocol,
    Rate,
    Recipient,
    Scope,
    Security,
    Server,
    Service,
    Session,
    ThisIs,
    Tls,
    Token,
    TokenService,
    UserName,
    Verification,
    // States.
    Aged,
    Again,
    Authenticated,
    Blocked,
    Busy,
    Cancelled,
    Denied,
    Elsewhere,
    Expired,
    Folder,
    Full,
    Idle,
    InUse,
    Inactive,
    Internal,
    Invalid,
    Later,
    Layer,
    Locked,
    LockedOut,
    Malformed,
    Mismatch,
    Must,
    NotAllowed,
    NotConnected,
    NotOpened,
    NotValid,
    Off,
    Or,
    /// Somebody or something else that is at the mailbox.
    Other,
    Reason,
    /// A reason that speaks of nobody.
    ReasonOfNobody,
    /// A reason that says what goes on.
    ReasonUnderway,
    Shutdown,
    Suspended,
    SystemError,
    TimedOut,
    TooLong,
    TooMany,
    Unavailable,
    Underway,
    Unexplained,
    Unknown,
    Unsupported,
    WrongState,
}

impl Concept {
    /// Whether it is spoken of, and not said of something.
    const fn is_subject(self) -> bool {
        (self as u8) < Self::Aged as u8
    }
}

/// A set of concepts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Concepts(u128);

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

/// Stems that stand for one concept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stems {
    /// With `|` between them: a slice of each would be a pointer, and a relocation, for a few letters.
    pub(super) words: &'static str,
    /// What they say.
    pub(super) says: Option<Concept>,
    /// What they say where they are denied: `not allowed`.
    pub(super) denied: Option<Concept>,
}

/// Words that deny what follows them; English contractions end in `n't`.
#[rustfmt::skip]
const DENIALS: &[&str] = &[
    "not", "no", "nobody", "never", "cannot", "without", "nor", "neither", "unable", "nicht", "kein", "keine", "keinen", "pas", "aucun",
    "aucune", "non", "nao", "nie", "ne", "niet", "geen", "inte", "ikke", "ingen", "ei", "nem", "nincs", "nu", "\u{43d}\u{435}",
    "\u{43d}\u{435}\u{442}", "\u{43d}\u{456}", "khong", "tidak", "\u{3b4}\u{3b5}\u{3bd}",
];

/// How many words further a denial reaches.
const DENIAL_REACH: usize = 3;

/// Words that a refusal without a reason is made of, and those of the help behind it.
#[rustfmt::skip]
const STOCK: &[&str] = &[
    "login", "log", "logon", "logging", "logged", "signin", "sign", "auth", "authenticate", "authenticated", "authentication",
    "authorization", "authorize", "authorized", "unauthorized", "authenticating", "sasl", "plain", "xoauth2", "oauthbearer", "oauth",
    "oauth2", "user", "username", "userid", "name", "password", "passwords", "passwd", "pass", "passphrase", "credential", "credentials",
    "token", "access", "bearer", "account", "mailbox", "email", "mail", "err", "address", "id", "data", "information", "details", "info",
    "combination", "pair", "fail", "failed", "fails", "failure", "failing", "invalid", "incorrect", "wrong", "bad", "error", "errors",
    "denied", "rejected", "refused", "unsuccessful", "unsuccessfully", "unable", "could", "couldn't", "can", "can't", "cannot", "did",
    "didn't", "does", "doesn't", "do", "don't", "isn't", "not", "no", "nor", "and", "or", "either", "both", "accepted", "correct",
    "correctly", "match", "valid", "verified", "verify", "validate", "validated", "recognized", "recognised", "please", "check", "try",
    "again", "sorry", "more", "see", "go", "learn", "visit", "help", "may", "might", "but", "any", "if", "as", "it's", "its", "perform",
    "complete", "completed", "process", "processing", "command", "request", "response", "reply", "server", "imap", "imap4", "pop",
    "pop3", "smtp", "esmtp", "service", "system", "here", "code", "reason", "status", "ref", "session", "remote", "attempt", "gsmtp",
    "nsmtp", "right", "enter", "entered", "re", "provided", "supplied", "given", "presented", "specified", "used", "using", "successful",
    "succeed", "so", "there", "something", "that's", "i", "work", "me", "my", "let", "someone", "them", "identity", "client", "configuration",
    "config", "settings", "make", "sure", "ensure", "side", "say", "says", "said", "unknown", "expired", "revoked", "old", "was",
    "were", "when", "while", "during", "aborted", "requested", "action", "taken", "method", "mechanism", "closing", "connection", "bye", "goodbye", "disconnecting",
    "shall", "record", "records", "nobody", "those",
];

/// Words that make a sentence of others, and say nothing.
#[rustfmt::skip]
const SENTENCE: &[&str] = &[
    "the", "a", "an", "is", "are", "has", "have", "been", "be", "to", "for", "of", "your", "you", "this", "that", "by", "from", "in", "on",
    "at", "with", "must", "we", "our", "until", "because", "it", "should", "will", "due", "before", "after", "than", "under", "these", "too",
];

/// The same of other languages.
#[rustfmt::skip]
const SENTENCE_ELSEWHERE: &[&str] = &[
    // German, French, Spanish, Portuguese, Italian, Polish, Czech, Dutch, Swedish, Turkish.
    "der", "die", "das", "ihr", "ihre", "sie", "bitte", "und", "fur", "ist", "wurde", "nicht", "de", "le", "la", "les", "votre", "vous", "est",
    "pour", "el", "los", "su", "por", "para", "con", "se", "da", "do", "sua", "seu", "il", "lo", "suo", "di", "del", "na", "nie", "jest",
    "je", "het", "uw", "van", "voor", "och", "ar", "ditt", "er", "din", "bu", "ve",
    // Russian, Ukrainian.
    "\u{43d}\u{435}", "\u{43d}\u{430}", "\u{432}", "\u{434}\u{43b}\u{44f}", "\u{432}\u{430}\u{448}", "\u{43f}\u{43e}", "\u{438}", "\u{437}\u{430}",
];

/// What a refusal without a reason speaks of, in whatever language.
const OF_STOCK: [Concept; 5] =
    [Concept::Auth, Concept::Credential, Concept::Invalid, Concept::Login, Concept::UserName];

/// Words that want something of somebody.
#[rustfmt::skip]
const WANTING: &[&str] = &[
    "please", "only", "must", "should", "need", "needs", "needed", "use", "see", "visit", "open", "sign", "ask", "via", "web", "page",
    "site", "website", "tick", "press", "click", "enter", "choose", "set", "allow", "follow", "read", "update", "confirm", "approve", "approval", "approved",
];

/// Words of people, and of what is theirs.
#[rustfmt::skip]
const PERSONAL: &[&str] = &[
    "you", "your", "you're", "you've", "yours", "user", "users", "account", "accounts", "mailbox", "member", "members", "owner", "people",
    "person", "persons", "we", "us", "our", "this", "that", "client", "clients", "app", "apps", "device", "sender", "domain", "address",
    "tenant", "organization", "organisation", "company", "name",
];

/// What no refusal of a login without a reason speaks of alone.
const OF_NO_LOGIN: [Concept; 4] =
    [Concept::Account, Concept::Mailbox, Concept::Server, Concept::Service];

/// How many words that no stock refusal has make a reason, where the reply says in stock words that it refuses.
const REASON_WORDS: usize = 2;

/// Fewer words are no sentence.
const SENTENCE_WORDS: usize = 3;

/// Beginnings of words that say only that it is refused: what has none of them ("the mailbox is sealed") says why.
#[rustfmt::skip]
const REFUSING: &[&str] = &[
    "fail", "invalid", "incorrect", "wrong", "bad", "err", "denied", "reject", "refus", "unsuccess", "unable", "could", "can", "again",
    "match",
];

/// What the words of a text speak of.
#[derive(Debug, Clone, Default)]
pub(super) struct Meaning {
    clauses: Vec<Concepts>,
    whole: Concepts,
}

impl Meaning {
    pub(super) fn of(words: &[Word], lexicon: &[&[Stems]]) -> Self {
        let mut meaning = Self::default();
        let denied: Vec<bool> = (0..words.len()).map(|at| is_denied(words, at)).collect();
        let initials = Initials::of(words);
        let mut stock: Vec<usize> = Vec::new();
        for stems in lexicon.iter().copied().flatten() {
            for stem in initials.of_row(stems.words) {
                for (at, (word, denied)) in words.iter().zip(&denied).enumerate() {
                    let concept = if *denied { stems.denied } else { stems.says };
                    let rest = words.get(at..).unwrap_or_default();
                    let says = |concept: &Concept| says(stem, *concept, rest);
                    if let Some(concept) = concept.filter(says) {
                        meaning.add(concept, word.clause);
                        if OF_STOCK.contains(&concept) {
                            stock.extend(at..at.saturating_add(1 + stem.matches(' ').count()));
                        }
                    }
                }
            }
        }
        let reason = words_of_a_reason(words, |at| stock.contains(&at));
        let refused = refuses(words) || meaning.says_one_of(&[Concept::Invalid]);
        let count: usize = reason.iter().map(|word| weight(word)).sum();
        let may_be_stock = words.len() < SENTENCE_WORDS && !meaning.says_one_of(&OF_NO_LOGIN);
        let least = if may_be_stock || refused { REASON_WORDS } else { 1 };
        if count >= least {
            meaning.add(Concept::Reason, 0);
            let wants_nothing = !words.iter().any(|word| has(WANTING, word));
            if wants_nothing && reason.iter().any(|word| is_participle(word)) {
                meaning.add(Concept::ReasonUnderway, 0);
            }
            if wants_nothing && words.len() > SENTENCE_WORDS && speaks_of_nobody(words) {
                meaning.add(Concept::ReasonOfNobody, 0);
            }
        }
        meaning.whole = meaning.clauses.iter().copied().fold(Concepts::default(), Concepts::union);
        meaning
    }

    fn says_one_of(&self, concepts: &[Concept]) -> bool {
        self.clauses.iter().any(|clause| concepts.iter().any(|one| clause.has(*one)))
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

/// What the words begin with, in two octets: nearly all stems begin otherwise. Two beginnings may share a bit.
struct Initials {
    bits: [u32; 8],
    /// Whether a word is not in ASCII: else no stem of Chinese is in it.
    beyond_ascii: bool,
}

impl Initials {
    fn of(words: &[Word]) -> Self {
        let beyond_ascii = words.iter().any(|word| !word.text.is_ascii());
        let mut initials = Self { bits: [0; 8], beyond_ascii };
        for word in words {
            let (place, bit) = Self::place(word.text.as_bytes());
            if let Some(bits) = initials.bits.get_mut(place) {
                *bits |= bit;
            }
        }
        initials
    }

    /// The stems of a row that may begin a word.
    fn of_row<'a>(&self, row: &'a str) -> impl Iterator<Item = &'a str> {
        let ends = memchr::memchr_iter(b'|', row.as_bytes()).chain(core::iter::once(row.len()));
        let mut start = 0;
        ends.filter_map(move |end| {
            let begin = core::mem::replace(&mut start, end.saturating_add(1));
            let stem = row.as_bytes().get(begin..end)?;
            let may = match stem {
                [b'~', letter, ..] => letter.is_ascii() || self.beyond_ascii,
                _ => {
                    let (place, bit) = Self::place(stem);
                    self.bits.get(place)? & bit != 0
                }
            };
            may.then(|| row.get(begin..end))?
        })
    }

    const fn place(octets: &[u8]) -> (usize, u32) {
        let (first, second) = match octets {
            [first, b' ', ..] | [first] => (*first, 0),
            [first, second, ..] => (*first, *second),
            [] => (0, 0),
        };
        let sum = first.wrapping_mul(29).wrapping_add(second);
        ((sum & 7) as usize, 1 << (sum >> 3))
    }
}

/// Whether the words begin with this stem, as words of the server that say this.
fn says(stem: &str, concept: Concept, words: &[Word]) -> bool {
    let Some(count) = begins(stem, words) else { return false };
    // `IMAP server` is a server, and not what the reply speaks of.
    let names_a_server =
        concept == Concept::Protocol && words.get(1).is_some_and(|next| next.text == "server");
    // Users are called `service` or `contact`, and servers speak of both; what is said of them is not said by a name.
    let of_a_name = !concept.is_subject() && words.iter().take(count).any(|word| word.is_the_user);
    !names_a_server && !of_a_name
}

/// How many words a stem takes, where the words begin with it.
fn begins(stem: &str, words: &[Word]) -> Option<usize> {
    let initial = stem.bytes().next();
    if initial != Some(b'~') && initial != words.first()?.text.bytes().next() {
        return None;
    }
    let mut count = 0_usize;
    let fits = stem.split(' ').all(|pattern| {
        let word = words.get(count);
        count = count.saturating_add(1);
        word.is_some_and(|word| fits(pattern, &word.text))
    });
    fits.then_some(count)
}

fn fits(pattern: &str, word: &str) -> bool {
    match (pattern.strip_prefix('~'), pattern.strip_suffix('~')) {
        (Some(part), _) => word.contains(part.trim_end_matches('~')),
        (None, Some(start)) => word.starts_with(start),
        (None, None) => word == pattern,
    }
}

/// The words that no stock refusal has.
fn words_of_a_reason<'a>(words: &'a [Word], of_stock: impl Fn(usize) -> bool) -> Vec<&'a Word> {
    let own = words.iter().enumerate().filter(|(at, word)| {
        let lists = [SENTENCE, SENTENCE_ELSEWHERE, STOCK];
        let is_long = word.text.chars().count() > 1;
        is_long && !of_stock(*at) && !word.is_the_user && !lists.iter().any(|list| has(list, word))
    });
    own.map(|(_, word)| word).collect()
}

fn has(list: &[&str], word: &Word) -> bool {
    list.contains(&word.text.as_str())
}

/// How many words it counts for.
fn weight(word: &Word) -> usize {
    if is_a_sentence(word) { REASON_WORDS } else { 1 }
}

/// Whether stock words say that it is refused.
fn refuses(words: &[Word]) -> bool {
    words.iter().any(|word| REFUSING.iter().any(|start| word.text.starts_with(start)))
}

/// `Rebuilding`, `draining`: English says so what goes on.
fn is_participle(word: &Word) -> bool {
    word.text.is_ascii() && word.text.ends_with("ing")
}

/// Whether an English text speaks of no person, and of nothing that is theirs.
fn speaks_of_nobody(words: &[Word]) -> bool {
    words
        .iter()
        .all(|word| word.text.is_ascii() && !has(PERSONAL, word) && !has(SENTENCE_ELSEWHERE, word))
}

/// What Chinese, Japanese and Thai have between two marks: no space parts their words.
fn is_a_sentence(word: &Word) -> bool {
    let of_such_a_script =
        |one: &char| matches!(*one, '\u{e00}'..='\u{e7f}' | '\u{2e80}'..='\u{abff}');
    word.text.chars().filter(of_such_a_script).count() > SENTENCE_LEAST
}

/// Below are words: "login failed" has four.
const SENTENCE_LEAST: usize = 5;

/// Whether one of the words before, in the same clause, denies this one.
fn is_denied(words: &[Word], at: usize) -> bool {
    let Some(clause) = words.get(at).map(|word| word.clause) else { return false };
    let before = words.get(at.saturating_sub(DENIAL_REACH)..at).unwrap_or_default();
    let denies = |text: &str| text.ends_with("n't") || DENIALS.contains(&text);
    before.iter().any(|word| word.clause == clause && denies(&word.text))
}
