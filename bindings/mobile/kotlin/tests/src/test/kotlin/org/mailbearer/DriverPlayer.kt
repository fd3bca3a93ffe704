package org.mailbearer

import java.io.IOException
import java.nio.ByteBuffer
import java.util.concurrent.ConcurrentLinkedQueue
import javax.net.ssl.SSLContext
import kotlin.coroutines.CoroutineContext
import kotlin.time.Duration
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Job
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import org.mailbearer.machine.AccessToken
import org.mailbearer.machine.failureOfHost

/**
 * Plays a case of the kind `account` with the [Driver]: what a program sees, above sockets that are none and a clock that
 * leaps. Of the orders, it sees the questions to the source and the connections that are opened and closed.
 */
internal class DriverPlayer(case: JsonObject) : AnyAccountPlayer(case) {
    private val turns = Turns()
    private val seen = mutableListOf<String>()
    private val sentences = mutableListOf<String?>()
    private val events = ConcurrentLinkedQueue<String>()
    private val held = LinkedHashMap<ULong, Held>()
    private val waiting = HashMap<UInt, Job>()
    private val program = CoroutineScope(SupervisorJob() + turns)
    private var world = Simulated()
    private var source = Source()
    private var driver = begin(null)

    private var isOver = false

    private class Held(val connection: SessionConnection) {
        var renewed = false
        var over = false
    }

    override fun close() = world.scope.coroutineContext[Job]!!.cancel()

    private fun begin(snapshot: ByteArray?): Driver {
        val driver = Driver(world, accountConfig(), snapshot, source) { event, _ -> events += spelled(event) }
        for (config in sessions) {
            val settings = Settings(
                config.negotiation, SSLContext.getDefault(), 24.hours, config.limits, tokenLifetimeMs = null, trace = null,
            )
            driver.add(settings, config)
        }
        return driver
    }

    override fun take(index: Int, step: JsonObject, cut: Cut) {
        // A program cannot make the other calls that are wrong.
        if (isOver || "misuse" in step && step.fact() != "want") return
        seen.clear()
        sentences.clear()
        events.clear()
        world.done.clear()
        source.asked.clear()
        tell(index, step, cut)
        turns.settle()
        // Who does not read from a connection does not see its end: the case is about a host that does.
        if (step.fact() == "ended" && isParked(step)) isOver = true
        if (isOver) return
        look()
        if ("misuse" in step) {
            if (seen != listOf("misuse")) throw CaseFailed("expected a misuse, came $seen")
            return
        }
        compareSorted("deliveries", step.words("deliveries").map(::asSeen), seen)
        val ordered = step.words("orders").filter { it.substringBefore(' ') in setOf("fetch_token", "open", "close") }
        compareSorted("orders", ordered.map(::asDone), source.asked + world.done)
        if ("events" in step) compare(step, "events", events.toList())
        checkStanding(step) { session -> driver.status().sessions.find { it.session == session }?.standing }
        checkWake(step)
        checkSays(step, sentences)
    }

    /** A program is not told why a connection is to be renewed. */
    private fun asSeen(delivery: String) = if (delivery.startsWith("renew")) delivery.substringBeforeLast(' ') else delivery

    /** A driver does not count attempts. */
    private fun asDone(order: String) = if (order.startsWith("open")) order.substringBeforeLast(' ') else order

    private fun compareSorted(what: String, expected: List<String>, came: List<String>) {
        if (came.sorted() != expected.sorted()) throw CaseFailed("expected the $what $expected, came $came")
    }

    private fun isParked(step: JsonObject): Boolean {
        val of = step.count("ticket") ?: ticket
        return of !in held && world.links[of]?.isPaused == true
    }

    private fun look() {
        for ((ticket, one) in held) {
            val verdict = one.connection.verdict
            if (one.connection.renewByMs != null && !one.renewed) seen += "renew $ticket"
            if (verdict != null && !one.over) seen += "over $ticket ${verdict.cause.name.lowercase()}"
            one.renewed = one.connection.renewByMs != null
            one.over = verdict != null
        }
    }

    private fun tell(index: Int, step: JsonObject, cut: Cut) {
        val named = step.count("ticket")
        val to = named ?: ticket
        val given = named ?: this.given
        when (val fact = step.fact()) {
            "want" -> want(step.session(fact))
            "no_longer" -> waiting.remove(step.session(fact))?.cancel()
            "let_go" -> held.getValue(given).connection.run {
                close()
                // The goodbye has a thread of its own.
                runBlocking { withTimeout(10.seconds) { awaitGone() } }
            }
            "remove" -> driver.remove(step.session(fact))
            "close" -> driver.close()
            "retry" -> driver.retry()
            "network" -> if (step.text(fact) == "lost") driver.networkLost() else driver.networkBack()
            "slept" -> driver.slept(checkNotNull(step.count(fact)))
            "tick" -> driver.tick()
            "restart" -> restart(step.getValue(fact).jsonPrimitive.long)
            "opened" -> world.links[to]?.opened?.complete(null)
            "secured" -> world.links[to]?.secured?.complete(null)
            "logs_in" -> logIn(to)
            "server" -> {
                val octets = step.text(fact).toByteArray(Charsets.ISO_8859_1)
                for (piece in deal(octets, step, index, cut)) hear(named ?: maxOf(ticket, this.given), piece)
            }
            "sent" -> held.getValue(given).connection.output.write(step.text(fact).toByteArray(Charsets.ISO_8859_1))
            "ended" -> end(to, step.problem())
            "token" -> source.answer(step.count("request") ?: request, Answer.Came(checked(step)))
            "no_token" -> {
                val words = step.textOrEmpty("text")
                val none = Answer.None(named(step.text(fact)), words, IOException(words))
                source.answer(step.count("request") ?: request, none)
            }
            else -> throw CaseFailed("a step that is not known: $step")
        }
    }

    private fun checked(step: JsonObject): CheckedToken {
        val token = Token(step.text("token"), step.count("lives_ms")?.toLong()?.milliseconds)
        return CheckedToken(token, AccessToken(token.value))
    }

    private fun want(session: UInt) {
        waiting[session] = program.launch {
            try {
                val connection = driver.next(session)
                if (connection == null) {
                    seen += "end $session"
                } else {
                    given = connection.ticket
                    held[connection.ticket] = Held(connection)
                    seen += "give $session ${connection.generation}"
                }
            } catch (raised: LoginFailedException) {
                val kind = if (raised is NeedsUserException) "needs_user" else "gave_up"
                seen += "raise $session $kind ${raised.failure.cause.name.lowercase()}"
                sentences += raised.message
            } catch (raised: MisuseException) {
                seen += "raise $session mistake token_unavailable"
                sentences += raised.message
            } catch (_: CoreException.Misuse) {
                seen += "misuse"
            }
        }
    }

    private fun restart(deadMs: Long) {
        seed++
        val snapshot = driver.snapshot()
        close()
        nowMs += deadMs
        held.clear()
        world = Simulated()
        source = Source()
        driver = begin(snapshot)
        driver.tick()
    }

    private fun logIn(to: ULong) {
        val link = checkNotNull(world.links[to])
        link.opened.complete(null)
        turns.settle()
        for (words in loginOf(link.settings.endpoint.protocol)) hear(to, words.encodeToByteArray())
    }

    /** Octets of the server, before the login or after it. */
    private fun hear(to: ULong, octets: ByteArray) {
        val connection = held[to]?.connection
        if (connection != null) connection.took(octets, octets.size) else world.links[to]?.hears?.trySend(octets)
        turns.settle()
    }

    private fun end(of: ULong, failure: Failure?) {
        val connection = held[of]?.connection
        val link = checkNotNull(world.links[of])
        link.isClosed = true
        when {
            connection != null && failure?.cause == Cause.TIMED_OUT -> driver.ended(of, failure)
            connection != null -> connection.lost(failure?.let { IOException(it.detail) })
            else -> link.fail(failure)
        }
    }

    /** Where time leaps, and nothing is connected. */
    private inner class Simulated : World({ nowMs }) {
        override val seed: ULong = this@DriverPlayer.seed.toULong()
        override val scope = CoroutineScope(SupervisorJob() + turns)
        val links = HashMap<ULong, SimulatedLink>()
        val done = mutableListOf<String>()

        override fun wallMs(): ULong = nowMs.toULong()

        override fun link(settings: Settings, token: AccessToken?): Link {
            ticket = links.size.toULong() + 1UL
            done += "open ${sessions.indexOfFirst { it.negotiation === settings.config } + 1}"
            val number = ticket
            return SimulatedLink(settings) { done += "close $number" }.also { links[ticket] = it }
        }

        override fun wakeAt(ms: ULong?, watches: Boolean, driver: Driver) {
            wakeAtMs = ms?.toLong()
        }
    }

    /** A token source that answers when the case says so. */
    private inner class Source : Tokens {
        val asked = mutableListOf<String>()
        private val answers = mutableListOf<CompletableDeferred<Answer>>()

        override suspend fun answer(forceRefresh: Boolean, refused: AccessToken?): Answer {
            asked += "fetch_token" + if (!forceRefresh) "" else if (refused == null) " forced" else " forced refused"
            val answer = CompletableDeferred<Answer>().also(answers::add)
            request = answers.size.toULong()
            return answer.await()
        }

        fun answer(request: ULong, answer: Answer) {
            answers[request.toInt() - 1].complete(answer)
        }
    }
}

/** A socket that is none. */
private class SimulatedLink(val settings: Settings, private val closed: () -> Unit) : Link {
    /** Each with how it failed. */
    val opened = CompletableDeferred<Failure?>()
    val secured = CompletableDeferred<Failure?>()
    val hears = Channel<ByteArray>(Channel.UNLIMITED)
    private var late: Failure? = null
    var isPaused = false
    var isClosed = false

    /** What is waited for ends so. */
    fun fail(failure: Failure?) {
        if (opened.complete(failure ?: ended())) return
        if (secured.isActive && failure?.cause == Cause.TLS_FAILED) secured.complete(failure)
        late = failure?.takeIf { it.cause == Cause.TIMED_OUT }
        hears.close()
    }

    private fun ended() = failureOfHost(Cause.CONNECTION_LOST, "")

    override val roundTrips = 0
    override val elapsed = Duration.ZERO
    override val tlsVersion = "none"

    override suspend fun open() = awaiting(opened)

    override suspend fun startTls() = awaiting(secured)

    private suspend fun awaiting(step: CompletableDeferred<Failure?>) {
        step.await()?.let { throw LoginFailedException(it) }
    }

    override fun injected(): ByteBuffer? = null

    override suspend fun read(): ByteBuffer? {
        val octets = hears.receiveCatching().getOrNull()
        late?.let { throw LoginFailedException(it) }
        return octets?.let(::direct)
    }

    override suspend fun write(bytes: ByteArray, sensitive: Boolean) = Unit

    override fun timedOut() = failed(Cause.TIMED_OUT, "")

    override fun endTrace() {
        isPaused = true
    }

    override fun begin(connection: Connection) = Unit

    override fun send(bytes: ByteArray, offset: Int, count: Int) = Unit

    override fun abort() {
        if (!isClosed) closed()
        isClosed = true
    }

    override suspend fun close() = abort()
}

/** Runs what is ready, when it is told to, in the thread that says so. */
private class Turns : CoroutineDispatcher() {
    private val ready = ConcurrentLinkedQueue<Runnable>()

    override fun dispatch(context: CoroutineContext, block: Runnable) {
        ready += block
    }

    fun settle() {
        while (true) (ready.poll() ?: return).run()
    }
}
