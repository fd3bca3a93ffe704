//! Makes `RESULTS.md` from the lines of JSON that all measuring programs printed: `bench-results FILE... > RESULTS.md`.
//!
//! What the lines mean is in `tests/bench/README.md`. Nothing is measured here, and nothing is left out: a figure that is
//! missing is printed as such.
#![allow(clippy::expect_used, reason = "the lines are of our own programs")]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use mailbearer_bench::said;
use serde_json::Value;

/// Where the order of languages and protocols comes from.
const LANGUAGES: [(&str, &str); 3] = [("rust", "Rust"), ("python", "Python"), ("node", "Node")];
const PROTOCOLS: [&str; 3] = ["imap", "pop3", "smtp"];

/// The goals of issue 6.
const ROUND_TRIPS: [(&str, f64); 3] = [("imap", 1.0), ("pop3", 2.0), ("smtp", 2.0)];
const CPU_OF_FLOOR_MOST: f64 = 1.5;

/// Less than this part of a bare connect cannot be told from its noise.
const NOISE_OF_BARE: f64 = 0.1;
const WATCH_OF_MEMCHR_LEAST: f64 = 0.5;
const LITERALS_OF_MEMCPY_MOST: f64 = 0.05;

/// The part of all cores that others may use when the benchmarks begin.
const BUSY_MOST: f64 = 0.05;

fn main() {
    let mut lines = Vec::new();
    for file in std::env::args().skip(1) {
        let text =
            std::fs::read_to_string(&file).unwrap_or_else(|error| fail(&file, &error.to_string()));
        for line in text.lines() {
            lines.push(Line(
                serde_json::from_str(line).unwrap_or_else(|error| fail(&file, &error.to_string())),
            ));
        }
    }
    print!("{}", Results { lines }.page());
}

fn fail(file: &str, error: &str) -> ! {
    eprintln!("bench-results: {file}: {error}");
    std::process::exit(1)
}

/// A figure.
struct Line(Value);

/// Who was measured: language, style, client, version, role, protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Who {
    language: String,
    style: String,
    client: String,
    version: String,
    role: String,
    protocol: String,
}

impl Line {
    fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn number(&self, key: &str) -> f64 {
        self.0.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN)
    }

    fn is(&self, part: &str, measure: &str) -> bool {
        self.text("part") == part && self.text("measure") == measure
    }

    fn who(&self) -> Who {
        let text = |key| self.text(key).to_owned();
        Who {
            language: text("language"),
            style: text("style"),
            client: text("client"),
            version: text("version"),
            role: text("role"),
            protocol: text("protocol"),
        }
    }

    /// Least, median and most.
    fn runs(&self) -> Runs {
        let runs = self.0.get("runs").and_then(Value::as_array);
        let mut runs: Vec<f64> = runs.into_iter().flatten().filter_map(Value::as_f64).collect();
        runs.sort_by(f64::total_cmp);
        let at = |index: usize| runs.get(index).copied().unwrap_or(f64::NAN);
        Runs { least: at(0), median: at(runs.len() / 2), most: at(runs.len().saturating_sub(1)) }
    }
}

#[derive(Debug, Clone, Copy)]
struct Runs {
    least: f64,
    median: f64,
    most: f64,
}

impl Runs {
    /// Part of the median between the least and the most.
    fn spread(self) -> f64 {
        (self.most - self.least) / self.median
    }
}

struct Results {
    lines: Vec<Line>,
}

impl Results {
    fn page(&self) -> String {
        let mut page = String::from(
            "# Results of the benchmarks\n\nWritten by `make bench`; how each figure is measured is in `README.md` beside \
             this file. Figures are medians, the\nspread is the greatest less the least run, as a part of the median.\n",
        );
        page += &machine(self.lines.iter().find(|line| line.is("machine", "busy")));
        page += &self.goals();
        page += &self.logins();
        page += &self.behaviours();
        page += &self.watch();
        page += &self.calls();
        page += &self.hosts();
        page += &self.heap();
        page += &self.fleet();
        page
    }

    // ---- Figures of a client ---------------------------------------------------------------------------------------

    fn find(&self, who: &Who, measure: &str) -> Option<Runs> {
        let line = self.lines.iter().find(|line| line.is("login", measure) && line.who() == *who);
        line.map(Line::runs)
    }

    /// Everybody who logged in: in the order of languages, styles, protocols, and as they were measured.
    fn everybody(&self) -> Vec<Who> {
        let mut all: Vec<Who> = Vec::new();
        for line in self.lines.iter().filter(|line| line.text("part") == "login") {
            let who = line.who();
            if !all.contains(&who) {
                all.push(who);
            }
        }
        let place = |names: &[&str], name: &str| names.iter().position(|one| *one == name);
        let languages = LANGUAGES.map(|(name, _)| name);
        all.sort_by_key(|who| {
            (place(&languages, &who.language), who.style.clone(), place(&PROTOCOLS, &who.protocol))
        });
        all
    }

    fn group<'a>(&self, all: &'a [Who], who: &Who, role: &str) -> Vec<&'a Who> {
        let same = |other: &&Who| {
            (&other.language, &other.style) == (&who.language, &who.style) && other.role == role
        };
        all.iter().filter(same).collect()
    }

    /// CPU of a login less that of the bare connect in the same language and style.
    fn net(&self, all: &[Who], who: &Who, measure: &str) -> Option<f64> {
        let own = self.find(who, measure)?.median;
        let bare = self.group(all, who, "bare");
        let bare = bare.iter().find(|bare| bare.protocol == who.protocol).or(bare.first())?;
        Some(own - self.find(bare, measure)?.median)
    }

    /// The same, where it is more than the noise of the bare connect.
    fn clear_net(&self, all: &[Who], who: &Who, measure: &str) -> Option<f64> {
        let (own, net) = (self.find(who, measure)?.median, self.net(all, who, measure)?);
        (net > (own - net) * NOISE_OF_BARE).then_some(net)
    }

    /// The same, as a multiple of the floor's.
    fn of_floor(&self, all: &[Who], who: &Who, measure: &str) -> Option<f64> {
        let floors = self.group(all, who, "floor");
        let floor = floors.iter().find(|floor| floor.protocol == who.protocol)?;
        Some(self.net(all, who, measure)? / self.clear_net(all, floor, measure)?)
    }

    // ---- Tables ----------------------------------------------------------------------------------------------------

    fn logins(&self) -> String {
        let all = self.everybody();
        let mut page = String::from(
            "\n## Logins\n\nFrom the greeting to logged in, over TLS, with a token of 200 octets. *Trips* and *octets* are as \
             the server counted them. *50 ms*: time until\nthe API returns where a round trip takes 50 ms, the TCP handshake \
             not counted. *CPU* is of the client's process for one login, *net* is less the\nbare connect (with its TLS \
             handshake), *x* is net as a multiple of the floor's; *clear* is the same on a port without TLS, where the \
             handshake's\nnoise is not in it. *Peak* is the memory of a process that does nothing else.\n",
        );
        let groups: Vec<_> =
            all.iter().map(|who| (who.language.clone(), who.style.clone())).collect();
        let mut seen = BTreeSet::new();
        for (language, style) in groups {
            if !seen.insert((language.clone(), style.clone())) {
                continue;
            }
            let name = LANGUAGES
                .iter()
                .find(|(key, _)| *key == language)
                .map_or(language.as_str(), |(_, name)| name);
            let style_name = if style.is_empty() { String::new() } else { format!(", {style}") };
            let _ = write!(
                page,
                "\n### {name}{style_name}\n\n| client | | trips | octets | 50 ms | local ms | CPU us | spread | net us | x | \
                 clear net us | x | spread | peak MiB |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
            );
            for who in all.iter().filter(|who| (&who.language, &who.style) == (&language, &style)) {
                page += &self.login(&all, who);
            }
        }
        page
    }

    fn login(&self, all: &[Who], who: &Who) -> String {
        let median = |measure: &str| self.find(who, measure).map(|runs| runs.median);
        let spread = |measure: &str| self.find(who, measure).map(|runs| runs.spread() * 100.0);
        let is_bare = who.role == "bare";
        let net = |measure: &str| if is_bare { None } else { self.net(all, who, measure) };
        let times = |measure: &str| if is_bare { None } else { self.of_floor(all, who, measure) };
        let name = format!("{} {}", who.client, who.version);
        let name = if who.role == "mailbearer" {
            format!("**{}**", name.trim())
        } else {
            name.trim().to_owned()
        };
        format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            who.protocol,
            cell(median("round_trips"), 0),
            cell(median("octets"), 0),
            cell(median("ready_ms"), 0),
            cell(median("local_ms"), 2),
            cell(median("cpu_us"), 0),
            percent(spread("cpu_us")),
            cell(net("cpu_us"), 0),
            cell(times("cpu_us"), 2),
            cell(net("cpu_plain_us"), 1),
            cell(times("cpu_plain_us"), 2),
            percent(spread("cpu_plain_us")),
            cell(median("peak_kib").map(|kib| kib / 1024.0), 1),
        )
    }

    fn behaviours(&self) -> String {
        let tables = [
            (
                "refused",
                "A refused token",
                "The server sends its challenge in JSON, and then `NO`, `-ERR` or `535`.",
            ),
            (
                "long_token",
                "A token of 2,000 octets",
                "Gmail's SMTP refuses command lines above 1,000 octets.",
            ),
            (
                "ended",
                "A session that the server ends",
                "`* BYE`, `-ERR` or `421` and the close come after the first command.",
            ),
        ];
        let mut page = String::from(
            "\n## What the user sees\n\n*Token* is how often it went over the wire. *ms* is on loopback, without a delay.\n",
        );
        for (measure, title, text) in tables {
            let _ = write!(
                page,
                "\n### {title}\n\n{text}\n\n| | client | | token | ms | what the caller gets |\n|---|---|---|---|---|---|\n"
            );
            for line in self.lines.iter().filter(|line| line.is("behaviour", measure)) {
                let who = line.who();
                let says: String = line.text("says").replace('|', "\\|");
                let _ = writeln!(
                    page,
                    "| {} | {} | {} | {} | {} | {} |",
                    who.language,
                    if who.role == "mailbearer" {
                        format!("**{}**", who.client)
                    } else {
                        who.client
                    },
                    who.protocol,
                    cell(Some(line.number("auths")), 0),
                    cell(Some(line.number("ms")), 0),
                    says,
                );
            }
        }
        page
    }

    fn watched(&self) -> Vec<(String, Runs, Runs, Runs)> {
        let of = |load: &str, measure: &str| {
            let line = self
                .lines
                .iter()
                .find(|line| line.is("watch", measure) && line.text("client") == load);
            line.map(Line::runs)
        };
        let loads = self.lines.iter().filter(|line| line.is("watch", "watch"));
        let row = |line: &Line| {
            let load = line.text("client");
            Some((load.to_owned(), line.runs(), of(load, "memcpy")?, of(load, "memchr")?))
        };
        loads.filter_map(row).collect()
    }

    fn watch(&self) -> String {
        let mut page = String::from(
            "\n## Watch\n\nGB/s in reads of 16 KiB, beside memcpy of the same octets and a memchr scan for all line ends.\n\n\
             | load | watch | spread | memcpy | memchr | of memcpy | of memchr |\n|---|---|---|---|---|---|---|\n",
        );
        for (load, watch, memcpy, memchr) in self.watched() {
            let _ = writeln!(
                page,
                "| {load} | {:.2} | {} | {:.2} | {:.2} | {:.2} | {:.2} |",
                watch.median,
                percent(Some(watch.spread() * 100.0)),
                memcpy.median,
                memchr.median,
                watch.median / memcpy.median,
                watch.median / memchr.median,
            );
        }
        page
    }

    fn calls(&self) -> String {
        let mut page = String::from(
            "\n## One call through a binding\n\nA language that is not here was not measured.\n\n| | call | ns | spread |\n|---|---|---|---|\n",
        );
        for line in self.lines.iter().filter(|line| line.text("part") == "call") {
            let runs = line.runs();
            let spread = percent(Some(runs.spread() * 100.0));
            let _ = writeln!(
                page,
                "| {} | {} | {:.0} | {spread} |",
                line.text("language"),
                line.text("client"),
                runs.median
            );
        }
        page
    }

    fn hosts(&self) -> String {
        let mut page = String::from(
            "\n## A session with its host\n\nWhat a program on a phone pays besides the machine: start, memory, threads, wakes. `kib` and \
             `count` are of one session.\n\n| | what | | unit |\n|---|---|---|---|\n",
        );
        for line in self.lines.iter().filter(|line| line.text("part") == "host") {
            let _ = writeln!(
                page,
                "| {} | {} | {:.1} | {} |",
                line.text("language"),
                line.text("client"),
                line.runs().median,
                line.text("measure")
            );
        }
        page
    }

    fn heap(&self) -> String {
        let mut page = String::from(
            "\n## Heap of a session\n\nA session that is online, in the middle of its work, with its watch; its token is dropped \
             at the login.\n\n| protocol | octets |\n|---|---|\n",
        );
        for line in self.lines.iter().filter(|line| line.text("part") == "heap") {
            let _ = writeln!(page, "| {} | {:.0} |", line.text("protocol"), line.runs().median);
        }
        page
    }

    fn fleet(&self) -> String {
        let mut page = String::from(
            "\n## A fleet for a day\n\nIMAP sessions with tokens of an hour, for 24 simulated hours; all start within the first \
             minute, evenly. The host and its world are\npart of CPU and memory. *Reconnects* is the greatest number of logins in any \
             second after the first minute.\n\n| sessions | seeds | logins | ended by expiry | online at the end | CPU s | us a login \
             | wall s | peak MiB | KiB a session | starts a second | reconnects a second | mean |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
        );
        for line in self.lines.iter().filter(|line| line.text("part") == "fleet") {
            let number = |key: &str, digits: usize| cell(Some(line.number(key)), digits);
            let (sessions, peak_kib) = (line.number("sessions"), line.number("peak_kib"));
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                number("sessions", 0),
                line.text("client"),
                number("logins", 0),
                number("ended_by_expiry", 0),
                number("online_at_end", 0),
                number("cpu_s", 0),
                cell(Some(line.number("cpu_s") * 1e6 / line.number("logins")), 1),
                number("wall_s", 0),
                cell(Some(peak_kib / 1024.0), 0),
                cell(Some(peak_kib / sessions), 2),
                number("start_per_second", 0),
                number("reconnects_per_second", 0),
                number("mean_per_second", 0),
            );
        }
        page
    }

    // ---- Goals -----------------------------------------------------------------------------------------------------

    fn goals(&self) -> String {
        let all = self.everybody();
        let mut page = String::from(
            "\n## Goals\n\nThose of issue 6. A peer keeps the line limits if its POP3 command line with the token has at most 255 \
             octets, and so needs two\nround trips. What \
             makes the client of another library does that library's work too: its CPU is held against the peers only.\n\n| goal | who | figure | |\n|---|---|---|---|\n",
        );
        for who in all.iter().filter(|who| who.role == "mailbearer") {
            page += &self.goal_of_round_trips(&all, who);
        }
        for who in all.iter().filter(|who| who.role == "mailbearer") {
            page += &self.goal_of_cpu(&all, who);
        }
        for (load, watch, memcpy, memchr) in self.watched() {
            if load.contains("skipped") {
                let part = memcpy.median / watch.median;
                page += &goal(
                    "literals: time of the watch at most 5 % of a memcpy of them",
                    &load,
                    &format!("{:.1} %", part * 100.0),
                    part <= LITERALS_OF_MEMCPY_MOST,
                    &format!("{:.1} %", (part - LITERALS_OF_MEMCPY_MOST) * 100.0),
                );
            } else {
                let part = watch.median / memchr.median;
                page += &goal(
                    "watch above half of memchr",
                    &load,
                    &format!("{part:.2}"),
                    part > WATCH_OF_MEMCHR_LEAST,
                    &format!("{:.2}", WATCH_OF_MEMCHR_LEAST - part),
                );
            }
        }
        page
    }

    /// Without a profile nothing is known before the server was asked: then it is the best peer that is to be reached.
    fn goal_of_round_trips(&self, all: &[Who], who: &Who) -> String {
        let Some(own) = self.find(who, "round_trips") else { return missing(who, "round trips") };
        let wire = ROUND_TRIPS.iter().find(|(protocol, _)| *protocol == who.protocol);
        let wire = wire.map_or(f64::NAN, |(_, least)| *least);
        let peers = all.iter().filter(|peer| peer.role == "peer" && peer.protocol == who.protocol);
        let peers = peers.filter_map(|peer| Some((self.find(peer, "round_trips")?.median, peer)));
        let best = peers.filter(|(trips, _)| *trips >= wire).min_by(|a, b| a.0.total_cmp(&b.0));
        let most =
            best.filter(|_| who.client.contains("no provider")).map_or(wire, |(trips, _)| trips);
        let best = best.map_or("no peer".to_owned(), |(trips, peer)| {
            format!("best peer {trips:.0}: {}", peer.client)
        });
        goal(
            &format!("round trips, {}: {most:.0}", who.protocol),
            &named(who),
            &format!("{:.0} ({best})", own.median),
            own.median <= most,
            &format!("{:.0}", own.median - most),
        )
    }

    /// In the clear where that was measured: the noise of the handshake is greater than what is compared.
    fn goal_of_cpu(&self, all: &[Who], who: &Who) -> String {
        let plain = self.find(who, "cpu_plain_us").is_some();
        let measure = if plain { "cpu_plain_us" } else { "cpu_us" };
        let Some(own) = self.net(all, who, measure) else { return missing(who, "CPU") };
        let peers =
            self.group(all, who, "peer").into_iter().filter(|peer| peer.protocol == who.protocol);
        let peers = peers.filter_map(|peer| Some((self.net(all, peer, measure)?, peer)));
        let best = peers.min_by(|a, b| a.0.total_cmp(&b.0));
        let mut page = String::new();
        if !is_adapter(who) {
            let what = "CPU, net: at most 1.5 x floor";
            page += &match self.of_floor(all, who, measure) {
                Some(times) => goal(
                    what,
                    &named(who),
                    &format!("{times:.2}"),
                    times <= CPU_OF_FLOOR_MOST,
                    &format!("{:.2}", times - CPU_OF_FLOOR_MOST),
                ),
                None => within_noise(what, who, &format!("{own:.0} us"), "the floor"),
            };
        }
        if let Some((net, peer)) = best {
            let what = "CPU, net: below every peer";
            let figure = format!("{own:.0} us ({net:.0}, {})", peer.client);
            page += &match self.clear_net(all, peer, measure) {
                Some(_) => {
                    goal(what, &named(who), &figure, own < net, &format!("{:.0} us", own - net))
                }
                None => within_noise(what, who, &figure, &peer.client),
            };
        }
        page
    }
}

/// Whether it logs in the client of another library, as `mailbearer.imap (imaplib)` and `mailbearer/nodemailer` do.
fn is_adapter(who: &Who) -> bool {
    who.client.contains(['(', '/'])
}

fn named(who: &Who) -> String {
    format!("{}: {}, {}", who.language, who.client, who.protocol)
}

fn goal(what: &str, who: &str, figure: &str, met: bool, missed_by: &str) -> String {
    let verdict = if met { "met".to_owned() } else { format!("**missed by {missed_by}**") };
    format!("| {what} | {who} | {figure} | {verdict} |\n")
}

/// Neither met nor missed: what it is to be held against cannot be told from a bare connect.
fn within_noise(what: &str, who: &Who, figure: &str, other: &str) -> String {
    format!(
        "| {what} | {} | {figure} | **not told: {other} is within the handshake's noise** |\n",
        named(who)
    )
}

fn missing(who: &Who, what: &str) -> String {
    format!("| {what} | {} | | **not measured** |\n", named(who))
}

fn cell(number: Option<f64>, digits: usize) -> String {
    match number {
        Some(number) if number.is_finite() => format!("{number:.digits$}"),
        Some(_) | None => String::new(),
    }
}

fn percent(number: Option<f64>) -> String {
    let cell = cell(number, 0);
    if cell.is_empty() { cell } else { cell + " %" }
}

// ---- Machine -------------------------------------------------------------------------------------------------------

/// What it was measured on, and with.
fn machine(before: Option<&Line>) -> String {
    let busy = before.map(|line| line.runs().median);
    let told = |key| before.map_or("not told", |line| line.text(key)).to_owned();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kib: f64 = field(&read("/proc/meminfo"), "MemTotal")
        .trim_end_matches(" kB")
        .parse()
        .unwrap_or(f64::NAN);
    let rows = [
        ("begun", told("date")),
        (
            "machine",
            format!(
                "{cores} cores of {}, {:.0} GiB",
                field(&read("/proc/cpuinfo"), "model name"),
                kib / 1048576.0
            ),
        ),
        ("system", format!("Linux {}", read("/proc/sys/kernel/osrelease").trim())),
        ("use by others, before", percent(busy.map(|share| share * 100.0))),
        ("command", std::env::var("BENCH_COMMAND").unwrap_or_else(|_| "make bench".to_owned())),
        ("mailbearer", env!("CARGO_PKG_VERSION").to_owned() + " at " + &told("commit")),
        ("Rust", said("rustc", &["--version"])),
        ("Python", said("python3", &["--version"])),
        ("Node", said("node", &["--version"])),
    ];
    let mut page = String::new();
    if busy.is_none_or(|share| share > BUSY_MOST) {
        page += "\n**The machine did other work at the same time: times and ratios here say little.**\n";
    }
    page += "\n| | |\n|---|---|\n";
    for (name, value) in rows {
        let _ = writeln!(page, "| {name} | {value} |");
    }
    page
}
