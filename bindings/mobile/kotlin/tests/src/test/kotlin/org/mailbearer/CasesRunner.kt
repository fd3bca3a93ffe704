package org.mailbearer

import java.io.File
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.util.Base64
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import kotlin.system.exitProcess
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.booleanOrNull
import kotlinx.serialization.json.contentOrNull
import kotlinx.serialization.json.intOrNull
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.mailbearer.machine.AccessToken
import org.mailbearer.machine.Identity
import org.mailbearer.machine.Negotiation
import org.mailbearer.machine.NegotiationConfig
import org.mailbearer.machine.Next
import org.mailbearer.machine.Step
import org.mailbearer.machine.Watch
import org.mailbearer.machine.classify

/*
 * Runs the language-neutral cases of tests/cases (or of the folder in MAILBEARER_CASES) against the package.
 *
 * It prints a line for each failure and one for each kind, and ends with status 0 only when all cases passed. The format is
 * described in tests/cases/README.md.
 */

private const val CUT_OCTETS_MAX = 4096
private val ROOT = File(System.getProperty("mailbearer.root") ?: ".")
private val OURS = ROOT.resolve("tests/cases")

/** A case does not hold. */
class CaseFailed(message: String) : Exception(message)

fun main() {
    exitProcess(if (runCases()) 0 else 1)
}

fun loadCases(): List<JsonObject> {
    val folder = System.getenv("MAILBEARER_CASES")?.takeIf { it.isNotEmpty() }?.let(::File) ?: OURS
    val files = checkNotNull(folder.listFiles { file -> file.extension == "json" }) { "no folder of cases: $folder" }
    val accounts = folder.resolve("account/account.json").takeIf { it.exists() }
    return (files.filter { it.name != "exceptions.json" } + listOfNotNull(accounts)).sorted().flatMap { file ->
        Json.parseToJsonElement(file.readText()).jsonArray.map { it.jsonObject }
    }
}

fun loadExceptions(): Map<String, String> =
    Json.parseToJsonElement(OURS.resolve("exceptions.json").readText()).jsonArray.associate {
        it.jsonObject.text("id") to it.jsonObject.text("reading")
    }

private fun runCases(): Boolean {
    val argued = loadExceptions()
    val cases = loadCases()
    val threads = Executors.newFixedThreadPool(Runtime.getRuntime().availableProcessors())
    val problems = threads.invokeAll(cases.map { case -> Callable { runSafely(case) } }).map { it.get() }
    threads.shutdown()
    val passed = sortedMapOf<String, Int>()
    val total = sortedMapOf<String, Int>()
    var failed = 0
    for ((case, problem) in cases.zip(problems)) {
        val (id, kind) = case.text("id") to case.text("kind")
        if (id in argued) {
            val outcome = if (problem == null) "no longer needed: remove it" else "as argued"
            println("EXCEPTION kotlin $id: $outcome: ${argued[id]}")
            if (problem == null) failed++
            continue
        }
        total.merge(kind, 1, Int::plus)
        if (problem == null) {
            passed.merge(kind, 1, Int::plus)
        } else {
            failed++
            println("FAIL kotlin $id: $problem")
        }
    }
    for ((kind, count) in total) println("kotlin $kind ${passed[kind] ?: 0}/$count")
    println("cases: ${passed.values.sum()} passed, $failed failed")
    return failed == 0 && passed.isNotEmpty()
}

/** What nobody foresaw fails a case, and not the run. */
private fun runSafely(case: JsonObject): String? =
    try {
        runCase(case)
    } catch (error: Exception) {
        "the runner: ${error.stackTraceToString().lines().take(4).joinToString(" ")}"
    }

/** Says why a case does not hold; `null` when it does. */
fun runCase(case: JsonObject): String? =
    when (val kind = case.text("kind")) {
        "classify" -> runClassify(case)
        "negotiation", "watch", "config" -> runScript(case, ::Player)
        "session" -> runScript(case, ::SessionPlayer)
        "account" -> runScript(case, ::AccountPlayer) ?: runScript(case, ::DriverPlayer)?.let { "in the driver: $it" }
        else -> "the kind $kind is not known"
    }

private fun runClassify(case: JsonObject): String? {
    val lines = case.getValue("lines").jsonArray.map { it.jsonPrimitive.content }
    val verdict = classify(named(case.text("protocol")), named(case.text("phase")), lines)
    val (expected, came) = case.text("advice") to verdict.advice.name.lowercase()
    if (expected == came) return null
    return "expected $expected, came $came (${verdict.cause.name.lowercase()}, rule ${verdict.rule})"
}

/** Plays a case once. */
internal interface CasePlayer : AutoCloseable {
    fun play(cut: Cut)
}

private fun runScript(case: JsonObject, player: (JsonObject) -> CasePlayer): String? {
    for (cut in cuts(case)) {
        try {
            player(case).use { it.play(cut) }
        } catch (failure: CaseFailed) {
            return "${failure.message} ($cut)"
        }
    }
    return null
}

/** How the server's messages arrive. */
internal sealed interface Cut {
    data object Whole : Cut

    data object EveryOctet : Cut

    data class At(val step: Int, val octet: Int) : Cut
}

/** Whole, octet by octet, and once at every position of every server message. */
private fun cuts(case: JsonObject): Sequence<Cut> = sequence {
    yield(Cut.Whole)
    val sizes = case.getValue("steps").jsonArray.mapIndexedNotNull { index, step ->
        step.jsonObject["server"]?.let { index to it.jsonPrimitive.content.length * (step.jsonObject.number("repeat") ?: 1) }
    }
    if (sizes.sumOf { it.second } > CUT_OCTETS_MAX) return@sequence
    yield(Cut.EveryOctet)
    for ((step, size) in sizes) for (at in 1 until size) yield(Cut.At(step, at))
}

/** Plays the script of a case: the server's octets in, the machine's lines out. */
private class Player(private val case: JsonObject) : CasePlayer {
    private val protocol: MailProtocol = named(case.text("protocol"))
    private val token: String =
        when (val given = case["token"]?.jsonPrimitive?.content) {
            null -> aToken(600)
            "short" -> aToken(16)
            else -> given
        }
    private val leaks = LeakCheck(token)
    private var isSecure = (case["tls"]?.jsonPrimitive?.content ?: "implicit") == "implicit"
    private var negotiation: Negotiation? = null
    private var watch: Watch? = null
    private var next = "read"
    private var cause: Cause? = null
    private var isAuthenticated = false
    private var isOver = false
    private val lines = ArrayDeque<String>()
    private var tag = ""
    private var greeting: String? = null
    private var tokensInTls = 0
    private var tokensInClear = 0

    override fun close() {
        negotiation?.close()
        watch?.close()
    }

    override fun play(cut: Cut) {
        try {
            negotiation = configure()
        } catch (error: CoreException.Config) {
            return refuse(error)
        } catch (error: CharacterCodingException) {
            return refuse(error)
        } catch (error: IllegalArgumentException) {
            return refuse(error)
        }
        for ((index, step) in case.getValue("steps").jsonArray.withIndex()) {
            if (isOver) break
            try {
                take(index, step.jsonObject, cut)
            } catch (failure: CaseFailed) {
                throw CaseFailed("step ${index + 1}: ${failure.message}")
            }
        }
        judge(cause?.name?.lowercase() ?: if (isAuthenticated) "authenticated" else "open")
    }

    private fun refuse(error: Exception) {
        leaks.check(error.toString())
        judge("config_error")
    }

    private fun configure(): Negotiation {
        fun text(key: String, default: String) = case[key]?.jsonPrimitive?.content?.let(::utf8) ?: default
        val tls: Tls = case["tls"]?.jsonPrimitive?.content?.let { tlsNamed(it) } ?: Tls.IMPLICIT
        val port = case["port"]?.jsonPrimitive?.content?.toInt() ?: defaultPort(protocol, tls).toInt()
        require(port in 0..65_535) { "port is out of range" }
        val config = NegotiationConfig(
            endpoint = Endpoint(protocol, tls, text("host", "mail.example.test"), port.toUShort()),
            identity = Identity(text("user", "user@example.test")),
            mechanisms = case["mechanisms"]?.jsonArray?.map { named(it.jsonPrimitive.content) },
            initialResponse = case["initial_response"]?.jsonPrimitive?.content?.let { named<InitialResponse>(it) },
            ehloName = text("ehlo_name", "client.example.test"),
        )
        return AccessToken(utf8(token)).use { Negotiation(config, it) }
    }

    private fun take(index: Int, step: JsonObject, cut: Cut) {
        val machine = checkNotNull(negotiation)
        when {
            "server" in step -> server(index, step, cut)
            "client" in step -> client(step.text("client"))
            "expect" in step -> {
                val expected = step.text("expect")
                if (next != expected && !(expected == "read" && isAuthenticated)) {
                    throw CaseFailed("expected $expected, came $next")
                }
            }
            "sent" in step -> {
                noteTag(step.text("sent"))
                val watched = watch ?: throw CaseFailed("not logged in")
                watched.sent(direct(step.text("sent").toByteArray(Charsets.ISO_8859_1)))
            }
            step["tls"]?.jsonPrimitive?.contentOrNull == "established" -> {
                isSecure = true
                follow(machine.tlsEstablished())
            }
            step["closed"]?.jsonPrimitive?.booleanOrNull == true -> {
                val watched = watch
                if (watched != null) end(watched.closed().cause) else follow(machine.closed())
            }
            else -> throw CaseFailed("a step that is not known: $step")
        }
    }

    private fun server(index: Int, step: JsonObject, cut: Cut) {
        // A line without a secret may come where the file does not foresee it: the runner follows the machine.
        lines.clear()
        val text = step.text("server")
        if (greeting.isNullOrEmpty()) greeting = text
        val bytes = text.replace("%TAG%", tag).toByteArray(Charsets.ISO_8859_1)
        for (piece in deal(bytes, step, index, cut)) {
            if (isOver) return
            receive(piece)
        }
    }

    private fun receive(piece: ByteArray) {
        val watched = watch
        if (watched != null) {
            watched.received(direct(piece)).ending?.let { end(it.cause) }
            return
        }
        val step = checkNotNull(negotiation).receive(direct(piece))
        leaks.check("$step $negotiation")
        follow(step)
    }

    private fun end(cause: Cause) {
        this.cause = cause
        isOver = true
    }

    private fun follow(step: Step) {
        for (line in step.send.decodeToString().split("\r\n").dropLast(1)) {
            noteTag(line)
            val tokens = tokensIn(line, token)
            if (isSecure) tokensInTls += tokens else tokensInClear += tokens
            if (tokens > 0 != step.sensitive) throw CaseFailed("the mark for sensitive octets is wrong: ${step.sensitive}")
            lines.add(line)
        }
        when (val what = step.next) {
            is Next.Read -> next = "read"
            is Next.StartTls -> next = "start_tls"
            is Next.Done -> {
                next = "done"
                isAuthenticated = true
                val watched = Watch(protocol)
                watch = watched
                watched.received(direct(what.authenticated.leftover)).ending?.let { end(it.cause) }
            }
            is Next.Failed -> {
                next = "failed"
                leaks.check("${LoginFailedException(what.failure)} ${what.failure}")
                end(what.failure.cause)
            }
        }
    }

    private fun client(pattern: String) {
        val line = lines.removeFirstOrNull() ?: throw CaseFailed("expected a line like $pattern, came none")
        if (Regex(pattern).containsMatchIn(line)) return
        val listed = Regex("""\[CAPABILITY ([^]]*)]""").find(greeting ?: "")
        val upgrade = "$tag ${if (protocol == MailProtocol.POP3) "STLS" else "STARTTLS"}".trim()
        if (line.endsWith(" CAPABILITY") && listed != null && Regex(pattern).containsMatchIn(upgrade)) {
            // A machine that asks for capabilities where the file expects the upgrade gets the greeting's list again.
            receive("* CAPABILITY ${listed.groupValues[1]}\r\n$tag OK\r\n".encodeToByteArray())
            return client(pattern)
        }
        throw CaseFailed("expected a line like $pattern, came $line")
    }

    private fun noteTag(line: String) {
        if (protocol == MailProtocol.IMAP && ' ' in line) tag = line.substringBefore(' ')
    }

    private fun judge(actual: String) {
        val outcome = case.getValue("outcome")
        val expected = if (outcome is JsonArray) outcome.map { it.jsonPrimitive.content } else listOf(case.text("outcome"))
        val goesOn = actual == "authenticated" && case.text("kind") == "watch" && "open" in expected
        val anyFailure = "*" in expected && cause != null
        if (actual !in expected && !goesOn && !anyFailure) {
            throw CaseFailed("expected ${expected.joinToString(" or ")}, came $actual")
        }
        val allowed = case["token_on_wire"]?.jsonPrimitive?.content ?: "tls-only"
        if (tokensInClear > 0 || allowed.split("|").none { holds(it, tokensInTls) }) {
            val was = "$tokensInTls in TLS, $tokensInClear in the clear"
            throw CaseFailed("the token must be on the wire $allowed, and was: $was")
        }
    }
}

private fun holds(rule: String, count: Int): Boolean =
    when (rule) {
        "never" -> count == 0
        "once" -> count == 1
        "at-most-once" -> count <= 1
        "tls-only" -> true
        else -> rule.startsWith("at-most-") && count <= rule.removePrefix("at-most-").toInt()
    }

/** The server's message in the pieces in which it arrives. */
internal fun deal(bytes: ByteArray, step: JsonObject, index: Int, cut: Cut): Sequence<ByteArray> = sequence {
    val repeat = step.number("repeat") ?: 1
    if (repeat > 1) {
        val perPiece = (65_536 / maxOf(1, bytes.size)).coerceIn(1, repeat)
        val piece = ByteArray(bytes.size * perPiece) { bytes[it % bytes.size] }
        repeat((repeat + perPiece - 1) / perPiece) { yield(piece) }
        return@sequence
    }
    var rest = bytes
    var size = step.number("split") ?: bytes.size
    if (cut is Cut.EveryOctet) size = 1
    if (cut is Cut.At && cut.step == index) {
        // The place is one of the file; the tag that stands there on the wire may be shorter.
        val at = minOf(cut.octet, bytes.size)
        if (at > 0) yield(bytes.copyOf(at))
        rest = bytes.copyOfRange(at, bytes.size)
        size = rest.size
    }
    for (at in rest.indices step maxOf(1, size)) yield(rest.copyOfRange(at, minOf(at + size, rest.size)))
}

fun aToken(length: Int): String {
    val alphabet = "Canary0Token1Must2Never3Be4Seen5Anywhere6Outside7Tls8-9._~+/xyz"
    return alphabet.repeat(length / alphabet.length + 1).take(length)
}

/** How often the token stands in a line, plain or in base64. */
private fun tokensIn(line: String, token: String): Int {
    if (token.isEmpty()) return 0
    val plain = line.windowed(token.length).count { it == token }
    val encoded = line.split(' ').count { word ->
        runCatching { String(Base64.getDecoder().decode(word), Charsets.ISO_8859_1) }.getOrDefault("").contains(token)
    }
    return plain + encoded
}

/** The token must not be readable: not plain, and not in base64 at any of the three alignments. */
class LeakCheck(token: String) {
    private val forms: List<String> =
        if (token.length < 12) emptyList()
        else (0..minOf(2, token.length - 12)).map { base64(token.substring(it, it + 12)) } + token.take(12)

    fun check(shown: String) {
        for (form in forms) if (form in shown) throw CaseFailed("the token is readable in: $shown")
    }

    private fun base64(text: String) = Base64.getEncoder().encodeToString(text.toByteArray(Charsets.ISO_8859_1))
}

internal inline fun <reified T : Enum<T>> named(name: String): T = enumValueOf(name.uppercase())

internal fun tlsNamed(name: String): Tls = if (name == "starttls") Tls.START_TLS else named(name)

private fun utf8(text: String): String =
    text.toByteArray(Charsets.ISO_8859_1).decodeToString(throwOnInvalidSequence = true)

fun direct(bytes: ByteArray): ByteBuffer = ByteBuffer.allocateDirect(bytes.size).put(bytes).flip()

internal fun JsonObject.text(key: String): String = getValue(key).jsonPrimitive.content

internal fun JsonObject.number(key: String): Int? = (this[key] as? JsonPrimitive)?.intOrNull
