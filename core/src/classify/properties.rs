//! What must hold for every reply that is known: over all samples of `tests/cases/`.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;

use super::*;

/// Words that would decide if they were the server's own.
const HOSTILE: [&str; 5] =
    ["idle", "shutdown", "token expired", "too many connections", "web login required"];

/// A known reply.
struct Sample {
    id: String,
    protocol: Protocol,
    phase: Phase,
    lines: Vec<String>,
}

/// What of a verdict must not change: all but the address.
type Core = (Cause, Advice, Certainty, Option<u64>);

impl Sample {
    fn verdict(&self) -> Verdict {
        self.verdict_with(&Names::default(), LEXICON)
    }

    fn verdict_with(&self, names: &Names<'_>, lexicon: &[&[Stems]]) -> Verdict {
        let lines = self.lines.iter().map(|line| Line::parse(self.protocol, line)).collect();
        Facts::new(self.protocol, self.phase, lines, names, lexicon).verdict()
    }

    /// The same reply with its last line, or each line, changed.
    fn with_lines(&self, change: impl Fn(&str) -> String) -> Self {
        let lines = self.lines.iter().map(|line| change(line)).collect();
        Self { id: self.id.clone(), lines, ..*self }
    }

    fn is_fault(&self) -> bool {
        self.lines.iter().any(|line| Line::parse(self.protocol, line).status.is_fault())
    }
}

fn core(verdict: &Verdict) -> Core {
    (verdict.cause, verdict.advice, verdict.certainty, verdict.wait_ms)
}

/// All samples of the kind `classify`.
fn samples() -> Vec<Sample> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/cases");
    let files = ["classify.json", "field.json", "meanings.json", "judged.json", "kin.json"];
    let read = |file| std::fs::read_to_string(format!("{folder}/{file}")).unwrap();
    let cases = files
        .iter()
        .flat_map(|file| serde_json::from_str::<Vec<serde_json::Value>>(&read(file)).unwrap());
    let sample = |case: serde_json::Value| {
        let text = |name: &str| case[name].as_str().unwrap().to_owned();
        let phase = text("phase");
        let lines = case["lines"].as_array().unwrap();
        Sample {
            id: text("id"),
            protocol: text("protocol").parse().unwrap(),
            phase: *Phase::ALL.iter().find(|one| one.as_str() == phase).unwrap(),
            lines: lines.iter().map(|line| line.as_str().unwrap().to_owned()).collect(),
        }
    };
    let samples: Vec<Sample> = cases.map(sample).filter(Sample::is_fault).collect();
    assert!(samples.len() > 400, "the samples are there: {}", samples.len());
    samples
}

/// The text of a line behind status and code.
fn text_of(protocol: Protocol, line: &str) -> &str {
    Line::parse(protocol, line).text
}

/// Puts other names into the places of names: what stands in quotes and brackets, addresses and web addresses.
fn with_other_names(text: &str, name: &str) -> String {
    let mut changed = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['<', '[', '"']) {
        let (before, marked) = rest.split_at(at);
        let (open, inside) = marked.split_at(1);
        let close = match open {
            "<" => ">",
            "[" => "]",
            _ => "\"",
        };
        let Some((old, behind)) = inside.split_once(close) else { break };
        // What an authorization server says is no name (RFC 6749 section 5.2).
        let member = [changed.as_str(), before].concat();
        let member = member.trim_end_matches([' ', ':', '=', '"']);
        let is_answer = old.starts_with("error")
            || member.ends_with("error")
            || member.ends_with("error_description");
        let name = if is_answer { old } else { name };
        changed.push_str(&[before, open, name, close].concat());
        rest = behind;
    }
    changed.push_str(rest);
    let names = changed.split(' ').map(|word| {
        let slug = name.replace(' ', "-");
        if word.contains("://") && !word.contains(['<', '"']) {
            format!("https://{slug}.example.test/{slug}?why={slug}")
        } else if word.contains('@') && !word.contains(['<', '"']) {
            format!("{slug}@example.test")
        } else {
            word.to_owned()
        }
    });
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn other_names_change_no_verdict() {
    for sample in samples() {
        for name in HOSTILE {
            let other = sample.with_lines(|line| {
                let text = text_of(sample.protocol, line);
                let head = line.strip_suffix(text).unwrap();
                [head, &with_other_names(text, name)].concat()
            });
            // Gmail's address that is cut over several lines is no word either, but cannot be put together again here.
            if sample.id != "gmail-smtp-059" {
                assert_eq!(core(&other.verdict()), core(&sample.verdict()), "{}", other.lines[0]);
            }
        }
    }
}

#[test]
fn other_numbers_change_no_verdict() {
    for sample in samples() {
        let verdict = sample.verdict();
        let other = sample.with_lines(|line| {
            let text = text_of(sample.protocol, line);
            let head = line.strip_suffix(text).unwrap();
            let exchange = Line::parse(sample.protocol, line).exchange;
            let number =
                |word: &str| !word.is_empty() && word.bytes().all(|one| one.is_ascii_digit());
            let words = text
                .split(' ')
                .map(|word| if number(word) && word != exchange { "7" } else { word });
            [head, &words.collect::<Vec<_>>().join(" ")].concat()
        });
        let (cause, advice, certainty, _) = core(&other.verdict());
        let before = (verdict.cause, verdict.advice, verdict.certainty);
        assert_eq!((cause, advice, certainty), before, "{}", other.lines[0]);
    }
}

#[test]
fn an_appended_address_or_identifier_changes_no_verdict() {
    for sample in samples() {
        for more in [
            " https://example.test/session/expired?too-many=connections",
            " [AM0PR01CA0001.shutdown.example.test 2031-01-01T00:00:00.000Z idle]",
            " sc=idle.throttled_101523_7m",
            " <token expired>",
            " n9sm6613295wrx.46",
        ] {
            let longer = sample.with_lines(|line| [line, more].concat());
            assert_eq!(
                core(&longer.verdict()),
                core(&sample.verdict()),
                "{}{more}",
                sample.lines[0]
            );
        }
    }
}

#[test]
fn the_names_of_the_login_change_no_verdict() {
    for sample in samples() {
        for name in ["idle", "shutdown", "blocked", "locked", "expired"] {
            let user = format!("{name}@busy.example.test");
            let names = Names { user: &user, host: "limit.example.test" };
            for more in [
                format!(" for user {name}"),
                format!(" for {user}"),
                format!(" - failed: {name}"),
                " at limit.example.test:993".to_owned(),
            ] {
                let last = |line: &str| sample.lines.last().is_some_and(|last| last == line);
                let append = |line: &str, more: &str| {
                    let more = if last(line) { more } else { "" };
                    [line, more].concat()
                };
                let longer = sample.with_lines(|line| append(line, &more));
                let verdict = longer.verdict_with(&names, LEXICON);
                // "user" is a word of the server, and may make a cause of the account out of one of nobody.
                let plain = more
                    .replace(&format!("user {name}"), "user")
                    .replace(&user, "")
                    .replace(name, "")
                    .replace("limit.example.test:993", "");
                let without = sample.with_lines(|line| append(line, plain.trim_end()));
                assert_eq!(core(&verdict), core(&without.verdict()), "{}{more}", sample.lines[0]);
            }
        }
    }
}

#[test]
fn no_word_overrules_a_code_with_one_meaning() {
    let mut count = 0;
    for sample in samples().iter().filter(|sample| sample.phase == Phase::AuthFail) {
        let verdict = sample.verdict();
        let rule = rules().find(|rule| rule.name == verdict.rule);
        if !rule.is_some_and(rule::Rule::is_of_a_code) {
            continue;
        }
        count += 1;
        for words in ["", "web login required", "token expired", "too many connections", "idle"] {
            let other = sample.with_lines(|line| {
                let head = line.strip_suffix(text_of(sample.protocol, line)).unwrap();
                [head, words].concat()
            });
            assert_eq!(
                other.verdict().advice,
                verdict.advice,
                "{} with '{words}'",
                sample.lines[0]
            );
        }
    }
    assert!(count > 30, "the samples with such codes are there: {count}");
}

#[test]
fn every_stem_is_needed() {
    let samples: Vec<(Sample, Core, String)> = samples()
        .into_iter()
        .map(|sample| {
            let before = core(&sample.verdict());
            let letters = folded(&sample.lines.join(" "));
            (sample, before, letters)
        })
        .collect();
    let mut idle = Vec::new();
    for (table, stems) in LEXICON.iter().enumerate() {
        for (row, of_a_concept) in stems.iter().enumerate() {
            for (index, stem) in of_a_concept.words.split('|').enumerate() {
                let mut others: Vec<&str> = of_a_concept.words.split('|').collect();
                others.remove(index);
                let others = Stems { words: others.join("|").leak(), ..*of_a_concept };
                let mut lexicon = LEXICON.to_vec();
                lexicon[table] = &stems[..row];
                lexicon.extend([core::slice::from_ref(&others), &stems[row + 1..]]);
                // A sample that does not hold the letters of the stem cannot need it.
                let needed = samples.iter().any(|(sample, before, letters)| {
                    stem.split([' ', '~']).all(|part| letters.contains(part))
                        && core(&sample.verdict_with(&Names::default(), &lexicon)) != *before
                });
                if !needed {
                    idle.push(stem);
                }
            }
        }
    }
    assert!(idle.is_empty(), "no sample needs: {idle:?}");
}

/// The letters of a text, in whatever case and with whatever marks; a word may be cut where its case changes.
fn folded(text: &str) -> String {
    let letters = text.to_lowercase().replace('\u{2019}', "'");
    letters.chars().filter(|one| !letters::is_mark(*one)).map(letters::plain).collect()
}

#[test]
fn stems_are_written_as_words_are_read() {
    for stem in LEXICON.iter().copied().flatten().flat_map(|stems| stems.words.split('|')) {
        assert_eq!(stem, folded(stem).trim());
        assert!(!stem.is_empty() && !stem.contains("  ") && stem != "~", "{stem:?}");
    }
}

#[test]
fn no_sample_has_a_rule_of_its_own() {
    let mut texts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let samples = samples();
    for sample in &samples {
        let text = format!("{:?} {:?}", sample.phase, sample.lines);
        texts.entry(sample.verdict().rule).or_default().insert(text);
    }
    let lonely: Vec<_> = rules()
        .map(|rule| (rule.name, texts.get(rule.name).map_or(0, BTreeSet::len)))
        .filter(|(_, count)| *count < 2)
        .collect();
    assert!(lonely.is_empty(), "rules with fewer than two samples: {lonely:?}");
    assert!(rules().count() * 4 < samples.len(), "{} rules", rules().count());
}
