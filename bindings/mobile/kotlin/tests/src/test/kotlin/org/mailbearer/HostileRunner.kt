package org.mailbearer

import java.io.File
import java.net.InetAddress
import java.net.Socket
import java.security.SecureRandom
import java.security.Security
import javax.net.ssl.KeyManager
import javax.net.ssl.SSLContext
import javax.net.ssl.SSLContextSpi
import javax.net.ssl.SSLEngine
import javax.net.ssl.SSLServerSocketFactory
import javax.net.ssl.SSLSessionContext
import javax.net.ssl.SSLSocket
import javax.net.ssl.SSLSocketFactory
import javax.net.ssl.TrustManager
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.TimeSource
import kotlin.time.measureTimedValue
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeoutOrNull
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.mailbearer.testing.certificate
import org.mailbearer.testing.trusting

/** For what nothing but the client's own time ends. */
private val DEADLINE = 2.seconds

/** For what ends by itself: it is not to be reached. */
private val GENEROUS = 30.seconds

/** The machine is shared. */
private val SLACK = 10.seconds

/** How long a flood behind the login is not read, and then is. */
private val FLOOD = 700.milliseconds
private val READ = 1.seconds

/**
 * Beside the heap, which is bounded by itself: threads that read, buffers of 16 KiB, and what the JVM keeps of code that it
 * has just compiled.
 */
private const val GROWTH_KIB_MAX = 8 * 1024

/** Runs against `tests/servers/hostile.py`, which runs this; ends with an exception where something does not hold. */
fun main() = runBlocking {
    // As a machine's administrator may have it: ciphers without a certificate are there then, for who asks for them.
    Security.setProperty("jdk.tls.disabledAlgorithms", "")
    val hostile = Hostile(Json.parseToJsonElement(System.getenv("MAILBEARER_HOSTILE")).jsonObject)
    // What is loaded and compiled for the first logins, and no other.
    for (attack in hostile.attacks.filter { it.ends == "limit" }.take(20)) hostile.attack(attack)
    hostile.oneAfterTheOther("limit", "server")
    hostile.withoutCertificate()
    hostile.atOnce()
    hostile.unansweredAtOnce()
    hostile.oneAfterTheOther("login")
    hostile.sessionsFlooded()
}

private class Attack(facts: JsonObject) {
    private val texts = facts.filterKeys { it !in setOf("port", "causes") }.mapValues { it.value.jsonPrimitive.content }
    val protocol = MailProtocol.valueOf(texts.getValue("protocol").uppercase())
    val tls = if (texts["tls"] == "implicit") Tls.IMPLICIT else Tls.START_TLS
    val name = texts.getValue("name")
    val ends = texts.getValue("ends")
    val port = facts.getValue("port").jsonPrimitive.int
    val causes = facts.getValue("causes").jsonArray.map { it.jsonPrimitive.content }

    override fun toString() = "$name (${texts["protocol"]}, ${texts["tls"]})"
}

/** A context whose sockets offer ciphers that need no certificate, and no other. */
private class Anonymous(below: SSLContext) : SSLContext(Spi(below), below.provider, below.protocol) {
    private class Spi(private val below: SSLContext) : SSLContextSpi() {
        override fun engineInit(keys: Array<KeyManager>?, trust: Array<TrustManager>?, random: SecureRandom?) = Unit

        override fun engineGetSocketFactory(): SSLSocketFactory = Factory(below.socketFactory)

        override fun engineGetServerSocketFactory(): SSLServerSocketFactory = below.serverSocketFactory

        override fun engineCreateSSLEngine(): SSLEngine = below.createSSLEngine()

        override fun engineCreateSSLEngine(host: String?, port: Int): SSLEngine = below.createSSLEngine(host, port)

        override fun engineGetServerSessionContext(): SSLSessionContext = below.serverSessionContext

        override fun engineGetClientSessionContext(): SSLSessionContext = below.clientSessionContext
    }

    private class Factory(private val below: SSLSocketFactory) : SSLSocketFactory() {
        override fun getDefaultCipherSuites(): Array<String> = below.defaultCipherSuites

        override fun getSupportedCipherSuites(): Array<String> = below.supportedCipherSuites

        override fun createSocket(socket: Socket, host: String, port: Int, autoClose: Boolean): Socket =
            (below.createSocket(socket, host, port, autoClose) as SSLSocket).apply {
                enabledProtocols = arrayOf("TLSv1.2")
                enabledCipherSuites = supportedCipherSuites.filter { "_anon_" in it }.toTypedArray()
            }

        override fun createSocket(host: String, port: Int): Socket = error("not asked for")

        override fun createSocket(host: String, port: Int, near: InetAddress, nearPort: Int): Socket = error("not asked for")

        override fun createSocket(host: InetAddress, port: Int): Socket = error("not asked for")

        override fun createSocket(host: InetAddress, port: Int, near: InetAddress, nearPort: Int): Socket = error("not asked for")
    }
}

private class Outcome(val attack: Attack, val thrown: String, val took: Duration, val growthKib: Int)

/** The greatest growth of this process, from now on. */
private class Memory {
    private val before: Int

    init {
        System.gc()
        // The high-water mark begins anew (proc(5), clear_refs).
        File("/proc/self/clear_refs").writeText("5")
        before = read("VmRSS")
    }

    fun growthKib(): Int = read("VmHWM") - before

    private fun read(name: String): Int =
        File("/proc/self/status").readLines().first { it.startsWith(name) }.split(Regex("\\s+"))[1].toInt()
}

private class Hostile(facts: JsonObject) {
    val attacks = facts.getValue("attacks").jsonArray.map { Attack(it.jsonObject) }
    private val control = facts.getValue("control").jsonPrimitive.int
    private val trust: SSLContext =
        File(facts.getValue("ca_file").jsonPrimitive.content).inputStream().use { trusting(certificate(it)) }
    private val token = fixedToken("t".repeat(600))

    private fun at(attack: Attack, timeout: Duration) = LoginOptions {
        host = "localhost"
        port = attack.port
        tls = attack.tls
        sslContext = trust
        this.timeout = timeout
    }

    /** Logs in, and lets itself be flooded where that works. */
    suspend fun attack(attack: Attack): Outcome = measured(attack) { logIn(attack, GENEROUS) }

    private suspend fun logIn(attack: Attack, timeout: Duration): String =
        try {
            connect(attack.protocol, USER, token, at(attack, timeout)).use { delay(FLOOD) }
            "login"
        } catch (error: LoginFailedException) {
            error.failure.cause.name.lowercase()
        }

    suspend fun oneAfterTheOther(vararg ends: String) {
        val held = held()
        val outcomes = attacks.filter { it.ends in ends }.map { attack(it) }
        tell("one after the other, ${ends.joinToString(" and ")}", outcomes)
        for (outcome in outcomes) {
            require(outcome.thrown in outcome.attack.causes.ifEmpty { listOf("login") }, outcome) { outcome.thrown }
            require(outcome.took < SLACK, outcome) { "${outcome.took}" }
            require(outcome.growthKib < GROWTH_KIB_MAX, outcome) { "${outcome.growthKib} KiB" }
        }
        nothingIsLeft(held)
    }

    /** Who has no certificate is refused also where the program's context offers ciphers that need none. */
    suspend fun withoutCertificate() {
        val held = held()
        val attack = attacks.single { it.name == "no certificate" }
        val octets = octets(attack)
        val options = at(attack, GENEROUS).copy { sslContext = Anonymous(trust) }
        val failure = runCatching { connect(attack.protocol, USER, token, options) }.exceptionOrNull() as LoginFailedException
        check(failure.failure.cause == Cause.TLS_FAILED) { failure.failure.sentence }
        // The handshake was done, and the greeting said.
        val begun = TimeSource.Monotonic.markNow()
        while (octets(attack) <= octets) check(begun.elapsedNow() < SLACK).also { delay(50) }
        nothingIsLeft(held)
    }

    suspend fun atOnce() = coroutineScope {
        val held = held()
        val chosen = attacks.filter { it.ends == "deadline" }
        val memory = Memory()
        val found = chosen.map { async(Dispatchers.Default) { measureTimedValue { logIn(it, DEADLINE) } } }.awaitAll()
        val growthKib = memory.growthKib() / chosen.size
        val outcomes = chosen.zip(found) { attack, (thrown, took) -> Outcome(attack, thrown, took, growthKib) }
        tell("at once, at the deadline", outcomes)
        for (outcome in outcomes) {
            require(outcome.thrown in outcome.attack.causes, outcome) { outcome.thrown }
            require(outcome.took > DEADLINE - 100.milliseconds && outcome.took < DEADLINE + SLACK, outcome) { "${outcome.took}" }
            require(outcome.growthKib < GROWTH_KIB_MAX, outcome) { "${outcome.growthKib} KiB" }
        }
        nothingIsLeft(held)
    }

    suspend fun unansweredAtOnce() = coroutineScope {
        val held = held()
        val chosen = attacks.filter { it.ends == "answer" }
        val found = chosen.map { async(Dispatchers.Default) { measured(it) { unanswered(it) } } }.awaitAll()
        tell("unanswered, at once", found)
        for (outcome in found) {
            require(outcome.thrown in outcome.attack.causes, outcome) { outcome.thrown }
            require(outcome.took < DEADLINE + SLACK, outcome) { "${outcome.took}" }
        }
        nothingIsLeft(held)
    }

    /** Says IDLE, or NOOP, and reads until the session is over. */
    private suspend fun unanswered(attack: Attack): String {
        val all = sessions(attack.protocol, USER, token, at(attack, GENEROUS).copy { answerTimeout = DEADLINE })
        var cause: Cause? = null
        all.take(1).collect { connection ->
            connection.use {
                if (attack.protocol == MailProtocol.IMAP) it.idle(reissue = 100.milliseconds, answer = DEADLINE).collect {}
                it.writeLine("NOOP")
                while (it.readLine() != null) continue
            }
            cause = connection.verdict?.cause
        }
        all.close()
        return cause?.name?.lowercase() ?: "open"
    }

    /** Stays logged in: does not read, then reads as fast as it comes, until the session has seen enough. */
    suspend fun sessionsFlooded() {
        val held = held()
        val outcomes = attacks.filter { it.ends == "login" }.map { attack -> measured(attack) { flooded(attack) } }
        tell("sessions, flooded", outcomes)
        for (outcome in outcomes) {
            // In IMAP a server may speak at any time, in POP3 and SMTP when it is asked. A line that does not end says nothing.
            val isFault = outcome.attack.name == "flood of lines" && outcome.attack.protocol != MailProtocol.IMAP
            require(outcome.thrown == if (isFault) "protocol_violation" else "open", outcome) { outcome.thrown }
            require(outcome.growthKib < GROWTH_KIB_MAX, outcome) { "${outcome.growthKib} KiB" }
        }
        nothingIsLeft(held)
    }

    private suspend fun flooded(attack: Attack): String {
        val all = sessions(attack.protocol, USER, token, at(attack, GENEROUS))
        var cause: Cause? = null
        // A session that sees enough before it is given away logs in again, later: that is not waited for.
        withTimeoutOrNull(SLACK) {
            all.takeWhile { connection ->
                connection.use {
                    connection.wait(FLOOD)
                    val begun = TimeSource.Monotonic.markNow()
                    val chunk = ByteArray(65_536)
                    while (begun.elapsedNow() < READ) connection.read(chunk)
                }
                cause = connection.verdict?.cause
                false
            }.collect {}
        } ?: run { cause = all.status().status.lastEnding?.cause }
        // A login under way would be kept for a minute.
        all.close()
        return cause?.name?.lowercase() ?: "open"
    }

    private suspend fun measured(attack: Attack, work: suspend () -> String): Outcome {
        val memory = Memory()
        val begun = TimeSource.Monotonic.markNow()
        val thrown = work()
        return Outcome(attack, thrown, begun.elapsedNow(), memory.growthKib())
    }

    /** Sockets that are open, and threads that wait for one. */
    private fun held(): Pair<Int, Int> {
        val files = File("/proc/self/fd").listFiles().orEmpty()
        val sockets = files.count { runCatching { it.canonicalPath.contains("socket:") }.getOrDefault(false) }
        val threads = Thread.getAllStackTraces().values.count { stack -> stack.any { "NioSocketImpl" in it.className } }
        return sockets to threads
    }

    private suspend fun nothingIsLeft(held: Pair<Int, Int>) {
        val begun = TimeSource.Monotonic.markNow()
        while ((held() != held || stillOpen().isNotEmpty()) && begun.elapsedNow() < SLACK) delay(50)
        check(stillOpen().isEmpty()) { "we did not end the connections of ${stillOpen()}" }
        check(held() == held) { "sockets and threads: before $held, now ${held()}" }
    }

    private fun stillOpen(): List<Attack> = records().let { all -> attacks.filter { number(all, it, "open") > 0 } }

    private fun octets(attack: Attack): Int = number(records(), attack, "octets")

    private fun number(records: JsonObject, attack: Attack, name: String): Int =
        records.getValue("${attack.port}").jsonObject.getValue(name).jsonPrimitive.int

    private fun records(): JsonObject {
        val told = Socket("127.0.0.1", control).use { it.getInputStream().readAllBytes().decodeToString() }
        return Json.parseToJsonElement(told).jsonObject
    }

    private fun tell(what: String, outcomes: List<Outcome>) {
        val worst = outcomes.maxBy { it.growthKib }
        val slowest = outcomes.maxBy { it.took }
        println(
            "${outcomes.size} hostile servers, $what: at most ${worst.growthKib} KiB more memory beside the heap " +
                "(${worst.attack}), ${slowest.took} (${slowest.attack})",
        )
        if (System.getenv("MAILBEARER_VERBOSE") != null) {
            for (one in outcomes) println("    ${one.growthKib} KiB ${one.took}  ${one.attack}: ${one.thrown}")
        }
    }

    private fun require(holds: Boolean, outcome: Outcome, what: () -> String) =
        check(holds) { "${outcome.attack}: ${what()}" }

    private companion object {
        const val USER = "joe@example.test"
    }
}
