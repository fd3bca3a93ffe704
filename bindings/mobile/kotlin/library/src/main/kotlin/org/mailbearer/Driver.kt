package org.mailbearer

import java.nio.ByteBuffer
import java.security.SecureRandom
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.plus
import kotlinx.coroutines.withTimeoutOrNull

/**
 * Carries out the orders of a [Session] with sockets and coroutines.
 *
 * Facts come from coroutines and from the threads that read: the machine is told one at a time, and what it orders is
 * carried out before the next. Nothing waits while the lock is held.
 */
internal class Driver(
    val settings: Settings,
    private val tokens: JoinedTokens,
    policy: SessionPolicy,
    snapshot: ByteArray?,
    private val onEvent: ((SessionEvent) -> Unit)?,
) {
    val session: Session = configuring {
        val seed = SecureRandom().nextLong().toULong()
        val config = policy.toConfig(settings)
        if (snapshot == null) Session(config, seed) else Session.restore(config, snapshot, settings.nowMs(), seed)
    }

    private val lock = ReentrantLock()
    private val attempts = HashMap<ULong, Attempt>()
    private val online = HashMap<ULong, SessionConnection>()
    private val ready = ArrayDeque<SessionConnection>()

    /** What the program has let go: the machine learns of it when it waits for another. */
    private val letGo = ArrayDeque<ULong>()
    private val changed = Channel<Unit>(Channel.CONFLATED)
    private val wakeChanged = Channel<Unit>(Channel.CONFLATED)
    private var wakeAtMs: ULong? = null
    private var scope: CoroutineScope? = null
    private var isRunning = false
    private var failure: LoginFailedException? = null
    private var tokenCall: Job? = null
    private var token: AccessToken? = null
    private var tokenProblem: TokenSourceException? = null
    private var hostProblem: LoginFailedException? = null

    /** A connection on its way, and the orders for it: its own coroutine carries them out. */
    private class Attempt(val ticket: ULong, settings: Settings, token: AccessToken?) {
        val link = Link(settings, token)
        val orders = ConcurrentLinkedQueue<Action>()
        @Volatile var isOver = false
    }

    // ---- For the program -------------------------------------------------------------------------------------------

    /** Gives connection after connection, until the coroutine is cancelled or somebody must act. */
    suspend fun run(give: suspend (SessionConnection) -> Unit): Unit = coroutineScope {
        start(this + Dispatchers.Default)
        try {
            while (true) {
                // If the block throws, or wants no more, the connection is closed by the stop.
                val connection = next()
                give(connection)
                letGo(connection)
            }
        } finally {
            stop()
            coroutineContext.cancelChildren()
        }
    }

    private fun start(scope: CoroutineScope) = lock.withLock {
        if (this.scope != null) throw MisuseException("the sessions are being collected already: make others for that")
        this.scope = scope
        isRunning = true
        failure = null
        scope.launch { keepTime() }
        tell(Input.Start)
    }

    private fun stop() = lock.withLock {
        // A stop for a person stays one.
        if (isRunning) tell(Input.Stop)
        isRunning = false
        online.values.toList().forEach(::letGo)
        attempts.values.forEach { it.link.abort() }
        ready.clear()
        letGo.clear()
        scope = null
    }

    private suspend fun next(): SessionConnection {
        while (true) {
            lock.withLock {
                while (letGo.isNotEmpty()) {
                    tell(Input.Drained(letGo.removeFirst()))
                    wakeChanged.trySend(Unit)
                }
                failure?.let { throw it }
                while (ready.isNotEmpty()) ready.removeFirst().let { if (it.verdict == null) return it }
            }
            changed.receive()
        }
    }

    fun woke() = lock.withLock { if (isRunning) tell(Input.Woke) }

    /** Starts a coroutine that ends with the collector. */
    fun launch(work: suspend () -> Unit): Job? = lock.withLock { scope?.launch { work() } }

    // ---- What the connections report -------------------------------------------------------------------------------

    /** Shows to the session what has come, and returns how many octets need not be shown next. */
    fun received(connection: SessionConnection, bytes: ByteBuffer): ULong = lock.withLock {
        if (connection.ticket !in online) return 0UL
        val plan = session.receive(settings.nowMs(), connection.ticket, bytes)
        carryOut(plan)
        plan.skip
    }

    fun lost(connection: SessionConnection, cause: Cause?): Unit = lock.withLock {
        if (connection.ticket in online) {
            val plan = session.handle(settings.nowMs(), Input.Ended(connection.ticket, null, cause))
            endOnline(connection.ticket, null)
            carryOut(plan)
        }
    }

    /** Nothing is lost that goes wrong in a thread of ours: it ends the flow. */
    fun crashed(error: Exception) {
        launch { throw error }
    }

    fun letGo(connection: SessionConnection) {
        if (!connection.isGivenUp.compareAndSet(false, true)) return
        lock.withLock {
            if (online.remove(connection.ticket) != null) {
                note(EventKind.ENDED, ticket = connection.ticket, cause = Cause.NO_FAULT)
                letGo.add(connection.ticket)
            }
        }
        // Not before: the end that its reader finds then would be a connection that was lost.
        connection.finish()
    }

    // ---- Facts in, orders out --------------------------------------------------------------------------------------

    private fun tell(input: Input): Unit = lock.withLock { carryOut(session.handle(settings.nowMs(), input)) }

    private fun carryOut(plan: Plan) {
        val isChanged = plan.wakeAtMs != wakeAtMs
        if (isChanged) wakeChanged.trySend(Unit)
        wakeAtMs = plan.wakeAtMs
        plan.actions.forEach(::carryOut)
        val reason = plan.wakeReason
        if (isChanged && (reason == WakeReason.BACK_OFF || reason == WakeReason.TOKEN_BACK_OFF)) {
            note(EventKind.WAITING, text = reason.name.lowercase(), untilMs = plan.wakeAtMs)
        }
        if (plan.actions.isNotEmpty()) changed.trySend(Unit)
    }

    private fun carryOut(action: Action): Unit =
        when (action) {
            is Action.FetchToken -> fetchToken(action)
            is Action.Connect -> connect(action)
            is Action.Send -> queue(action.ticket, action)
            is Action.StartTls -> queue(action.ticket, action)
            is Action.Online -> {
                note(EventKind.ONLINE, ticket = action.ticket, generation = action.generation)
                queue(action.ticket, action)
            }
            is Action.Renew -> {
                val why = action.why.name.lowercase()
                note(EventKind.RENEWING, ticket = action.ticket, text = why, untilMs = action.byMs)
                online[action.ticket]?.renew(action.byMs) ?: Unit
            }
            is Action.Close -> close(action)
            is Action.NeedsUser -> pause(EventKind.NEEDS_USER, action.failure, ::NeedsUserException)
            is Action.GiveUp -> pause(EventKind.GAVE_UP, action.failure, ::GaveUpException)
        }

    private fun queue(ticket: ULong, order: Action) {
        attempts[ticket]?.orders?.add(order)
    }

    private fun close(action: Action.Close) {
        val attempt = attempts[action.ticket] ?: return endOnline(action.ticket, action.cause)
        attempt.isOver = true
        attempt.link.abort()
        if (action.cause == Cause.TIMED_OUT) noteLoginFailed(action.ticket, attempt.link.timedOut().failure)
        else noteLoginFailed(action.ticket, session.status().lastFailure)
    }

    /** Takes a connection out that was online, and tells it why. */
    private fun endOnline(ticket: ULong, cause: Cause?) {
        val connection = online.remove(ticket) ?: return
        // One that was not let go in time, while its successor is online already.
        val isLate = cause == Cause.NO_FAULT && connection.renewByMs != null
        val known = if (isLate) Cause.SESSION_LIMIT else cause
        val seen = session.status().lastEnding
        val verdict =
            if (seen != null && (known == null || known == seen.cause)) seen
            else verdictOfHost(known ?: Cause.SESSION_ENDED)
        note(EventKind.ENDED, ticket = ticket, cause = verdict.cause)
        connection.end(verdict)
    }

    private fun pause(kind: EventKind, said: Failure, make: (Failure, Throwable?) -> LoginFailedException) {
        // What the host itself saw says more: which certificate, which address.
        val seen = hostProblem?.takeIf { it.failure.cause == said.cause }
        val source = tokenProblem?.takeIf { said.cause == Cause.TOKEN_UNAVAILABLE }
        val known = when {
            seen != null -> seen.failure
            source != null -> said.copy(sentence = failureOfSource(source).sentence)
            !tokens.canRefresh && (said.cause == Cause.TOKEN_REJECTED || said.cause == Cause.TOKEN_EXPIRED) -> said.ofFixedToken()
            else -> said
        }
        val stop = make(known, source ?: seen?.cause)
        failure = stop
        isRunning = false
        note(kind, cause = said.cause, text = stop.message)
    }

    // ---- Tokens ----------------------------------------------------------------------------------------------------

    private fun fetchToken(order: Action.FetchToken) {
        note(EventKind.FETCHING_TOKEN, text = order.why.name.lowercase())
        // One that runs still was given up by the machine.
        tokenCall?.cancel()
        tokenCall = scope?.launch { getToken(order) }
    }

    private suspend fun getToken(order: Action.FetchToken) {
        val answer =
            try {
                val given = tokens.get(order.forceRefresh)
                lock.withLock { token = given.token }
                Input.Token(order.request, given.token, given.expiresInMs)
            } catch (problem: TokenSourceException) {
                lock.withLock { tokenProblem = problem }
                note(EventKind.TOKEN_FAILED, text = problem.message)
                Input.TokenFailed(order.request, problem.permanent)
            }
        tell(answer)
    }

    // ---- Logins ----------------------------------------------------------------------------------------------------

    private fun connect(order: Action.Connect) {
        hostProblem = null
        note(EventKind.CONNECTING, ticket = order.ticket)
        val attempt = Attempt(order.ticket, settings, token)
        attempts[order.ticket] = attempt
        scope?.launch { logIn(attempt) }
    }

    private suspend fun logIn(attempt: Attempt) {
        try {
            withTimeoutOrNull(settings.timeout) { converse(attempt) }
                ?: fail(attempt, attempt.link.timedOut())
        } catch (problem: LoginFailedException) {
            fail(attempt, problem)
        } finally {
            attempt.link.endTrace()
            lock.withLock { if (attempts.remove(attempt.ticket) != null) attempt.link.abort() }
        }
    }

    private suspend fun converse(attempt: Attempt) {
        attempt.link.open()
        report(attempt, Input.Connected(attempt.ticket))
        while (perform(attempt)) {
            val bytes = attempt.link.read()
            if (bytes != null) receive(attempt, bytes) else end(attempt)
        }
    }

    /** Carries out the orders for this attempt; false when its login is over, in one way or the other. */
    private suspend fun perform(attempt: Attempt): Boolean {
        while (!attempt.isOver) {
            when (val order = attempt.orders.poll() ?: break) {
                is Action.Send -> attempt.link.write(order.bytes, order.sensitive)
                is Action.StartTls -> startTls(attempt)
                is Action.Online -> handOver(attempt, order)
                is Action.FetchToken, is Action.Connect, is Action.Renew, is Action.Close, is Action.NeedsUser,
                is Action.GiveUp -> error("no order for an attempt: ${order.javaClass.simpleName}")
            }
        }
        return !attempt.isOver
    }

    private suspend fun startTls(attempt: Attempt) {
        val injected = attempt.link.injected()
        if (injected != null) return receive(attempt, injected)
        attempt.link.startTls()
        report(attempt, Input.TlsEstablished(attempt.ticket))
    }

    private fun handOver(attempt: Attempt, order: Action.Online) = lock.withLock {
        attempt.isOver = true
        attempts.remove(attempt.ticket)
        val connection = SessionConnection(this, order, attempt.link)
        online[attempt.ticket] = connection
        ready.add(connection)
        connection.begin()
        changed.trySend(Unit)
        Unit
    }

    private fun report(attempt: Attempt, input: Input) = lock.withLock { if (!attempt.isOver) tell(input) }

    private fun receive(attempt: Attempt, bytes: ByteBuffer) = lock.withLock {
        if (!attempt.isOver) carryOut(session.receive(settings.nowMs(), attempt.ticket, bytes))
    }

    /** The connection of an attempt reached its end. */
    private fun end(attempt: Attempt) = lock.withLock {
        if (attempt.isOver) return
        attempt.isOver = true
        val plan = session.handle(settings.nowMs(), Input.Ended(attempt.ticket, null, null))
        noteLoginFailed(attempt.ticket, session.status().lastFailure)
        carryOut(plan)
    }

    private fun fail(attempt: Attempt, problem: LoginFailedException) = lock.withLock {
        if (attempt.isOver) return
        attempt.isOver = true
        hostProblem = problem
        noteLoginFailed(attempt.ticket, problem.failure)
        tell(Input.Ended(attempt.ticket, null, problem.failure.cause))
    }

    // ---- Time ------------------------------------------------------------------------------------------------------

    private suspend fun keepTime() {
        val sleep = SleepWatch(settings.clock)
        while (true) {
            val left = leftMs()
            if (left > 0) withTimeoutOrNull(left) { wakeChanged.receive() }
            val slept = sleep.happened()
            lock.withLock {
                // With a connection that was let go nothing is due until the program waits for another.
                if (slept && letGo.isEmpty()) tell(Input.Woke) else if (leftMs() <= 0) tell(Input.Tick)
            }
        }
    }

    private fun leftMs(): Long = lock.withLock {
        val wake = wakeAtMs?.takeIf { letGo.isEmpty() } ?: return SleepWatch.LOOK_MS
        (wake.toLong() - settings.clock.nowMs()).coerceAtMost(SleepWatch.LOOK_MS)
    }

    // ---- For logs --------------------------------------------------------------------------------------------------

    private fun noteLoginFailed(ticket: ULong, failure: Failure?) {
        if (failure == null) return
        note(EventKind.LOGIN_FAILED, ticket = ticket, cause = failure.cause, text = failure.sentence)
    }

    private fun note(
        kind: EventKind,
        ticket: ULong? = null,
        generation: ULong? = null,
        cause: Cause? = null,
        text: String? = null,
        untilMs: ULong? = null,
    ) {
        val tell = onEvent ?: return
        val duration = untilMs?.let { (it.toLong() - settings.clock.nowMs()).coerceAtLeast(0).milliseconds }
        val (protocol, user) = settings.endpoint.protocol to settings.user
        val event = SessionEvent(kind, protocol, user, ticket, generation, cause, text, duration)
        // What only looks on must not end the session.
        runCatching { tell(event) }
    }
}
