//! What an authorization server said, where a mail server hands it on: `error=invalid_grant`, `{"error": "…"}` (RFC 6749 section
//! 5.2, RFC 6750 section 3). Its values stand in quotes, or behind `=`, as names do elsewhere.

use alloc::string::String;

/// Members whose value says why.
const MEMBERS: [&str; 3] = ["error", "error_description", "error_summary"];

/// The values of the members that say why, each a clause of its own.
pub(super) fn reasons(text: &str) -> String {
    let mut reasons = String::new();
    for (at, _) in text.match_indices("error") {
        let (before, rest) = text.split_at(at);
        let end = rest.find(|one: char| !one.is_ascii_alphanumeric() && one != '_');
        let (member, rest) = rest.split_at(end.unwrap_or(rest.len()));
        let begins = !before.ends_with(|one: char| one.is_ascii_alphanumeric() || one == '_');
        if begins
            && MEMBERS.contains(&member)
            && let Some(value) = value(rest)
        {
            reasons.push_str(", ");
            reasons.push_str(value);
            reasons.push_str(" ,");
        }
    }
    reasons
}

/// `=value`, `="value"`, `":"value"`.
fn value(rest: &str) -> Option<&str> {
    let rest = rest.trim_start_matches(['"', '\'', '\\']).trim_start();
    let is_json = rest.starts_with(':');
    let rest = rest.strip_prefix(['=', ':'])?.trim_start().trim_start_matches('\\');
    match rest.strip_prefix(['"', '\'']) {
        Some(quoted) => quoted.split(['"', '\'', '\\']).next(),
        // `error: login failed` is a sentence.
        None if is_json => None,
        None => rest.split([' ', ',', ';', '&', '}', ')']).next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_why_is_found_wherever_it_stands() {
        for (text, found) in [
            ("no error=invalid_grant&x=y", ", invalid_grant ,"),
            (
                "Bearer error=\"invalid_token\", error_description=\"It expired\"",
                ", invalid_token ,, It expired ,",
            ),
            ("{\"error\":\"a_b\",\"error_description\": \"c d\",\"x\":\"y\"}", ", a_b ,, c d ,"),
            ("{\\\"error\\\":\\\"a\\\"}", ", a ,"),
            ("{'error' : 'a'}", ", a ,"),
            ("error: login failed", ""),
            ("\"error\": 7", ""),
            ("terror=a my_error=a error_uri=a errors=a error", ""),
            ("error=", ",  ,"),
        ] {
            assert_eq!(reasons(text), found, "{text}");
        }
    }
}
