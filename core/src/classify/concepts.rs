//! Concepts: what the words of a reply speak of, and what they say of it.

use alloc::vec::Vec;

use super::reason;
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
    pub(super) const NONE: Self = Self(0);

    pub(super) const fn of(concepts: &[Concept]) -> Self {
        let mut set = Self::NONE;
        let mut rest = concepts;
        while let [first, others @ ..] = rest {
            set.add(*first);
            rest = others;
        }
        set
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn has(self, concept: Concept) -> bool {
        self.0 & (1 << concept as u64) != 0
    }

    const fn add(&mut self, concept: Concept) {
        self.0 |= 1 << concept as u64;
    }

    fn meets_each(self, groups: &[Self]) -> bool {
        groups.iter().all(|group| group.is_empty() || self.meets(*group))
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
const DENIALS: &str = "\
    not no nobody never cannot without nor neither unable nicht kein keine keinen pas aucun aucune non nao nie ne niet geen \
    inte ikke ingen ei nem nincs nu \u{43d}\u{435} \u{43d}\u{435}\u{442} \u{43d}\u{456} khong tidak \u{3b4}\u{3b5}\u{3bd}";

/// How many words further a denial reaches.
const DENIAL_REACH: usize = 3;

/// What a refusal without a reason speaks of, in whatever language.
const OF_STOCK: [Concept; 5] =
    [Concept::Auth, Concept::Credential, Concept::Invalid, Concept::Login, Concept::UserName];

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
        let speaks_of = |concepts: &[Concept]| meaning.speaks_of(concepts);
        for concept in reason::given(words, |at| stock.contains(&at), speaks_of) {
            meaning.add(concept, 0);
        }
        meaning.whole = meaning.clauses.iter().copied().fold(Concepts::default(), Concepts::union);
        meaning
    }

    fn speaks_of(&self, concepts: &[Concept]) -> bool {
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

    /// Whether the text speaks of one of these.
    pub(super) const fn says_any(&self, concepts: Concepts) -> bool {
        self.whole.meets(concepts)
    }

    /// Whether the text speaks of one of each group.
    pub(super) fn says(&self, groups: &[Concepts]) -> bool {
        self.whole.meets_each(groups)
    }

    /// Whether one clause does.
    pub(super) fn says_together(&self, groups: &[Concepts]) -> bool {
        self.clauses.iter().any(|clause| clause.meets_each(groups))
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

/// Whether one of the words before, in the same clause, denies this one.
fn is_denied(words: &[Word], at: usize) -> bool {
    let Some(clause) = words.get(at).map(|word| word.clause) else { return false };
    let before = words.get(at.saturating_sub(DENIAL_REACH)..at).unwrap_or_default();
    let denies =
        |text: &str| text.ends_with("n't") || DENIALS.split(' ').any(|denial| denial == text);
    before.iter().any(|word| word.clause == clause && denies(&word.text))
}
