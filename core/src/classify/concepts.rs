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
    Certificate,
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
    Expired,
    Folder,
    Idle,
    Inactive,
    Internal,
    Invalid,
    Later,
    Locked,
    LockedOut,
    Malformed,
    Must,
    NotAllowed,
    NotConnected,
    NotOpened,
    NotValid,
    Off,
    Or,
    Shutdown,
    SystemError,
    TimedOut,
    TooLong,
    TooMany,
    Unavailable,
    Unexplained,
    Unknown,
    Unsupported,
    WrongState,
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

/// A word or a few that stand for a concept. `~` stands for any letters, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stem {
    pub(super) words: &'static str,
    /// What it says.
    pub(super) says: Option<Concept>,
    /// What it says where it is denied: `not allowed`.
    pub(super) denied: Option<Concept>,
}

/// Words that deny what follows them.
const DENIALS: [&str; 13] = [
    "not", "no", "never", "cannot", "without", "nor", "can't", "isn't", "doesn't", "nicht", "pas",
    "non", "n\u{e3}o",
];

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
                let names_a_server = concept == Some(Concept::Protocol)
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
