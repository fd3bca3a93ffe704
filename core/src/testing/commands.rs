//! What the server answers to the ordinary commands of mail clients.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::tests::{USER, online, server, talk};
use super::*;

const OTHER: &str = "eve@gmail.com";

fn imap() -> (Server, u64) {
    let mut server = server(Flavour::Dovecot);
    let id = online(&mut server, Protocol::Imap);
    (server, id)
}

fn selected() -> (Server, u64) {
    let (mut server, id) = imap();
    talk(&mut server, id, "s SELECT INBOX\r\n");
    (server, id)
}

#[test]
fn accounts_are_there_before_their_first_login() {
    let mut server = server(Flavour::Gmail);
    server.issue_token(0, USER, TokenRequest::default());
    server.add_user(OTHER);
    assert_eq!(server.users(), [OTHER, USER]);
    assert_eq!(server.messages(OTHER).len(), 3);
    let id = online(&mut server, Protocol::Smtp);
    talk(&mut server, id, "MAIL FROM:<joe@gmail.com>\r\nRCPT TO:<Eve@gmail.com>\r\nDATA\r\n");
    talk(&mut server, id, "Subject: x\r\n\r\nx\r\n.\r\n");
    assert_eq!((server.messages(OTHER).len(), server.messages(USER).len()), (4, 3));
    assert_eq!(server.messages("nobody@gmail.com").len(), 0);
}

#[test]
fn mailboxes_are_made_renamed_subscribed_and_removed() {
    let (mut server, id) = imap();
    let list = "* LIST (\\HasNoChildren \\Drafts) \"/\" \"Drafts\"\r\n* LIST (\\HasNoChildren) \"/\" \"INBOX\"\r\n\
                * LIST (\\HasNoChildren \\Junk) \"/\" \"Junk\"\r\n* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"\r\n\
                * LIST (\\HasNoChildren \\Trash) \"/\" \"Trash\"\r\na OK Success\r\n";
    assert_eq!(talk(&mut server, id, "a LIST \"\" *\r\n"), list);
    assert_eq!(talk(&mut server, id, "b CREATE a/b\r\n"), "b OK Success\r\n");
    assert!(talk(&mut server, id, "c CREATE a/b\r\n").starts_with("c NO [ALREADYEXISTS]"));
    assert_eq!(
        talk(&mut server, id, "d LIST \"\" (a a/%)\r\n"),
        "* LIST (\\HasChildren) \"/\" \"a\"\r\n* LIST (\\HasNoChildren) \"/\" \"a/b\"\r\nd OK Success\r\n"
    );
    talk(&mut server, id, "e SUBSCRIBE a/b\r\ne RENAME a \"x y\"\r\n");
    assert_eq!(
        talk(&mut server, id, "f LSUB \"\" a*\r\n"),
        "* LSUB (\\HasNoChildren \\NonExistent) \"/\" \"a/b\"\r\nf OK Success\r\n"
    );
    assert_eq!(
        talk(
            &mut server,
            id,
            "g LIST (SUBSCRIBED) \"\" IN* RETURN (SUBSCRIBED STATUS (MESSAGES UNSEEN))\r\n"
        ),
        "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"INBOX\"\r\n* STATUS \"INBOX\" (MESSAGES 3 UNSEEN 3)\r\ng OK Success\r\n"
    );
    assert!(talk(&mut server, id, "h DELETE \"x y/b\"\r\n").starts_with("h OK"));
    assert!(talk(&mut server, id, "i DELETE \"x y/b\"\r\n").starts_with("i NO [NONEXISTENT]"));
    assert!(talk(&mut server, id, "j DELETE inbox\r\n").starts_with("j NO [CANNOT]"));
    assert!(talk(&mut server, id, "k CREATE \"a*\"\r\n").starts_with("k NO [CANNOT]"));
    assert_eq!(
        talk(&mut server, id, "l LIST \"\" \"\"\r\n"),
        "* LIST (\\Noselect) \"/\" \"\"\r\nl OK Success\r\n"
    );
    server.create_mailbox(USER, "Entw\u{fc}rfe");
    assert!(talk(&mut server, id, "m LIST \"\" E*\r\n").contains("\"Entw&APw-rfe\""));
    assert!(server.mailboxes(USER).contains(&"Entw\u{fc}rfe".to_string()));
    assert!(server.delete_mailbox(USER, "Entw\u{fc}rfe").is_ok());
    assert!(server.delete_mailbox(USER, "INBOX").is_err());
}

#[test]
fn special_uses_are_told() {
    let mut server = server(Flavour::Gmail);
    let id = online(&mut server, Protocol::Imap);
    let list = talk(&mut server, id, "a LIST (SPECIAL-USE) \"\" * RETURN (SPECIAL-USE)\r\n");
    assert!(list.contains("(\\HasNoChildren \\All) \"/\" \"[Gmail]/All Mail\""), "{list}");
    assert!(!list.contains("INBOX"), "{list}");
    assert!(
        talk(&mut server, id, "b LIST \"\" %\r\n")
            .contains("(\\HasChildren \\Noselect) \"/\" \"[Gmail]\"")
    );
    assert!(talk(&mut server, id, "c SELECT [Gmail]\r\n").starts_with("c NO"));
    assert!(talk(&mut server, id, "d SELECT \"[Gmail]/Trash\"\r\n").contains("* 0 EXISTS"));
}

#[test]
fn searches_find_what_they_ask_for() {
    let (mut server, id) = imap();
    let flagged =
        Delivery { flags: ["\\flagged".into(), "$Work".into()].into(), ..Delivery::default() };
    server.deliver_to(
        USER,
        &Delivery { date_ms: Some(0), ..flagged },
        b"From: =?utf-8?q?J=C3=BCrgen?= <j@b.org>\r\nDate: Wed, 25 Nov 2026 00:00:00 +0000\r\nSubject: Hi\r\nX-A: one two\r\n\
          Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQ==\r\n",
    );
    talk(&mut server, id, "s SELECT INBOX\r\n");
    for (keys, found) in [
        ("ALL", " 1 2 3 4"),
        ("2:3", " 2 3"),
        ("*", " 4"),
        ("UID 3:*", " 3 4"),
        ("UNSEEN FLAGGED", " 4"),
        ("NOT FLAGGED", " 1 2 3"),
        ("OR 1 KEYWORD $Work", " 1 4"),
        ("OR (1 UID 1) NOT NOT 2", " 1 2"),
        ("UNKEYWORD $Work 1:2", " 1 2"),
        ("BEFORE 2-Jan-1970", " 4"),
        ("SINCE 24-Nov-2026", " 1 2 3"),
        ("ON 24-Nov-2026 1", " 1"),
        ("SENTSINCE 25-Nov-2026", " 4"),
        ("SENTON 24-Nov-2026 SENTBEFORE 25-Nov-2026", " 1 2 3"),
        ("SUBJECT \"message 2\"", " 2"),
        ("FROM sender3@example.org", " 3"),
        ("CHARSET UTF-8 FROM {7}\r\nJ\u{fc}RGEN", " 4"),
        ("BODY {7}\r\ngr\u{fc}\u{df}e", " 4"),
        ("TEXT \"this is message\"", " 1 2 3"),
        ("TEXT x-a:", " 4"),
        ("HEADER X-A TWO", " 4"),
        ("HEADER X-A \"\"", " 4"),
        ("LARGER 10000", ""),
        ("SMALLER 10000 TO joe", " 1 2 3"),
        ("NEW", ""),
    ] {
        let reply = talk(
            &mut server,
            id,
            &std::format!("a SEARCH {}\r\n", keys.replace("}\r\n", "+}\r\n")),
        );
        assert_eq!(reply, std::format!("* SEARCH{found}\r\na OK Success\r\n"), "{keys}");
    }
    assert_eq!(
        talk(&mut server, id, "b UID SEARCH RETURN (MIN MAX ALL COUNT) NOT 2\r\n"),
        "* ESEARCH UID MIN 1 MAX 4 ALL 1,3:4 COUNT 3\r\nb OK Success\r\n"
    );
    assert!(
        talk(&mut server, id, "c SEARCH CHARSET KOI8-R ALL\r\n").starts_with("c NO [BADCHARSET")
    );
    let deep = std::format!("d SEARCH {}ALL\r\n", "NOT ".repeat(100_000));
    for line in
        ["d SEARCH\r\n", "d SEARCH FOO\r\n", "d SEARCH SINCE x\r\n", "d SEARCH OR 1\r\n", &deep]
    {
        assert!(talk(&mut server, id, line).starts_with("d BAD"), "{line:.40}");
    }
}

#[test]
fn messages_are_copied_moved_and_expunged_by_uid() {
    let (mut server, id) = selected();
    let validity = 1_700_007_004;
    assert_eq!(
        talk(&mut server, id, "a UID COPY 1:2 Trash\r\n"),
        std::format!("a OK [COPYUID {validity} 1:2 1:2] (Success)\r\n")
    );
    assert_eq!(
        talk(&mut server, id, "b UID MOVE 2 Trash\r\n"),
        std::format!("* OK [COPYUID {validity} 2 3]\r\n* 2 EXPUNGE\r\nb OK Success\r\n")
    );
    assert!(talk(&mut server, id, "c COPY 1 Nowhere\r\n").starts_with("c NO [TRYCREATE]"));
    talk(&mut server, id, "d STORE 1:* +FLAGS.SILENT (\\Deleted)\r\n");
    assert_eq!(talk(&mut server, id, "e UID EXPUNGE 3\r\n"), "* 2 EXPUNGE\r\ne OK Success\r\n");
    assert_eq!(talk(&mut server, id, "f EXPUNGE\r\n"), "* 1 EXPUNGE\r\nf OK Success\r\n");
    assert_eq!((server.messages(USER).len(), server.messages_in(USER, "Trash").len()), (0, 3));
}

#[test]
fn flags_are_stored_as_asked() {
    let (mut server, id) = selected();
    for (command, reply) in [
        ("STORE 1 +FLAGS (\\seen $Work)", "* 1 FETCH (FLAGS ($Work \\Seen))\r\n"),
        ("UID STORE 1 -FLAGS \\Seen", "* 1 FETCH (UID 1 FLAGS ($Work))\r\n"),
        ("STORE 1:2 FLAGS.SILENT ()", ""),
        ("FETCH 1 FLAGS", "* 1 FETCH (FLAGS ())\r\n"),
        ("FETCH 1 BODY[TEXT]<0.4>", "* 1 FETCH (BODY[TEXT]<0> {4}\r\nThis FLAGS (\\Seen))\r\n"),
        ("FETCH 1 (FLAGS UID)", "* 1 FETCH (FLAGS (\\Seen) UID 1)\r\n"),
    ] {
        let line = std::format!("a {command}\r\n");
        assert_eq!(
            talk(&mut server, id, &line),
            std::format!("{reply}a OK Success\r\n"),
            "{command}"
        );
    }
    assert!(talk(&mut server, id, "b STORE 1 FLAGS (\\Foo)\r\n").starts_with("b BAD"));
    assert_eq!(server.messages_in(USER, "INBOX")[0].flags, ["\\Seen"]);
    talk(&mut server, id, "c EXAMINE INBOX\r\n");
    assert!(
        talk(&mut server, id, "d STORE 1 FLAGS (\\Deleted)\r\n").starts_with("d NO [READ-ONLY]")
    );
    talk(&mut server, id, "e FETCH 2 BODY[]\r\n");
    assert!(server.messages_in(USER, "INBOX")[1].flags.is_empty());
}

#[test]
fn sections_are_fetched_as_asked() {
    let (mut server, id) = imap();
    server.deliver(USER, b"Subject: s\r\nFrom: a@b.c\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nX: y\r\n\r\none\r\n--x--\r\n");
    talk(&mut server, id, "s SELECT INBOX\r\n");
    for (item, reply) in [
        (
            "BODY.PEEK[HEADER.FIELDS (SUBJECT)]",
            "BODY[HEADER.FIELDS (SUBJECT)] {14}\r\nSubject: s\r\n\r\n",
        ),
        (
            "BODY.PEEK[HEADER.FIELDS.NOT (subject Content-Type)]",
            "BODY[HEADER.FIELDS.NOT (SUBJECT CONTENT-TYPE)] {15}\r\nFrom: a@b.c\r\n\r\n",
        ),
        ("body.peek[1]", "BODY[1] {3}\r\none"),
        ("BODY.PEEK[1.MIME]", "BODY[1.MIME] {8}\r\nX: y\r\n\r\n"),
        ("BODY.PEEK[2]", "BODY[2] NIL"),
        ("BODY.PEEK[]<5.3>", "BODY[]<5> {3}\r\nct:"),
        ("BODY.PEEK[]<5000.3>", "BODY[]<5000> {0}\r\n"),
        ("RFC822.SIZE", "RFC822.SIZE 95"),
        ("INTERNALDATE", "INTERNALDATE \"24-Nov-2026 10:00:00 +0000\""),
    ] {
        let line = std::format!("a FETCH 4 {item}\r\n");
        assert_eq!(
            talk(&mut server, id, &line),
            std::format!("* 4 FETCH ({reply})\r\na OK Success\r\n")
        );
    }
    assert!(talk(&mut server, id, "b FETCH 4 ALL\r\n").contains("ENVELOPE ("));
    for items in ["()", "FOO", "BODY[", "BODY[0]", "BODY[X]", "BODY[]<1>", "BODY[MIME]"] {
        assert!(
            talk(&mut server, id, &std::format!("c FETCH 1 {items}\r\n")).starts_with("c BAD"),
            "{items}"
        );
    }
}

#[test]
fn a_message_is_appended_with_flags_and_date() {
    let (mut server, id) = selected();
    let line = "a APPEND Sent (\\Seen) \"01-Jan-2026 00:00:00 +0100\" {5+}\r\na\r\nb\n\r\n";
    assert_eq!(talk(&mut server, id, line), "a OK [APPENDUID 1700007003 1] (Success)\r\n");
    let stored = server.messages_in(USER, "Sent");
    assert_eq!((stored[0].flags[0].as_str(), stored[0].date_ms), ("\\Seen", 1_767_222_000_000));
    assert!(
        talk(&mut server, id, "b APPEND Nowhere {1+}\r\nx\r\n").starts_with("b NO [TRYCREATE]")
    );
    assert!(talk(&mut server, id, "c APPEND INBOX {40000000}\r\n").starts_with("c NO [TOOBIG]"));
    assert_eq!(
        talk(&mut server, id, "d APPEND INBOX {1+}\r\nx\r\n"),
        "* 4 EXISTS\r\nd OK [APPENDUID 1700007000 4] (Success)\r\n"
    );
    let output = server.receive(0, id, b"e APPEND INBOX {40000000+}\r\n");
    assert_eq!(output.next, Then::Close);
}

#[test]
fn others_changes_are_told_while_a_client_idles() {
    let (mut server, id) = selected();
    let other = online(&mut server, Protocol::Imap);
    talk(&mut server, other, "s SELECT INBOX\r\n");
    talk(&mut server, id, "a IDLE\r\n");
    assert_eq!(server.next_wake_ms(), Some(3_600_000));
    talk(&mut server, other, "b STORE 2 +FLAGS (\\Deleted)\r\n");
    assert_eq!(server.next_wake_ms(), Some(0));
    assert_eq!(server.tick(1)[0].1.send, b"* 2 FETCH (UID 2 FLAGS (\\Deleted))\r\n");
    assert_eq!(server.next_wake_ms(), Some(3_600_000));
    talk(&mut server, other, "c EXPUNGE\r\nd APPEND INBOX {1+}\r\nx\r\n");
    assert_eq!(server.tick(2)[0].1.send, b"* 2 EXPUNGE\r\n* 3 EXISTS\r\n");
    let smtp = online(&mut server, Protocol::Smtp);
    talk(&mut server, smtp, "MAIL FROM:<a@b>\r\nRCPT TO:<joe@gmail.com>\r\nDATA\r\nx\r\n.\r\n");
    assert_eq!(server.tick(3)[0].1.send, b"* 4 EXISTS\r\n");
    // FETCH and STORE by number are not told of what is gone.
    talk(&mut server, other, "e STORE 1 +FLAGS (\\Deleted)\r\nf EXPUNGE\r\n");
    talk(&mut server, id, "DONE\r\n");
    assert!(!talk(&mut server, id, "g FETCH 2 FLAGS\r\n").contains("EXPUNGE"));
    assert!(talk(&mut server, id, "h NOOP\r\n").starts_with("* 1 EXPUNGE\r\n"));
}

#[test]
fn a_mailbox_that_is_deleted_under_a_client_is_gone() {
    let (mut server, id) = imap();
    server.create_mailbox(USER, "x");
    talk(&mut server, id, "a SELECT x\r\n");
    server.delete_mailbox(USER, "x").unwrap();
    assert!(talk(&mut server, id, "b FETCH 1 FLAGS\r\n").starts_with("b NO [NONEXISTENT]"));
    assert!(talk(&mut server, id, "c FETCH 1 FLAGS\r\n").starts_with("c BAD"));
}

#[test]
fn recipients_are_refused_greylisted_and_sizes_kept() {
    for &flavour in Flavour::ALL {
        let mut server = server(flavour);
        server.config.message_octets_max = 100;
        let id = online(&mut server, Protocol::Smtp);
        for why in RecipientRefusal::ALL {
            server.refuse_recipient("No@b.org", Some(*why));
            let reply = talk(
                &mut server,
                id,
                "RSET\r\nMAIL FROM:<a@b.org>\r\nRCPT TO:<no@B.org>\r\nRCPT TO:<yes@b.org>\r\n",
            );
            let codes: Vec<char> = reply.lines().filter_map(|line| line.chars().next()).collect();
            let class = if matches!(why, RecipientRefusal::Unknown | RecipientRefusal::Denied) {
                '5'
            } else {
                '4'
            };
            assert_eq!((codes[2], *codes.last().unwrap()), (class, '2'), "{flavour} {reply}");
        }
        assert!(talk(&mut server, id, "DATA\r\n").starts_with("354"));
        let large = "x".repeat(200);
        assert!(talk(&mut server, id, &std::format!("{large}\r\n.\r\n")).starts_with("552"));
        assert!(talk(&mut server, id, "MAIL FROM:<a@b.org> SIZE=101\r\n").starts_with("552"));
        assert!(talk(&mut server, id, "EHLO b.org\r\n").contains("250-SIZE 100\r\n"));
        server.refuse_recipient("no@b.org", None);
        server.config.greylist_ms = Some(1_000);
        let again = "RSET\r\nMAIL FROM:<a@b.org>\r\nRCPT TO:<no@b.org>\r\n";
        let mut rcpt = |now_ms| {
            let reply = server.receive(now_ms, id, again.as_bytes()).send;
            String::from_utf8(reply).unwrap().lines().last().unwrap().chars().next()
        };
        assert_eq!((rcpt(0), rcpt(999), rcpt(1_000)), (Some('4'), Some('4'), Some('2')));
        assert!(server.submitted().is_empty());
    }
}

#[test]
fn what_is_submitted_is_among_the_sent_where_the_provider_keeps_it() {
    for (flavour, name, kept) in [
        (Flavour::Gmail, "[Gmail]/Sent Mail", 1),
        (Flavour::Outlook, "Sent Items", 1),
        (Flavour::Dovecot, "Sent", 0),
    ] {
        let mut server = server(flavour);
        let id = online(&mut server, Protocol::Smtp);
        let reply = talk(
            &mut server,
            id,
            "MAIL FROM:<a@b.org>\r\nRCPT TO:<x@b.org>\r\nRCPT TO:<y@b.org>\r\nDATA\r\nSubject: one\r\n.\r\n",
        );
        assert!(reply.lines().last().unwrap().starts_with("250"), "{reply}");
        let sent = server.messages_in(USER, name);
        assert_eq!(sent.len(), kept, "{flavour}");
        for message in sent {
            assert_eq!(
                (message.content, message.flags),
                (b"Subject: one\r\n".to_vec(), [SEEN].map(String::from).to_vec())
            );
        }
    }
}

const SEEN: &str = "\\Seen";

#[test]
fn nothing_grows_without_an_end() {
    let (mut server, id) = selected();
    for number in 0..1_100 {
        talk(&mut server, id, &std::format!("a CREATE {number}\r\n"));
    }
    assert_eq!(server.mailboxes(USER).len(), 1_000);
    let reply = (0..30).map(|_| talk(&mut server, id, "b COPY 1:* INBOX\r\nn NOOP\r\n")).last();
    assert!(reply.unwrap().contains("b NO [OVERQUOTA]"));
    assert!(talk(&mut server, id, "BASE64TOKENBASE64TOKENBASE64TOKEN== x\r\n").contains("BAD"));
    talk(&mut server, id, "c dXNlcj1qb2VAZ21haWwuY29tAWF1dGg9QmVhcmVy\r\n");
    assert_eq!(server.take_events().last().unwrap().what, "unknown");
}

#[test]
fn no_line_breaks_the_server() {
    let mut rng = fastrand::Rng::with_seed(5);
    let (mut server, id) = selected();
    let words = [
        " ",
        "(",
        ")",
        "\"",
        "{3+}\r\nabc",
        "UID",
        "FETCH",
        "STORE",
        "SEARCH",
        "COPY",
        "MOVE",
        "LIST",
        "STATUS",
        "APPEND",
        "1:*",
        "*",
        "%",
        "0",
        "4294967295",
        "FLAGS",
        "+FLAGS",
        "\\Seen",
        "INBOX",
        "Sent",
        "BODY[]",
        "BODY[1.2.MIME]",
        "BODY[HEADER.FIELDS (A)]",
        "<0.9>",
        "OR",
        "NOT",
        "SINCE",
        "1-Jan-2026",
        "HEADER",
        "RETURN",
        "ENVELOPE",
        "BODYSTRUCTURE",
        "EXPUNGE",
        "SELECT",
        "CREATE",
        "DELETE",
        "RENAME",
        "a/b",
        "&",
        "\u{e9}",
        "\u{0}",
        "CLOSE",
        "IDLE",
        "DONE",
        "EXAMINE",
    ];
    for _ in 0..20_000 {
        let mut line = std::string::String::from("a ");
        for _ in 0..rng.usize(0..8) {
            line.push_str(words[rng.usize(0..words.len())]);
            if rng.bool() {
                line.push(' ');
            }
        }
        line.push_str("\r\n");
        let output = server.receive(0, id, line.as_bytes());
        assert_eq!(output.next, Then::Read, "{line}");
    }
}
