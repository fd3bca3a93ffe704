//! The lexicon: stems of words, and the concept that each stands for.
//!
//! A stem is a word or a few; `~` stands for any letters, or none; `|` stands between two. Each stem is needed by a sample: a
//! test takes it out and sees a verdict change.

mod english;
mod languages;

use super::concepts::{Concept, Stems};

pub(super) const LEXICON: &[&[Stems]] = &[english::SUBJECTS, english::STATES, languages::STEMS];

/// Words that say the same where they are denied: "not a robot".
const fn always(concept: Concept, words: &'static str) -> Stems {
    Stems { words, says: Some(concept), denied: Some(concept) }
}

/// Words that say something only where they are not denied.
const fn plain(concept: Concept, words: &'static str) -> Stems {
    Stems { words, says: Some(concept), denied: None }
}

/// Words that say something only where they are denied.
const fn denied(concept: Concept, words: &'static str) -> Stems {
    Stems { words, says: None, denied: Some(concept) }
}
