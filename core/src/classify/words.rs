//! Reduction: from the text of a reply to the server's own words.
//!
//! Taken out are all things that a stranger can choose or that name one occasion: addresses, the names of the login, hosts,
//! web addresses, what stands in quotes or in angle or square brackets, `key=value`, identifiers, and numbers. What is
//! left is split into words in lower case, in clauses.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::letters::{is_mark, plain};
use super::{Names, answers};

/// A word of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Which clause of the text it stands in.
    pub(super) clause: usize,
    /// Whether the user's name is written like that, and stands where names stand: `failed: locked`, `locked: failed`.
    pub(super) is_the_user: bool,
}

/// Letters of a word; what is longer is an identifier.
const WORD_CHARS_MAX: usize = 24;

/// Words that hold digits and mean something all the same.
const WORDS_WITH_DIGITS: [&str; 8] =
    ["imap4", "pop3", "oauth2", "xoauth2", "base64", "rfc2821", "2fa", "2sv"];

/// Microsoft Entra numbers its errors: `AADSTS50076`.
const TOKEN_SERVICE: &str = "aadsts";

/// Marks of quotation, and what ends each. Old Unix programs end at an apostrophe what a grave accent begins; German's
/// second mark is English's first.
const QUOTES: [(char, &[char]); 8] = [
    ('"', &['"']),
    ('\u{201e}', &['\u{201c}']),
    ('\u{201c}', &['\u{201d}']),
    ('\u{2018}', &['\u{2019}']),
    ('\u{ab}', &['\u{bb}']),
    ('\u{300c}', &['\u{300d}']),
    ('`', &['`', '\'']),
    ('\'', &['\'']),
];

/// Words behind which the part of a mail address before the `@` is a name.
const BEFORE_NAMES: [&str; 5] = ["user", "username", "for", "as", "name"];

/// The words of a text.
pub(super) fn words(text: &str, names: &Names<'_>) -> Vec<Word> {
    let text = without_user(text, names);
    let reasons = answers::reasons(&text);
    let open = without_enclosed(&text, reasons.is_empty());
    let open = [reasons, open].join(" ");
    let mut words: Vec<Word> = Vec::new();
    let mut clause = 0_usize;
    let mut behind_a_colon = false;
    let mut raw_words = open.split_whitespace().peekable();
    while let Some(raw) = raw_words.next() {
        clause = clause.saturating_add(usize::from(raw.starts_with('(')));
        if !is_name(raw, names) {
            for piece in pieces(raw) {
                let after_name_word = words.last().is_some_and(|last| {
                    last.clause == clause && BEFORE_NAMES.contains(&last.text.as_str())
                });
                let is_the_name = is_user(&piece, names);
                let leads = words.last().is_none_or(|last| last.clause < clause);
                let before_a_colon =
                    leads && raw.strip_suffix(':').is_some_and(|name| is_user(name, names));
                let alone = behind_a_colon && raw_words.peek().is_none();
                let is_the_user = is_the_name && (alone || before_a_colon);
                if !(after_name_word && is_the_name) {
                    words.push(Word { text: piece, clause, is_the_user });
                }
            }
        }
        if raw.ends_with(['.', ',', ';', '!', '?']) || raw == "-" {
            clause = clause.saturating_add(1);
        }
        behind_a_colon = raw.ends_with(':');
    }
    words
}

/// Without the sequences that steer a terminal (ECMA-48): they would hold words together.
fn without_escapes(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut plain = String::from(parts.next().unwrap_or_default());
    for part in parts {
        let sequence = part.strip_prefix('[').unwrap_or(part);
        let rest = sequence.trim_start_matches(|one: char| one.is_ascii_digit() || one == ';');
        let mut rest = rest.chars();
        rest.next();
        plain.push(' ');
        plain.push_str(rest.as_str());
    }
    plain
}

/// Without what stands in quotes or brackets; where nothing else says anything, with it, if it may count at all.
fn without_enclosed(text: &str, may_count: bool) -> String {
    let without_angles = cut_enclosed(&without_escapes(text), '<', &['>']);
    let without_brackets = cut_enclosed(&without_angles, '[', &[']']);
    let mut open = without_brackets.clone();
    for (start, end) in QUOTES {
        open = cut_enclosed(&open, start, end);
    }
    if !may_count || open.chars().any(char::is_alphabetic) { open } else { without_brackets }
}

/// Cuts what stands between two marks. One that has no partner, or an apostrophe inside a word, is no mark.
fn cut_enclosed(text: &str, start: char, ends: &[char]) -> String {
    let mut open = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(start) {
        let (before, marked) = rest.split_at(at);
        let inside = marked.get(start.len_utf8()..).unwrap_or_default();
        let inside_word = start == '\'' && before.ends_with(char::is_alphanumeric);
        match inside.split_once(ends) {
            Some((_, behind))
                if !(inside_word
                    || (start == '\'' && behind.starts_with(char::is_alphanumeric))) =>
            {
                open.push_str(without_client(before));
                open.push(' ');
                rest = behind;
            }
            Some(_) | None => {
                open.push_str(before);
                open.push(start);
                rest = inside;
            }
        }
    }
    open.push_str(rest);
    open
}

/// Without the name that Postfix joins to a client's address: `from unknown[192.0.2.1]`.
fn without_client(before: &str) -> &str {
    match before.rsplit_once(' ') {
        Some((rest, name)) if !name.is_empty() && rest.ends_with("from") => rest,
        Some(_) | None => before,
    }
}

/// Whether a run of characters names something: an address, a host, a path, a setting, the login's own names.
fn is_name(raw: &str, names: &Names<'_>) -> bool {
    let bare = raw.trim_matches(|one: char| !one.is_alphanumeric());
    let is = |name: &str| !name.is_empty() && bare.eq_ignore_ascii_case(name);
    raw.contains("://")
        || raw.starts_with("www.")
        || raw.starts_with('/')
        || raw.contains(['@', '\u{ff20}', '=', '\\'])
        || is(names.host)
        || is_identifier(bare)
        || (names.user.contains('@') && is(names.user))
        || is_host(bare)
}

/// `mail.example.org`, `192.0.2.1:993`, and not the end of one sentence and the beginning of the next (`failed.Please`).
fn is_host(bare: &str) -> bool {
    let mut labels = bare.split('.');
    let first = labels.next().unwrap_or_default();
    let mut rest = labels.peekable();
    let sentence = |label: &str| {
        let mut letters = label.chars();
        letters.next().is_some_and(char::is_uppercase) && letters.any(char::is_lowercase)
    };
    rest.peek().is_some() && !first.is_empty() && rest.all(|label| !sentence(label))
}

/// `too-many-connections-7f3a`: three parts or more, and one mixes digits into letters. `locked_user_77`: no server says that.
fn is_identifier(bare: &str) -> bool {
    let mixed = |part: &str| {
        part.contains(|one: char| one.is_ascii_digit())
            && part.contains(|one: char| one.is_ascii_alphabetic())
    };
    bare.split('-').count() > 2 && bare.split('-').any(mixed)
        || bare.contains('_') && bare.contains(|one: char| one.is_ascii_digit())
}

/// The user's name without its domain, or a user name that is no address.
fn is_user(piece: &str, names: &Names<'_>) -> bool {
    let local = names.user.split('@').next().unwrap_or_default();
    !local.is_empty() && local.eq_ignore_ascii_case(piece)
}

/// Without the user's name where that is more than one word, which the words around it cannot tell: `locked-idle`, `Joe Locked`.
fn without_user(text: &str, names: &Names<'_>) -> String {
    let local = names.user.split('@').next().unwrap_or_default();
    let of_words = |name: &&str| {
        name.contains(char::is_alphanumeric) && name.contains(|one: char| !one.is_alphanumeric())
    };
    let names = [names.user, local].into_iter().filter(of_words);
    names.fold(text.to_string(), |text, name| without_name(&text, &name.to_ascii_lowercase()))
}

/// Without a name in lower case, where no other word goes on from it.
fn without_name(text: &str, name: &str) -> String {
    let mut open = String::with_capacity(text.len());
    let mut at = 0;
    for (start, found) in text.to_ascii_lowercase().match_indices(name) {
        let end = start.saturating_add(found.len());
        let before = text.get(..start).unwrap_or_default();
        let behind = text.get(end..).unwrap_or_default();
        if !before.ends_with(char::is_alphanumeric) && !behind.starts_with(char::is_alphanumeric) {
            open.push_str(text.get(at..start).unwrap_or_default());
            open.push(' ');
            at = end;
        }
    }
    open.push_str(text.get(at..).unwrap_or_default());
    open
}

/// The words of a run of characters: `SmtpClientAuthentication` is three. Identifiers, which mix digits into letters, and
/// numbers are none.
fn pieces(raw: &str) -> Vec<String> {
    let raw = raw.replace('\u{2019}', "'").replace("e-mail", "email").replace("E-Mail", "email");
    let raw: String = raw.replace("E-mail", "email").chars().filter(|one| !is_mark(*one)).collect();
    let mut pieces = Vec::new();
    for part in raw.split(|one: char| !one.is_alphanumeric() && one != '\'') {
        let part = part.trim_matches('\'');
        if part.is_empty() || part.chars().count() > WORD_CHARS_MAX && part.is_ascii() {
            continue;
        }
        // Chinese has no spaces, not even around `POP3`.
        let ideograph = |one: char| one >= '\u{2e80}';
        let script = part.find(|one| ideograph(one) != part.starts_with(ideograph));
        let (start, rest) = part.split_at(script.unwrap_or(part.len()));
        for part in [start, rest].into_iter().filter(|part| !part.is_empty()) {
            if part.contains(|one: char| one.is_ascii_digit()) {
                let lower = part.to_lowercase();
                if lower.starts_with(TOKEN_SERVICE) {
                    pieces.push(lower);
                    continue;
                }
                // `IMAP4rev1`
                let known = WORDS_WITH_DIGITS.into_iter().find(|word| lower.starts_with(word));
                pieces.extend(known.map(ToString::to_string));
            } else {
                push_words(without_article(part), &mut pieces);
            }
        }
    }
    pieces
}

/// `l'authentification` is one word, and `don't` too.
fn without_article(part: &str) -> &str {
    match part.split_once('\'') {
        Some((article, word)) if article.len() <= 4 && word.chars().count() > 2 => word,
        Some(_) | None => part,
    }
}

/// `AccessTokenExpired` is three words.
fn push_words(part: &str, words: &mut Vec<String>) {
    let mut word = String::new();
    let mut before_lower = false;
    for one in part.chars() {
        if one.is_uppercase() && before_lower {
            words.push(core::mem::take(&mut word));
        }
        before_lower = one.is_lowercase();
        word.extend(one.to_lowercase().filter(|one| !is_mark(*one)).map(plain));
    }
    words.push(word);
}

/// The longest wait that a server can make us take: a day, Google's longest lockout (answer/7126229).
pub(super) const WAIT_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// `Suggested Backoff Time: 92415 milliseconds` (Exchange), `at least 5 minutes apart` (Cyrus), `for a 15 minute period`.
pub(super) fn wait_ms(text: &str) -> Option<u64> {
    let open = without_enclosed(text, true);
    let mut before = "";
    for word in open.split(|one: char| one.is_whitespace() || one == '-') {
        let unit = word.trim_end_matches(|one: char| !one.is_ascii_alphabetic());
        let unit: u64 = match unit.to_ascii_lowercase().as_str() {
            "millisecond" | "milliseconds" | "ms" => 1,
            "second" | "seconds" | "sec" => 1000,
            "minute" | "minutes" | "min" => 60 * 1000,
            "hour" | "hours" => 60 * 60 * 1000,
            _ => 0,
        };
        if unit != 0
            && let Ok(number) = before.parse::<u64>()
        {
            return Some(number.saturating_mul(unit).min(WAIT_MS_MAX));
        }
        before = word;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let names = Names { user: "idle@example.test", host: "busy.example.test" };
        words(text, &names).iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn names_are_no_words() {
        for (text, left) in [
            ("failed for heidler@example.test", "failed for"),
            ("failed for <shutdown>: no", "failed for no"),
            ("user \"too many\" unknown", "user unknown"),
            ("user 'locked' unknown, don't", "user unknown don't"),
            ("see https://x.test/session/expired now", "see now"),
            ("host locked.example.test:993 says", "host says"),
            ("busy.example.test says", "says"),
            ("failed [host.x:idle] sc=IDLE", "failed"),
            ("try user idle again", "try user again"),
            ("/var/mail/locked is gone", "is gone"),
            ("\u{1b}[31;1mAccount locked\u{1b}[0m", "account locked"),
            ("10.0.0.1 (idle4u) x7f9", ""),
            ("many from unknown[192.0.2.7]: no", "many from no"),
            ("failure[0] from idle[IPv6:2001:db8::1]", "failure from"),
            ("(ref: too-many-idle-7f3a)", "ref"),
            ("user `locked' unknown, don't", "user unknown don't"),
            ("user `locked` unknown, `idle' too", "user unknown too"),
            ("user \u{2018}locked\u{2019} unknown, don\u{2019}t", "user unknown don't"),
            ("Benutzer \u{201e}locked\u{201c} unknown", "benutzer unknown"),
            ("user \u{300c}locked\u{300d} unknown", "user unknown"),
            ("failed for locked\u{ff20}example.test", "failed for"),
            ("failed for locked_user_77", "failed for"),
        ] {
            assert_eq!(read(text), left, "{text}");
        }
    }

    #[test]
    fn the_users_name_alone_behind_or_before_a_colon_is_told_from_a_word() {
        let names = Names { user: "locked@example.test", host: "" };
        let has_the_user = |text| words(text, &names).iter().any(|word| word.is_the_user);
        for text in ["failed: locked", "locked: failed", "failed. LOCKED: no"] {
            assert!(has_the_user(text), "{text}");
        }
        for text in
            ["account locked", "failed: locked at noon", "is locked: failed", "locked failed"]
        {
            assert!(!has_the_user(text), "{text}");
        }
    }

    #[test]
    fn a_user_of_more_than_one_word_is_no_words() {
        for (user, text, left) in [
            ("locked-idle@x.test", "unknown user Locked-Idle.", "unknown user"),
            ("locked_idle", "locked_idle: no", "no"),
            ("locked+idle@x.test", "failed (locked+idle)", "failed"),
            ("Joe Locked", "failed for joe locked, bye", "failed for bye"),
            ("o'locked@x.test", "o'locked isn't known", "isn't known"),
            ("locked-idle", "relocked-idle locked-idled", "relocked idle locked idled"),
            ("\u{e9}-locked", "failed for \u{e9}-locked", "failed for"),
            ("-", "app-specific", "app specific"),
            ("@", "a@b c", "c"),
        ] {
            let words = words(text, &Names { user, host: "" });
            let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
            assert_eq!(words.join(" "), left, "{user}: {text}");
        }
    }

    #[test]
    fn words_that_look_like_names_stay() {
        for (text, left) in [
            ("idle for too long", "idle for too long"),
            ("failed.Please wait", "failed please wait"),
            ("organization's policy", "organization's policy"),
            ("AccessTokenExpired", "access token expired"),
            ("XOAUTH2 OAuth IMAP4rev1 POP3", "xoauth2 oauth imap4 pop3"),
            ("\"Login failed\"", "login failed"),
            ("App-specific locked-2fa", "app specific locked 2fa"),
            ("AADSTS50076: no", "aadsts50076 no"),
            ("l\u{2019}authentification, don't o'clock", "authentification don't clock"),
            ("user+IP <unclosed", "user ip unclosed"),
            ("POP3\u{670d}\u{52a1}", "pop3 \u{670d}\u{52a1}"),
            ("Sp\u{e4}ter cafe\u{301} \u{130}PTAL", "spater cafe iptal"),
            ("no {\"error\":\"invalid_grant\"}", "invalid grant no"),
            ("no error=slow_down", "slow down no"),
            (
                "\u{41d}\u{415}\u{422} \u{6388}\u{6743}\u{7801}",
                "\u{43d}\u{435}\u{442} \u{6388}\u{6743}\u{7801}",
            ),
        ] {
            assert_eq!(read(text), left, "{text}");
        }
    }

    #[test]
    fn clauses_end_where_a_reader_would_pause() {
        let clauses: Vec<usize> = words("too many errors, closing. bye", &Names::default())
            .iter()
            .map(|word| word.clause)
            .collect();
        assert_eq!(clauses, [0, 0, 0, 1, 2]);
    }

    #[test]
    fn the_unit_of_a_wait_is_the_word_behind_the_number() {
        for (text, wait) in [
            ("Wait 5 ms.", Some(5)),
            ("1 millisecond", Some(1)),
            ("1 second,", Some(1_000)),
            ("7 seconds", Some(7_000)),
            ("1 minute", Some(60_000)),
            ("2 hours", Some(7_200_000)),
            ("a 15-minute period", Some(900_000)),
            ("an hour", None),
            ("5 moons or 3 minutes", Some(180_000)),
            ("-5 milliseconds", Some(5)),
            ("99999999999999999999 ms", None),
            ("9999999999999999 ms", Some(WAIT_MS_MAX)),
        ] {
            assert_eq!(wait_ms(text), wait, "{text}");
        }
    }
}
