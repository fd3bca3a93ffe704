//! The public surface of the generated Kotlin code. UniFFI makes its converters, buffers and handles public, and puts all of a
//! crate into one package: here they become `internal`, each public declaration says that it is public, and the names of
//! programs and those of hosts come into packages of their own.
//!
//! It reads the lines as UniFFI 0.32.2 writes them, and fails where they are none of those.

#![allow(
    clippy::string_slice,
    clippy::indexing_slicing,
    reason = "a tool of the build: where it stops, the build stops"
)]

use std::fmt::Write as _;
use std::path::Path;

/// Which declarations of a package users see, and where.
struct Surface {
    package: &'static str,
    /// The other package, with what stands in it.
    other: &'static str,
    moved: &'static [&'static str],
    /// Declarations that only the package itself uses.
    hidden: &'static [&'static str],
    /// Records that come out, and which programs do not make: they may gain fields.
    given: &'static [&'static str],
    /// What the error of the calls is.
    error: &'static str,
}

const SURFACES: [Surface; 2] = [
    Surface {
        package: "org.mailbearer",
        other: "org.mailbearer.machine",
        moved: &[
            "AccessToken",
            "AccountMachine",
            "Follow",
            "Negotiation",
            "Session",
            "Transcript",
            "Watch",
            "AccountConfig",
            "AccountEvent",
            "AccountPlan",
            "Authenticated",
            "FollowConfig",
            "FollowPlan",
            "FollowEvent",
            "Identity",
            "NegotiationConfig",
            "Plan",
            "SessionConfig",
            "Sighting",
            "Status",
            "Step",
            "Action",
            "Delivery",
            "Input",
            "Login",
            "Next",
            "NoToken",
            "Order",
            "RaiseKind",
            "RenewWhy",
            "TokenNeed",
            "WakeReason",
            "acknowledgement",
            "classify",
            "ehloNameOf",
            "failureOfCertificate",
            "failureOfConnect",
            "failureOfHost",
            "failureOfTls",
            "initialResponse",
            "redactSource",
            "tlsAtPort",
            "verdictOfHost",
        ],
        hidden: &["provokePanic"],
        given: &[
            "Action",
            "Aftermath",
            "Delivery",
            "FollowEvent",
            "Next",
            "Order",
            "AccountEvent",
            "AccountPlan",
            "AccountStatus",
            "Authenticated",
            "Failure",
            "FollowPlan",
            "Mailbox",
            "Plan",
            "Rejection",
            "SessionStatus",
            "Sighting",
            "Status",
            "Step",
            "TraceLine",
            "Verdict",
        ],
        error: "CoreException",
    },
    Surface {
        package: "org.mailbearer.testing.machine",
        other: "org.mailbearer.testing",
        moved: &[
            "Cut",
            "FaultKind",
            "Flavour",
            "RecipientRefusal",
            "ServerEvent",
            "Stage",
            "StoredMessage",
            "Submitted",
        ],
        hidden: &["Behaviour", "Reply", "ServerMachine", "TestingException", "Then"],
        given: &["ServerEvent", "StoredMessage", "Submitted"],
        error: "TestingException",
    },
];

/// Rewrites a generated file in place, and writes the other package beside it.
pub(crate) fn hide(package: &str, file: &Path) -> Result<(), String> {
    let surface = SURFACES
        .iter()
        .find(|surface| surface.package == package)
        .ok_or_else(|| format!("there is no surface for {package}"))?;
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let text = with_one_status(&without_uncalled(&text))?;
    let (here, there) = surface.rewrite(&text)?;
    let name = surface.other.rsplit('.').next().unwrap_or_default();
    let beside = file.with_file_name(format!("{name}_surface.kt"));
    std::fs::write(file, here)
        .and_then(|()| std::fs::write(beside, there))
        .map_err(|error| error.to_string())
}

/// UniFFI declares functions that no line calls: what drives futures, of which we have none, and sums that are not compared. Each
/// would have to be exported, and be looked up at the start.
fn without_uncalled(text: &str) -> String {
    let mut lines = text.lines();
    let mut kept = String::new();
    while let Some(line) = lines.next() {
        let declared = line.strip_prefix("    external fun ").and_then(|rest| rest.split_once('('));
        match declared {
            Some((name, _)) if text.matches(&format!("{name}(")).count() == 1 => {
                lines.find(|line| line.starts_with("    )"));
            }
            Some(_) | None => {
                let _ = writeln!(kept, "{line}");
            }
        }
    }
    kept
}

/// UniFFI makes a structure in native memory for the status of each call, which costs more than the call. One of a thread does:
/// a call that is made for the arguments of another is over before that one begins. Only a failure is read from it.
fn with_one_status(text: &str) -> Result<String, String> {
    let mut text = text.to_owned();
    for (theirs, ours) in STATUS {
        if !text.contains(theirs) {
            return Err(format!("the generated code has changed: there is no {theirs}"));
        }
        text = text.replace(theirs, ours);
    }
    Ok(text)
}

/// Android 7 has no `ThreadLocal.withInitial`.
const OF_THREAD: &str = "        private val ofThreads = object : ThreadLocal<UniffiRustCallStatus>() {
            override fun initialValue() = UniffiRustCallStatus().apply { setAutoSynch(false) }
        }

        fun ofThread(): UniffiRustCallStatus = checkNotNull(ofThreads.get()).apply { pointer.setByte(0, UNIFFI_CALL_SUCCESS) }

        fun create(code: Byte, errorBuf: RustBuffer.ByValue): UniffiRustCallStatus.ByValue {";

const STATUS: [(&str, &str); 6] = [
    ("uniffi_out_err: UniffiRustCallStatus,", "uniffi_out_err: Pointer,"),
    ("callback: (UniffiRustCallStatus) -> U", "callback: (Pointer) -> U"),
    (
        "    var status = UniffiRustCallStatus()\n",
        "    val status = UniffiRustCallStatus.ofThread()\n",
    ),
    ("= callback(status)\n", "= callback(status.pointer)\n"),
    (
        "    if (status.isSuccess()) {\n        return\n    } else if",
        "    if (status.pointer.getByte(0) == UNIFFI_CALL_SUCCESS) return\n    status.read()\n    if",
    ),
    (
        "        fun create(code: Byte, errorBuf: RustBuffer.ByValue): UniffiRustCallStatus.ByValue {",
        OF_THREAD,
    ),
];

/// A declaration of the file, with what is written above it.
struct Item<'a> {
    lines: Vec<&'a str>,
    name: &'a str,
}

impl Surface {
    fn rewrite(&self, text: &str) -> Result<(String, String), String> {
        let (head, items) = items(text)?;
        let mut here = String::new();
        for line in head {
            let _ = writeln!(here, "{line}");
            if line.starts_with("package ") {
                let _ = writeln!(here, "\nimport {}.*", self.other);
            }
        }
        let mut there = format!(
            "@file:Suppress(\"NAME_SHADOWING\", \"RedundantVisibilityModifier\")\n\npackage {}\n\nimport {}.*\n{IMPORTS}",
            self.other, self.package
        );
        let mut moved = 0;
        for item in items {
            if self.is_interface_of_object(&item) {
                continue;
            }
            let is_moved = self.moved.contains(&item.name);
            moved += usize::from(is_moved);
            let target = if is_moved { &mut there } else { &mut here };
            self.write(&item, target)?;
        }
        if moved != self.moved.len() {
            return Err(format!(
                "{moved} of {} declarations were found to be moved",
                self.moved.len()
            ));
        }
        Ok((here, there))
    }

    fn write(&self, item: &Item<'_>, out: &mut String) -> Result<(), String> {
        let is_public = self.is_public(item);
        for line in &item.lines {
            let line = if is_public { self.shown(item, line)? } else { self.internal(line) };
            let _ = writeln!(out, "{line}");
        }
        Ok(())
    }

    fn is_public(&self, item: &Item<'_>) -> bool {
        let is_ours = item.lines.iter().any(|line| {
            ["data class ", "enum class ", "sealed class "]
                .iter()
                .any(|kind| line.starts_with(kind))
                || line.starts_with("open class ") && line.contains("AutoCloseable")
                || is_function(line)
        });
        is_ours && !self.hidden.contains(&item.name)
    }

    /// The interface that UniFFI gives to each object, for fakes: it would have to grow with the object.
    fn is_interface_of_object(&self, item: &Item<'_>) -> bool {
        let object = item.name.strip_suffix("Interface");
        item.lines.iter().any(|line| line.starts_with("public interface "))
            && object.is_some_and(|object| !self.hidden.contains(&object))
    }

    /// A line of what only the generated code needs. What one file kept for itself, the other one needs too.
    fn internal(&self, line: &str) -> String {
        let line = qualified(line, self);
        for modifier in ["public ", "private "] {
            if let Some(rest) = line.strip_prefix(modifier) {
                return format!("internal {rest}");
            }
        }
        if is_function(&line) {
            return line.replacen(") fun ", ") internal fun ", 1);
        }
        let bare = [
            "open class ",
            "object ",
            "interface ",
            "class ",
            "inline fun ",
            "data class ",
            "enum class ",
            "sealed class ",
        ];
        if bare.iter().any(|kind| line.starts_with(kind)) {
            format!("internal {line}")
        } else {
            checked(&line)
        }
    }

    /// A line of what users see.
    fn shown(&self, item: &Item<'_>, line: &str) -> Result<String, String> {
        let line = checked(&qualified(line, self));
        if is_function(&line) {
            return Ok(typed(&line.replacen(") fun ", ") public fun ", 1)));
        }
        if !line.starts_with(' ') {
            return self.head(item, &line.replace(": Disposable", ""));
        }
        let text = line.trim_start();
        let indent = &line[..line.len() - text.len()];
        let Some(text) = self.member(item, text) else { return Ok(String::new()) };
        Ok(format!("{indent}{}", typed(&text)))
    }

    /// The line that begins a declaration.
    fn head(&self, item: &Item<'_>, line: &str) -> Result<String, String> {
        let name = item.name;
        if line.starts_with("open class ") {
            let bases = format!(", AutoCloseable, {name}Interface");
            if !line.contains(&bases) {
                return Err(format!("an object with other bases: {line}"));
            }
            return Ok(format!(
                "public {}",
                line.replace("open ", "").replace(&bases, ": AutoCloseable")
            ));
        }
        if line.starts_with("data class ") {
            return Ok(if self.given.contains(&name) {
                format!(
                    "@ConsistentCopyVisibility\npublic {}",
                    line.replace(" (", " internal constructor(")
                )
            } else {
                format!("public {line}")
            });
        }
        if line.starts_with("sealed class ") {
            return Ok(format!(
                "public {}",
                line.replace("kotlin.Exception(message)", "MailbearerException(message)")
            ));
        }
        Ok(if line.starts_with("enum class ") { format!("public {line}") } else { line.to_owned() })
    }

    /// A line within a declaration; none where it is of no use.
    fn member(&self, item: &Item<'_>, text: &str) -> Option<String> {
        let shown = |text: &str| Some(format!("public {text}"));
        if text == "companion object" {
            return None;
        }
        if text.starts_with("companion object ErrorHandler") {
            return Some(format!("internal {text}"));
        }
        let scaffold = [
            "constructor(withHandle",
            "constructor(noHandle",
            "fun uniffiCloneHandle",
            "val uniffiIsDestroyed",
        ];
        if scaffold.iter().any(|start| text.starts_with(start)) {
            return Some(format!("internal {text}"));
        }
        if text.starts_with("data class ") && self.given.contains(&item.name) {
            let line = text.replacen('(', " internal constructor(", 1);
            return Some(format!("@ConsistentCopyVisibility public {line}"));
        }
        if let Some(rest) = text.strip_prefix("protected val ") {
            return Some(format!("private val {rest}"));
        }
        if text.starts_with("override fun destroy(") {
            return Some(text.replacen("override", "internal", 1));
        }
        if text.starts_with("class ") && text.ends_with(&format!(" : {}(message)", self.error)) {
            return shown(&text.replacen(
                "(message: String)",
                " internal constructor(message: String)",
                1,
            ));
        }
        if let Some(at) = text.find(")override fun `") {
            return Some(format!("{} public {}", &text[..=at], &text[at + ")override ".len()..]));
        }
        if text.contains(") fun `") {
            return Some(text.replacen(") fun `", ") public fun `", 1));
        }
        if text.starts_with("override fun `") {
            return Some(text.replacen("override", "public", 1));
        }
        let public =
            ["val `", "constructor(", "data class ", "object ", "companion object {", "fun `"];
        if public.iter().any(|start| text.starts_with(start)) {
            shown(text)
        } else {
            Some(text.to_owned())
        }
    }
}

/// What returns nothing says so.
fn typed(line: &str) -> String {
    let is_bare = line.contains("public fun `") && line.ends_with(')');
    if is_bare { format!("{line}: kotlin.Unit") } else { line.to_owned() }
}

/// In UniFFI 0.32.2 a method of a closed object throws, but a closed object that is an argument is used although its memory is
/// freed. With this it throws too.
fn checked(line: &str) -> String {
    line.replace("return value.uniffiCloneHandle()", "return value.callWithHandle { it }")
}

/// UniFFI writes out the package of types of fields: with what was moved, it is another one.
fn qualified(line: &str, surface: &Surface) -> String {
    let prefix = format!("{}.", surface.package);
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(&prefix) {
        let after = &rest[at + prefix.len()..];
        let length =
            after.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(after.len());
        let package =
            if surface.moved.contains(&&after[..length]) { surface.other } else { surface.package };
        let _ = write!(out, "{}{package}.{}", &rest[..at], &after[..length]);
        rest = &after[length..];
    }
    out + rest
}

/// A function that is no method: UniFFI indents it.
fn is_function(line: &str) -> bool {
    line.starts_with("    @Throws(") && line.contains(") fun `")
}

/// The head of a file, and its declarations.
fn items(text: &str) -> Result<(Vec<&str>, Vec<Item<'_>>), String> {
    let lines: Vec<&str> = text.lines().collect();
    let last =
        lines.iter().rposition(|line| line.starts_with("import ")).ok_or("there are no imports")?;
    let functions = functions(&lines)?;
    let mut found: Vec<Item<'_>> = Vec::new();
    let mut is_declared = true;
    for (at, line) in lines.iter().enumerate().skip(last + 1) {
        let begins = if at < functions { begins(line) } else { *line == DOCUMENTATION };
        if is_declared && begins {
            found.push(Item { lines: Vec::new(), name: "" });
            is_declared = false;
        }
        let Some(item) = found.last_mut() else { continue };
        item.lines.push(line);
        if let Some(name) = name(line) {
            if !is_declared {
                item.name = name;
            }
            is_declared = true;
        }
    }
    Ok((lines[..=last].to_vec(), found))
}

/// How UniFFI indents what is written above a function that is no method.
const DOCUMENTATION: &str = "        /**";

/// Where the functions begin, which come last.
fn functions(lines: &[&str]) -> Result<usize, String> {
    let last = lines.iter().rposition(|line| !is_function(line) && name(line).is_some());
    let last = last.ok_or("there are no declarations")?;
    Ok((last..lines.len()).find(|&at| lines[at] == DOCUMENTATION).unwrap_or(lines.len()))
}

/// Whether a declaration, or what is written above one, begins with this line.
fn begins(line: &str) -> bool {
    line.starts_with("/**") || line.starts_with('@') || !is_function(line) && name(line).is_some()
}

/// The name of what a line declares.
fn name(line: &str) -> Option<&str> {
    let start = if is_function(line) {
        line.find("fun `")? + "fun `".len()
    } else {
        let first = line.chars().next()?;
        if !first.is_ascii_lowercase() {
            return None;
        }
        ["class ", "interface ", "object ", "const val ", "fun "].iter().find_map(|word| {
            let at = line.find(word)?;
            (at == 0 || line[..at].ends_with(' ')).then_some(at + word.len())
        })?
    };
    let rest = &line[start..];
    let length = rest.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(rest.len());
    Some(&rest[..length])
}

/// What the other file calls of the generated code's own.
const IMPORTS: &str = "import java.nio.ByteBuffer\nimport java.util.concurrent.atomic.AtomicBoolean\nimport java.util.concurrent.atomic.AtomicLong\n";
