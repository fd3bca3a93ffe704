use super::*;
use Phase::{AuthChallenge, AuthFail, Disconnect, MidSession};
use Protocol::{Imap, Smtp};

#[test]
fn no_two_rules_share_a_name() {
    for (index, rule) in rules().enumerate() {
        assert!(rules().skip(index + 1).all(|other| other.name != rule.name), "{}", rule.name);
    }
}

#[test]
fn waits_as_long_as_the_server_asks() {
    let wait = |line| classify(Imap, MidSession, &[line]).wait_ms;
    assert_eq!(
        wait("BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds"),
        Some(92_415)
    );
    let pop3 = "-ERR [LOGIN-DELAY] Logins must be at least 5 minutes apart";
    assert_eq!(classify(Protocol::Pop3, AuthFail, &[pop3]).wait_ms, Some(300_000));
    let idle = classify(Imap, Disconnect, &["* BYE idle for 30 minutes"]);
    assert_eq!((idle.advice, idle.wait_ms), (Reconnect, None));
}

#[test]
fn finds_the_web_address_where_gmail_puts_it() {
    let webalert = "* NO [WEBALERT https://accounts.google.com/x?plt=AK] Web login required.";
    let tagged =
        "A1 NO [ALERT] Please log in via your web browser: https://support.google.com/1 (Failure)";
    let verdict = classify(Imap, AuthFail, &[webalert, tagged]);
    assert_eq!(verdict.url.as_deref(), Some("https://accounts.google.com/x?plt=AK"));
    let cut = [
        "534-5.7.14 <https://accounts.google.com/signin?plt=AK",
        "534-5.7.14 Yy1> Please log",
        "534-5.7.14 in via your web browser and then try again.",
        "534 5.7.14  https://support.google.com/mail/answer/78754 - gsmtp",
    ];
    let verdict = classify(Smtp, AuthFail, &cut);
    assert_eq!(verdict.url.as_deref(), Some("https://accounts.google.com/signin?plt=AKYy1"));
}

#[test]
fn finds_the_web_address_of_any_verdict() {
    for (text, url) in [
        ("is disabled. Visit https://aka.ms/off for more.", Some("https://aka.ms/off")),
        ("(see http://x.test/a?b=c).", Some("http://x.test/a?b=c")),
        ("see \"https://x.test/\"", Some("https://x.test/")),
        ("httpd is down", None),
    ] {
        let line = ["535 5.7.139 Authentication unsuccessful ", text].concat();
        assert_eq!(classify(Smtp, AuthFail, &[&line]).url.as_deref(), url, "{text}");
    }
}

#[test]
fn who_can_lift_a_policy_does_not_hide_that_it_is_one() {
    let locked = "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy.";
    for line in [locked, &[locked, " Contact your administrator."].concat()] {
        assert_eq!(classify(Smtp, AuthFail, &[line]).cause, crate::Cause::PolicyBlocked, "{line}");
    }
}

#[test]
fn shows_text_and_code_without_the_framing() {
    let (text, code) = text_and_code(Smtp, &["535-5.7.8 one", "535 5.7.8  two"]);
    assert_eq!((text.as_str(), code.as_deref()), ("one two", Some("535 5.7.8")));
    let (text, code) =
        text_and_code(Imap, &["+ eyJ9", "A1 NO [ALERT] Invalid credentials (Failure)"]);
    assert_eq!((text.as_str(), code.as_deref()), ("Invalid credentials (Failure)", Some("ALERT")));
    assert_eq!(text_and_code(Protocol::Pop3, &["-ERR"]), (String::new(), None));
}

#[test]
fn a_line_that_no_protocol_knows_is_harmless() {
    for protocol in Protocol::ALL {
        for &phase in Phase::ALL {
            for line in [
                "",
                "\u{e9}",
                "5",
                "55\u{e9}",
                "[",
                "NO [",
                "-ERR[",
                "* ",
                "334",
                "+",
                "NO <'\"[",
                "NO \u{201c}",
                "NO '",
                "NO a.",
                "NO .a",
                "NO not",
                "NO \u{1f469}\u{200d}\u{1f469}",
            ] {
                let _ = classify(protocol, phase, &[line]);
                let said = Said { text: line, ..Said::default() };
                let _ = explain(protocol, phase, &said, &Names::default());
            }
            let _ = classify(protocol, phase, &[]);
        }
    }
}

#[test]
fn an_error_challenge_alone_is_a_hint() {
    let hint = |line| {
        let verdict = classify(Imap, AuthChallenge, &[line]);
        (verdict.cause, verdict.advice, verdict.certainty)
    };
    assert_eq!(hint("+ eyJzdGF0dXMiOiI0MDAifQ=="), (Cause::TokenRejected, RefreshToken, Guessed));
    assert_eq!(hint("+ "), (Cause::TokenRejected, RefreshToken, Guessed));
    assert_eq!(hint("+ Go ahead"), (Cause::NoFault, Proceed, Guessed));
    assert_eq!(
        hint("+ eyJzdGF0dXMiOiJpbnN1ZmZpY2llbnRfc2NvcGUifQ=="),
        (Cause::InsufficientScope, AskUser, Inferred)
    );
    assert_eq!(
        hint("+ eyJzdGF0dXMiOiJ0ZW1wb3JhcmlseV91bmF2YWlsYWJsZSJ9"),
        (Cause::Unavailable, BackOff, Inferred)
    );
}

#[test]
fn a_bye_ends_a_session_that_goes_on_and_not_one_that_was_logged_out() {
    let verdict = classify(Imap, MidSession, &["* BYE"]);
    assert_eq!((verdict.cause, verdict.advice), (Cause::SessionEnded, Reconnect));
    let verdict = classify(Imap, MidSession, &["a NO what"]);
    assert_eq!((verdict.cause, verdict.advice), (Cause::Unrecognized, Proceed));
    let verdict = classify(Imap, Disconnect, &["* BYE see you", "a OK done"]);
    assert_eq!((verdict.cause, verdict.rule), (Cause::NoFault, "logout"));
    let verdict = classify(Imap, Disconnect, &["a OK done", "* BYE gone"]);
    assert_eq!(verdict.cause, Cause::SessionEnded);
}

#[test]
fn a_prompt_with_the_code_of_a_failure_is_one() {
    let cause = |line| classify(Smtp, AuthFail, &[line]).cause;
    assert_eq!(cause("334 4.7.0 not now"), cause("454 4.7.0 not now"));
    assert_eq!(cause("334 5.7.8 no"), cause("535 5.7.8 no"));
    assert_eq!(cause("334 2.7.0 go on"), Cause::NoFault);
}

#[test]
fn a_bad_that_answers_a_stray_line_does_not_outrank_the_answer_to_the_login() {
    let lines = ["A1 NO AUTHENTICATE failed.", "* BAD Command Error. 12"];
    assert_eq!(classify(Imap, AuthFail, &lines).advice, RefreshToken);
    assert_eq!(classify(Imap, AuthFail, &["* BAD Command Error. 12"]).advice, BackOff);
}

#[test]
fn what_was_not_seen_is_not_claimed() {
    let ask = |status, code, text| {
        let said = Said { status, code, text };
        explain(Imap, AuthFail, &said, &Names::default())
    };
    let seen = ask(Some("NO"), Some("CONTACTADMIN"), "no");
    assert_eq!((seen.cause, seen.certainty), (Cause::AccountDisabled, Stated));
    let unseen = ask(None, Some("CONTACTADMIN"), "no");
    assert_eq!((unseen.cause, unseen.certainty), (Cause::AccountDisabled, Guessed));
    assert_eq!(ask(None, Some("CONTACTADMIN"), "").certainty, Guessed);
    for text in ["ok all is well", "all is well", "", "No connection", "+ go on"] {
        let failure = ask(None, None, text);
        assert_ne!((failure.cause, failure.certainty), (Cause::NoFault, Stated), "{text}");
        assert_eq!(failure.certainty, Guessed, "{text}");
    }
    let whole = ask(None, None, "A1 NO [CONTACTADMIN] no");
    assert_eq!((whole.certainty, whole.code.as_deref()), (Stated, Some("CONTACTADMIN")));
    let smtp = Said { status: Some("535"), code: Some("5.7.8"), text: "no\nway" };
    let failure = explain(Smtp, AuthFail, &smtp, &Names::default());
    assert_eq!((failure.code.as_deref(), &*failure.server_text), (Some("535 5.7.8"), "no way"));
    let left_in = Said { status: Some("NO"), text: "[CONTACTADMIN] no", ..Said::default() };
    let failure = explain(Imap, AuthFail, &left_in, &Names::default());
    assert_eq!((failure.cause, failure.certainty), (Cause::AccountDisabled, Stated));
    let left_in = Said { status: Some("535"), text: "5.7.13 no", ..Said::default() };
    assert_eq!(explain(Smtp, AuthFail, &left_in, &Names::default()).cause, Cause::AccountDisabled);
    let alone = Said { text: "535 5.7.8 no", ..Said::default() };
    assert_eq!(
        explain(Smtp, AuthFail, &alone, &Names::default()).code.as_deref(),
        Some("535 5.7.8")
    );
}

#[test]
fn a_wish_to_reconnect_decides_where_nothing_else_is_said() {
    for (text, cause, advice) in [
        ("Too slow, please reconnect", Cause::SessionEnded, Reconnect),
        ("[UNAVAILABLE] Too slow, please reconnect", Cause::SessionEnded, Reconnect),
        ("Idle for too long, please reconnect", Cause::IdleTimeout, Reconnect),
        ("Timed out, please reconnect", Cause::IdleTimeout, Reconnect),
        ("Session expired, please reconnect", Cause::SessionLimit, RefreshToken),
        ("Too many connections, please reconnect", Cause::TooManyConnections, BackOff),
        ("Throttled, please reconnect", Cause::RateLimited, BackOff),
        ("Busy, please reconnect", Cause::Unavailable, BackOff),
        ("Please reconnect later", Cause::Unavailable, BackOff),
    ] {
        let verdict = classify(Imap, Disconnect, &[&["* BYE ", text].concat()]);
        assert_eq!((verdict.cause, verdict.advice), (cause, advice), "{text}");
    }
    let login = classify(Imap, AuthFail, &["A1 NO Login failed, please reconnect"]);
    assert_eq!(login.cause, Cause::TokenRejected);
}

#[test]
fn what_is_said_of_a_mailbox_ends_no_session() {
    for text in [
        "[NONEXISTENT] no Token expired",
        "[TRYCREATE] no Token expired",
        "[ALREADYEXISTS] Too many connections",
        "[CANNOT] Account disabled: busy",
        "[LIMIT] Too many flags",
        "Mailbox does not exist: Busy",
        "The IMAP extension is not enabled",
    ] {
        let verdict = classify(Imap, MidSession, &[&["A5 NO ", text].concat()]);
        assert_eq!(verdict.advice, Proceed, "{text}");
    }
}

#[test]
fn a_server_that_has_no_auth_is_told_from_one_that_refuses_the_words() {
    let cause = |protocol, line| classify(protocol, AuthFail, &[line]).cause;
    assert_eq!(cause(Protocol::Pop3, "-ERR Unknown command"), Cause::MechanismUnavailable);
    assert_eq!(cause(Imap, "A1 BAD Unknown command"), Cause::ProtocolViolation);
}

/// 512 KiB of marks without partners took 16 seconds once: a server can send as much before the login, and in the clear.
#[test]
fn only_the_beginning_of_a_long_reply_is_read() {
    let cause = |text: &str| {
        let said = Said { status: Some("NO"), text, ..Said::default() };
        explain(Imap, AuthFail, &said, &Names::default()).cause
    };
    for piece in ["<", "[", "\u{201c}", "from x<", "a ", "a'", "a.", "=", "\u{1b}["] {
        let text = piece.repeat((512 << 10) / piece.len());
        let long = [text.as_str(), " account suspended"].concat();
        assert_eq!(cause(&long), cause(&text), "{piece:?}");
    }
    assert_eq!(cause("account suspended"), Cause::AccountDisabled);
}

#[test]
fn only_the_server_says_how_long_to_wait() {
    let wait = |text: &str| {
        let line = ["* BYE Too many connections", text].concat();
        let verdict = classify(Imap, Disconnect, &[&line]);
        (verdict.cause, verdict.wait_ms)
    };
    for named in
        [" for \"x 24 hours y\"", " (<24 hours>)", " for 'Back in 24 hours'", " [x 24 hours]"]
    {
        assert_eq!(wait(named), (Cause::TooManyConnections, None), "{named}");
    }
    assert_eq!(wait(", wait 5 minutes"), (Cause::TooManyConnections, Some(300_000)));
}

#[test]
fn a_reason_in_unknown_words_calls_a_person_and_a_stock_refusal_is_worth_a_token() {
    let reason = "the grue of your zork has been frobbed";
    for (protocol, head) in [
        (Imap, "A1 NO "),
        (Imap, "A1 NO [AUTHENTICATIONFAILED] "),
        (Protocol::Pop3, "-ERR "),
        (Smtp, "535 5.7.8 "),
        (Smtp, "550 "),
    ] {
        let advice = |text: &str| classify(protocol, AuthFail, &[&[head, text].concat()]).advice;
        assert_eq!(advice(reason), AskUser, "{head}");
        assert_eq!(advice(&["Login failed, ", reason].concat()), AskUser, "{head}");
        assert_eq!(advice(&["Invalid token, ", reason].concat()), RefreshToken, "{head}");
        assert_eq!(advice("Login failed, please check your user name"), RefreshToken, "{head}");
    }
}

/// RFC 5321 section 4.2.1, RFC 5530 and RFC 3206: what passes calls nobody, whatever it says in words that are not known.
#[test]
fn what_passes_calls_no_person_for_unknown_words() {
    for (protocol, head) in [
        (Imap, "A1 NO [UNAVAILABLE] "),
        (Imap, "A1 NO [INUSE] "),
        (Imap, "A1 NO [LIMIT] "),
        (Protocol::Pop3, "-ERR [SYS/TEMP] "),
        (Protocol::Pop3, "-ERR [LOGIN-DELAY] "),
        (Smtp, "454 4.7.0 "),
        (Smtp, "421 4.3.2 "),
        (Smtp, "451 "),
    ] {
        let line = [head, "the grue of your zork has been frobbed"].concat();
        assert_eq!(classify(protocol, AuthFail, &[&line]).advice, BackOff, "{head}");
    }
}
