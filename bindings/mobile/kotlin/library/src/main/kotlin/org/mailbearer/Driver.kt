package org.mailbearer

import java.nio.ByteBuffer
import java.util.concurrent.CancellationException
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineExceptionHandler
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.Job
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch
import org.mailbearer.machine.AccessToken
import org.mailbearer.machine.AccountConfig
import org.mailbearer.machine.AccountEvent
import org.mailbearer.machine.AccountMachine
import org.mailbearer.machine.AccountPlan
import org.mailbearer.machine.Delivery
import org.mailbearer.machine.Order
import org.mailbearer.machine.RaiseKind
import org.mailbearer.machine.SessionConfig

/**
 * Carries out the orders of an [AccountMachine], and shows what it delivers. It holds sockets by ticket, waiters by session,
 * and the last own error of the source and the system; it decides nothing.
 *
 * Facts come from coroutines and from the threads that read: the machine is told one at a time, and what it plans is
 * carried out before the next. Nothing waits while the lock is held.
 */
internal class Driver(
    val world: World,
    config: AccountConfig,
    snapshot: ByteArray?,
    private val tokens: Tokens,
    private val onEvent: (AccountEvent, Throwable?) -> Unit,
) {
    private val machine: AccountMachine = configuring {
        if (snapshot == null) AccountMachine(config, world.seed)
        else AccountMachine.restore(config, snapshot, world.nowMs(), world.wallMs(), world.seed)
    }
    private val lock = ReentrantLock()
    private val facts = ArrayDeque<AccountMachine.(ULong) -> AccountPlan>()
    private var isTelling = false
    private val settings = HashMap<UInt, Settings>()
    private val attempts = HashMap<ULong, Attempt>()
    private val connections = HashMap<ULong, SessionConnection>()
    private val waiters = HashMap<UInt, CompletableDeferred<() -> SessionConnection?>>()
    private val problems = Latest<ULong, Throwable>()
    private val tokenProblems = Latest<ULong, Throwable>()
    private var asking: Job? = null
    private var token: AccessToken? = null
    private var bug: Throwable? = null

    // ---- Facts from the program ------------------------------------------------------------------------------------

    fun add(session: Settings, config: SessionConfig): UInt = lock.withLock {
        configuring { machine.add(config) }.also { settings[it] = session }
    }

    /** Waits for a connection; `null` when there will be no other. */
    suspend fun next(session: UInt): SessionConnection? {
        val answer = CompletableDeferred<() -> SessionConnection?>()
        lock.withLock {
            bug?.let { throw it }
            tell { want(it, session).also { waiters[session] = answer } }
        }
        try {
            return answer.await()()
        } catch (cancelled: CancellationException) {
            noLonger(session, answer)
            throw cancelled
        }
    }

    @OptIn(ExperimentalCoroutinesApi::class)
    private fun noLonger(session: UInt, answer: CompletableDeferred<() -> SessionConnection?>) = lock.withLock {
        if (waiters.remove(session, answer)) tell { noLonger(it, session) }
        // It was answered in the same moment.
        else runCatching(answer.getCompleted()).getOrNull()?.close()
    }

    /** After the goodbye. Of a connection that is over, nothing is said. */
    fun letGo(connection: SessionConnection) = lock.withLock {
        connections.remove(connection.ticket)
        tell { letGo(it, connection.ticket) }
    }

    fun remove(session: UInt) = tell { remove(it, session) }

    /** Ends all of it. */
    fun close() {
        tell { closeAll(it) }
        world.scope.cancel()
    }

    fun retry() = tell { retry(it) }

    fun networkLost() = tell { networkLost(it) }

    fun networkBack() = tell { networkBack(it) }

    fun status(): AccountStatus = machine.status()

    fun snapshot(): ByteArray = machine.snapshot(world.wallMs())

    fun redact(text: String): String = machine.redact(text)

    // ---- Facts from the world --------------------------------------------------------------------------------------

    fun tick() = tell { tick(it) }

    fun slept(ms: ULong) = tell { slept(it, ms) }

    fun opened(ticket: ULong) = tell { opened(it, ticket) }

    fun secured(ticket: ULong) = tell { secured(it, ticket) }

    /** With what the system or TLS said, and its own error; without them, it is the plain end of the stream. */
    fun ended(ticket: ULong, failure: Failure? = null, error: Throwable? = null) = lock.withLock {
        problems[ticket] = error
        attempts.remove(ticket)?.close()
        tell { ended(it, ticket, failure) }
    }

    /** Shows what one read brought, and returns how many octets need not be shown next. */
    fun receive(ticket: ULong, bytes: ByteBuffer): ULong {
        var skip = 0UL
        tell { now -> receive(now, ticket, bytes).also { skip = it.skip } }
        return skip
    }

    fun sent(ticket: ULong, bytes: ByteBuffer) = machine.sent(ticket, bytes)

    fun skipped(ticket: ULong, octets: ULong) = machine.skipped(ticket, octets)

    fun isQuiet(ticket: ULong): Boolean = machine.isQuiet(ticket)

    fun isDelivering(ticket: ULong): Boolean = machine.isDelivering(ticket)

    /** A bug of ours: nothing of it is lost, and nobody waits for ever. */
    fun crashed(error: Throwable) = lock.withLock {
        bug = error
        waiters.keys.toList().forEach { answer(it) { throw error } }
    }

    // ---- Facts in, orders and deliveries out -----------------------------------------------------------------------

    /** Facts that arise while orders are carried out are told after them. */
    private fun tell(fact: AccountMachine.(ULong) -> AccountPlan): Unit = lock.withLock {
        facts.add(fact)
        if (isTelling) return
        isTelling = true
        try {
            while (facts.isNotEmpty()) {
                val plan = facts.removeFirst()(machine, world.nowMs())
                plan.orders.forEach(::carryOut)
                plan.deliveries.forEach(::deliver)
                world.wakeAt(plan.wakeAtMs, connections.isNotEmpty(), this)
            }
        } finally {
            isTelling = false
        }
    }

    /** In a coroutine that ends with the account. */
    fun launch(work: suspend () -> Unit): Job =
        world.scope.launch(CoroutineExceptionHandler { _, error -> crashed(error) }) { work() }

    private fun carryOut(order: Order): Unit =
        when (order) {
            is Order.FetchToken -> fetchToken(order)
            is Order.Open -> open(order)
            is Order.StartTls -> attempts[order.ticket]?.startTls() ?: Unit
            is Order.Send -> attempts[order.ticket]?.send(order.bytes, order.sensitive) ?: Unit
            is Order.Pause -> attempts[order.ticket]?.pause() ?: Unit
            is Order.KeepAlive -> connections[order.ticket]?.keepAlive() ?: Unit
            is Order.Probe -> connections[order.ticket]?.keepAlive() ?: Unit
            is Order.Close -> attempts.remove(order.ticket)?.close() ?: Unit
        }

    private fun fetchToken(order: Order.FetchToken) {
        // One that runs still was given up by the machine.
        asking?.cancel()
        asking = launch {
            when (val answer = tokens.answer(order.force, order.refused)) {
                is Answer.Came -> lock.withLock {
                    token = answer.token.token
                    tell { token(it, order.request, answer.token.token, answer.token.expiresInMs) }
                }
                is Answer.None -> lock.withLock {
                    tokenProblems[order.request] = answer.error
                    tell { noToken(it, order.request, answer.why, answer.words) }
                }
            }
        }
    }

    private fun open(order: Order.Open) {
        val of = settings.getValue(order.session)
        val attempt = Attempt(order.ticket, world.link(of, token), this)
        attempts[order.ticket] = attempt
        launch { attempt.run(of.timeout) }
    }

    private fun deliver(delivery: Delivery): Unit =
        when (delivery) {
            is Delivery.Give -> give(delivery)
            is Delivery.Raise -> raise(delivery)
            is Delivery.End -> answer(delivery.session) { null }
            is Delivery.Renew -> connections[delivery.ticket]?.renew(delivery.byMs) ?: Unit
            is Delivery.Over -> connections.remove(delivery.ticket)?.end(delivery.verdict, delivery.aftermath, problems[delivery.ticket]) ?: Unit
            is Delivery.Event -> event(delivery.event)
        }

    private fun give(given: Delivery.Give) {
        val link = attempts.getValue(given.ticket).link
        val connection = SessionConnection(this, settings.getValue(given.session), given, link)
        connections[given.ticket] = connection
        link.begin(connection)
        answer(given.session) { connection }
    }

    private fun raise(raised: Delivery.Raise) {
        val own = ownError(raised.request, raised.ticket)
        val failure = tokens.about(raised.failure)
        answer(raised.session) {
            throw when (raised.kind) {
                RaiseKind.NEEDS_USER -> NeedsUserException(failure, own)
                RaiseKind.GAVE_UP -> GaveUpException(failure, own)
                RaiseKind.MISTAKE -> MisuseException(failure.sentence, own)
            }
        }
    }

    private fun answer(session: UInt, result: () -> SessionConnection?) {
        waiters.remove(session)?.complete(result)
    }

    private fun event(event: AccountEvent) {
        // What only looks on must not end the session.
        runCatching { onEvent(event, ownError(event.request, event.ticket)) }
    }

    private fun ownError(request: ULong?, ticket: ULong?): Throwable? =
        request?.let(tokenProblems::get) ?: ticket?.let(problems::get)
}
