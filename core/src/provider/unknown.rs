//! A name that no profile has: which one may have been meant.

use alloc::format;
use alloc::string::String;

use super::Provider;

/// What people call them: companies, products, and the names that other libraries have.
#[rustfmt::skip]
const CALLED: [(&str, &str); 17] = [
    ("google", "gmail"), ("googlemail", "gmail"), ("gsuite", "gmail"), ("workspace", "gmail"), ("google-workspace", "gmail"),
    ("outlook", "microsoft"), ("hotmail", "microsoft"), ("live", "microsoft"), ("msn", "microsoft"), ("exchange", "microsoft"),
    ("office", "microsoft"), ("office365", "microsoft"), ("o365", "microsoft"), ("microsoft365", "microsoft"), ("ms365", "microsoft"),
    ("apple", "icloud"), ("protonmail", "proton"),
];

/// Longer names are nobody's slip, and are not compared.
const NAME_OCTETS_MAX: usize = 32;

impl Provider {
    /// The sentence for a name that [`Provider::named`] does not know: with the one that may have been meant. It does not
    /// repeat the name, which may be anything.
    ///
    /// ```
    /// use mailbearer::Provider;
    /// assert!(Provider::unknown("google").starts_with("provider is none of the known ones (did you mean gmail?): gmail, "));
    /// assert!(Provider::unknown("example").starts_with("provider is none of the known ones: gmail, microsoft, "));
    /// ```
    #[must_use]
    pub fn unknown(name: &str) -> String {
        let meant = meant(name).map(|one| format!(" (did you mean {one}?)")).unwrap_or_default();
        format!("provider is none of the known ones{meant}: {}", Self::NAMES.join(", "))
    }
}

fn meant(name: &str) -> Option<&'static str> {
    if name.len() > NAME_OCTETS_MAX {
        return None;
    }
    let name = name.trim().to_ascii_lowercase();
    let called = CALLED.iter().find(|(called, _)| *called == name).map(|(_, one)| *one);
    called.or_else(|| of_domain(&name)).or_else(|| nearest(&name))
}

/// A mail address in place of a name, or its domain.
fn of_domain(name: &str) -> Option<&'static str> {
    let domain = name.rsplit('@').next().unwrap_or(name);
    let found = Provider::of_address(&format!("a@{domain}"))?;
    Provider::NAMES.into_iter().find(|one| *one == found.name)
}

/// The one that is a slip or two of the keyboard away.
fn nearest(name: &str) -> Option<&'static str> {
    let near = Provider::NAMES.into_iter().map(|one| (slips(name, one), one)).min()?;
    // Of three letters, one may be wrong.
    (near.0.saturating_mul(3) <= near.1.len()).then_some(near.1)
}

/// How many letters must be put in, left out or changed, or stand in each other's place, to make one of the other.
fn slips(one: &str, other: &str) -> usize {
    let other = other.as_bytes();
    let mut before: alloc::vec::Vec<usize> = (0..=other.len()).collect();
    let mut two_before = before.clone();
    let mut last = None;
    for (row, letter) in one.bytes().enumerate() {
        let mut now = alloc::vec![row.saturating_add(1)];
        for (column, known) in other.iter().enumerate() {
            let at = |line: &[usize], place: usize| line.get(place).copied().unwrap_or(usize::MAX);
            let changed = at(&before, column).saturating_add(usize::from(letter != *known));
            let left_out = at(&before, column.saturating_add(1)).saturating_add(1);
            let put_in = at(&now, column).saturating_add(1);
            let swapped = match column.checked_sub(1) {
                Some(left) if other.get(left) == Some(&letter) && last == Some(*known) => {
                    at(&two_before, left).saturating_add(1)
                }
                Some(_) | None => usize::MAX,
            };
            now.push(changed.min(left_out).min(put_in).min(swapped));
        }
        two_before = core::mem::replace(&mut before, now);
        last = Some(letter);
    }
    before.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_told() {
        for (name, one) in [
            ("google", "gmail"),
            ("Office365", "microsoft"),
            ("gmail.com", "gmail"),
            ("joe@hotmail.com", "microsoft"),
            ("gmial", "gmail"),
            ("yaho", "yahoo"),
            ("micorsoft", "microsoft"),
            ("mail.ru", "mailru"),
        ] {
            assert_eq!(meant(name), Some(one), "{name}");
        }
        for name in ["example", "", "imap.example.org", &"gmail".repeat(10), "q", "\u{1F600}"] {
            assert_eq!(meant(name), None, "{name}");
        }
    }

    #[test]
    fn what_people_call_them_leads_to_a_profile() {
        for (called, one) in CALLED {
            assert!(Provider::named(called).is_none(), "{called}");
            assert!(Provider::NAMES.contains(&one), "{one}");
        }
    }

    #[test]
    fn slips_are_counted() {
        for (one, other, count) in [
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("abc", "ab", 1),
            ("", "ab", 2),
            ("axc", "abcd", 2),
        ] {
            assert_eq!(slips(one, other), count, "{one} {other}");
        }
    }
}
