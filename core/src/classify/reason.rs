//! Whether a refusal gives a reason of its own, in words that the lexicon does not have, and of what kind it is.
//!
//! A refused token is refused in stock words. A reason that speaks to somebody, or of what is theirs, is for a person; one
//! that says what goes on at the server, or speaks of nobody, passes.

use alloc::vec;
use alloc::vec::Vec;

use super::concepts::Concept;
use super::words::Word;

// Lists of words are one text each: a slice would be a pointer, and a relocation, for each word.

/// Words that a refusal without a reason is made of, and those of the help behind it.
const STOCK: &str = "\
    login log logon logging logged signin sign auth authenticate authenticated authentication authorization authorize \
    authorized unauthorized authenticating sasl plain xoauth2 oauthbearer oauth oauth2 user username userid name password \
    passwords passwd pass passphrase credential credentials token access bearer account mailbox email mail err address id \
    data information details info combination pair fail failed fails failure failing invalid incorrect wrong bad error \
    errors denied rejected refused unsuccessful unsuccessfully unable could couldn't can can't cannot did didn't does \
    doesn't do don't isn't not no nor and or either both accepted correct correctly match valid verified verify validate \
    validated recognized recognised please check try again sorry more see go learn visit help may might but any if as it's \
    its perform complete completed process processing command request response reply server imap imap4 pop pop3 smtp esmtp \
    service system here code reason status ref session remote attempt gsmtp nsmtp right enter entered re provided supplied \
    given presented specified used using successful succeed so there something that's i work me my let someone them identity \
    client configuration config settings make sure ensure side say says said unknown expired revoked old was were when while \
    during aborted requested action taken method mechanism closing connection bye goodbye disconnecting shall record records \
    nobody those";

/// Words that make a sentence of others, and say nothing.
const SENTENCE: &str = "\
    the a an is are has have been be to for of your you this that by from in on at with must we our until because it should \
    will due before after than under these too";

/// The same of other languages: German, French, Spanish, Portuguese, Italian, Polish, Czech, Dutch, Swedish, Turkish, Russian, Ukrainian.
const SENTENCE_ELSEWHERE: &str = "\
    der die das ihr ihre sie bitte und fur ist wurde nicht de le la les votre vous est pour el los su por para con se da do \
    sua seu il lo suo di del na nie jest je het uw van voor och ar ditt er din bu ve \u{43d}\u{435} \u{43d}\u{430} \u{432} \
    \u{434}\u{43b}\u{44f} \u{432}\u{430}\u{448} \u{43f}\u{43e} \u{438} \u{437}\u{430}";

/// Words that want something of somebody.
const WANTING: &str = "\
    please only must should need needs needed use see visit open sign ask via web page site website tick press click enter \
    choose set allow follow read update confirm approve approval approved";

/// Words of people, and of what is theirs.
const PERSONAL: &str = "\
    you your you're you've yours user users account accounts mailbox member members owner people person persons we us our \
    this that client clients app apps device sender domain address tenant organization organisation company name";

/// What no refusal of a login without a reason speaks of alone.
const OF_NO_LOGIN: [Concept; 4] =
    [Concept::Account, Concept::Mailbox, Concept::Server, Concept::Service];

/// How many words that no stock refusal has make a reason, where the reply says in stock words that it refuses.
const REASON_WORDS: usize = 2;

/// Fewer words are no sentence.
const SENTENCE_WORDS: usize = 3;

/// Beginnings of words that say only that it is refused: what has none of them ("the mailbox is sealed") says why.
const REFUSING: &str = "\
    fail invalid incorrect wrong bad err denied reject refus unsuccess unable could can again match";

/// The reasons that the words give: none, `Reason`, and with it what kind of one.
///
/// `of_stock` tells which words a stock refusal has in any language, `speaks_of` what is known of the others.
pub(super) fn given(
    words: &[Word],
    of_stock: impl Fn(usize) -> bool,
    speaks_of: impl Fn(&[Concept]) -> bool,
) -> Vec<Concept> {
    let own = words_of_a_reason(words, of_stock);
    let refuses = refuses(words) || speaks_of(&[Concept::Invalid]);
    let may_be_stock = words.len() < SENTENCE_WORDS && !speaks_of(&OF_NO_LOGIN);
    let least = if may_be_stock || refuses { REASON_WORDS } else { 1 };
    if own.iter().map(|word| weight(word)).sum::<usize>() < least {
        return Vec::new();
    }
    let mut reasons = vec![Concept::Reason];
    if words.iter().any(|word| has(WANTING, word)) {
        return reasons;
    }
    if own.iter().any(|word| is_participle(word)) {
        reasons.push(Concept::ReasonUnderway);
    }
    if words.len() > SENTENCE_WORDS && speaks_of_nobody(words) {
        reasons.push(Concept::ReasonOfNobody);
    }
    reasons
}

/// The words that no stock refusal has.
fn words_of_a_reason(words: &[Word], of_stock: impl Fn(usize) -> bool) -> Vec<&Word> {
    let own = words.iter().enumerate().filter(|(at, word)| {
        let lists = [SENTENCE, SENTENCE_ELSEWHERE, STOCK];
        let is_long = word.text.chars().count() > 1;
        is_long && !of_stock(*at) && !word.is_the_user && !lists.iter().any(|list| has(list, word))
    });
    own.map(|(_, word)| word).collect()
}

fn has(list: &str, word: &Word) -> bool {
    list.split(' ').any(|one| one == word.text)
}

/// How many words it counts for.
fn weight(word: &Word) -> usize {
    if is_a_sentence(word) { REASON_WORDS } else { 1 }
}

/// Whether stock words say that it is refused.
fn refuses(words: &[Word]) -> bool {
    words.iter().any(|word| REFUSING.split(' ').any(|start| word.text.starts_with(start)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::Names;
    use crate::classify::words::words;
    use Concept::{Reason, ReasonOfNobody, ReasonUnderway};

    fn reasons(text: &str) -> Vec<Concept> {
        given(&words(text, &Names::default()), |_| false, |_| false)
    }

    #[test]
    fn a_reason_is_told_from_stock_words_and_its_kind_from_whom_it_speaks_of() {
        for (text, found) in [
            ("login failed", &[] as &[Concept]),
            ("sealed mailbox", &[]),
            ("the mailbox is sealed, login failed", &[]),
            ("the mailbox is sealed", &[Reason]),
            ("the mailbox is sealed with wax, login failed", &[Reason]),
            ("an index of yours: rebuilding", &[Reason, ReasonUnderway]),
            ("an elephant sat upon it", &[Reason, ReasonOfNobody]),
            ("an elephant is walking there", &[Reason, ReasonUnderway, ReasonOfNobody]),
            ("please feed an elephant", &[Reason]),
            ("das ist ein elefant", &[Reason]),
        ] {
            assert_eq!(reasons(text), found, "{text}");
        }
    }

    #[test]
    fn one_word_about_an_account_is_a_reason() {
        let about_an_account = |concepts: &[Concept]| concepts.contains(&Concept::Account);
        let words = words("sealed account", &Names::default());
        assert_eq!(given(&words, |_| false, about_an_account), [Reason]);
    }
}
