package org.mailbearer

import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import org.mailbearer.machine.AccessToken
import org.mailbearer.machine.AccountConfig
import org.mailbearer.machine.AccountEvent
import org.mailbearer.machine.AccountMachine
import org.mailbearer.machine.AccountPlan
import org.mailbearer.machine.Delivery
import org.mailbearer.machine.Identity
import org.mailbearer.machine.NegotiationConfig
import org.mailbearer.machine.Order
import org.mailbearer.machine.SessionConfig
import org.mailbearer.machine.failureOfConnect
import org.mailbearer.machine.failureOfHost
import org.mailbearer.machine.failureOfTls

/** What the two players of the kind `account` share: the case's settings, its steps and its expectations. */
internal abstract class AnyAccountPlayer(protected val case: JsonObject) : CasePlayer {
    protected var seed = case["seed"]?.jsonPrimitive?.long ?: 1
    protected var nowMs = 0L
    protected var wakeAtMs: Long? = null

    /** Of the latest orders. */
    protected var ticket = 0UL
    protected var request = 0UL

    /** Of the latest `Give`. */
    protected var given = 0UL
    protected val sessions: List<SessionConfig> = case.getValue("sessions").jsonArray.map(::sessionOf)

    protected fun accountConfig(): AccountConfig {
        // Most cases are not about silence.
        val settings = case["account"]?.jsonObject ?: JsonObject(emptyMap())
        return settings.entries.fold(AccountConfig(keepAlive = false)) { config, (name, value) ->
            val number by lazy { value.jsonPrimitive.long.toULong() }
            when (name) {
                "first_ms" -> config.copy(firstMs = number)
                "later_ms" -> config.copy(laterMs = number)
                "token_timeout_ms" -> config.copy(tokenTimeoutMs = number)
                "keep_alive" -> config.copy(keepAlive = value.jsonPrimitive.boolean)
                "answer_ms" -> config.copy(answerMs = number)
                "unprobed_nap_ms" -> config.copy(unprobedNapMs = number)
                else -> throw CaseFailed("the account has no setting $name")
            }
        }
    }

    private fun sessionOf(session: JsonElement): SessionConfig {
        val told = session as? JsonObject ?: JsonObject(mapOf("protocol" to session))
        val protocol: MailProtocol = named(told.text("protocol"))
        val tls = told["tls"]?.let { tlsNamed(it.jsonPrimitive.content) } ?: Tls.IMPLICIT
        val endpoint = Endpoint(protocol, tls, "mail.example.test", defaultPort(protocol, tls))
        val config = SessionConfig(NegotiationConfig(endpoint, Identity("user@example.test")), limits = SessionLimits())
        val policy = told["policy"]?.jsonObject ?: JsonObject(emptyMap())
        return policy.entries.fold(config) { before, (name, value) ->
            val limits = checkNotNull(before.limits)
            val number by lazy { value.jsonPrimitive.long.toULong() }
            when (name) {
                "renewal" -> before.copy(renewal = named<Renewal>(value.jsonPrimitive.content))
                "session_ms" -> before.copy(limits = limits.copy(sessionMs = number))
                "idle_ms" -> before.copy(limits = limits.copy(idleMs = number))
                "ends_with_token" -> before.copy(limits = limits.copy(endsWithToken = value.jsonPrimitive.boolean))
                "connections" -> before.copy(limits = limits.copy(connections = number.toUInt()))
                else -> throw CaseFailed("the policy has no setting $name")
            }
        }
    }

    override fun play(cut: Cut) {
        for ((index, step) in case.getValue("steps").jsonArray.withIndex()) {
            try {
                val at = step.jsonObject["at"]?.jsonPrimitive
                nowMs = if (at?.content == "wake") checkNotNull(wakeAtMs) else at?.long ?: nowMs
                take(index, step.jsonObject, cut)
            } catch (failure: CaseFailed) {
                throw CaseFailed("step ${index + 1}: ${failure.message}")
            }
        }
    }

    protected abstract fun take(index: Int, step: JsonObject, cut: Cut)

    protected fun checkWake(step: JsonObject) {
        val wait = wakeAtMs?.let { it - nowMs }
        val expected = step["wake"] ?: return
        val holds =
            if (expected is JsonArray) wait != null && wait in expected[0].jsonPrimitive.long..expected[1].jsonPrimitive.long
            else wait == null
        if (!holds) throw CaseFailed("expected a wake in $expected, came $wait")
    }

    protected fun checkStanding(step: JsonObject, standingOf: (UInt) -> Standing?) {
        for ((session, expected) in step["standing"]?.jsonObject.orEmpty()) {
            val standing = standingOf(session.toUInt())?.name?.lowercase()
            if (standing != expected.jsonPrimitive.content) throw CaseFailed("expected $session to be $expected, it is $standing")
        }
    }

    protected fun compare(step: JsonObject, key: String, came: List<String>) {
        val expected = step.words(key)
        if (came != expected) throw CaseFailed("expected the $key $expected, came $came")
    }

    protected fun checkSays(step: JsonObject, sentences: List<String?>) {
        val says = step["says"]?.jsonPrimitive?.content ?: return
        if (sentences.none { says in it.orEmpty() }) throw CaseFailed("expected that $says is said, came $sentences")
    }

    protected fun spelled(event: AccountEvent): String =
        listOfNotNull(event.kind.name.lowercase(), event.session?.toString(), event.cause?.name?.lowercase()).joinToString(" ")
}

/** Plays a case of the kind `account` with the machine: facts and time in, orders and deliveries out. */
internal class AccountPlayer(case: JsonObject) : AnyAccountPlayer(case) {
    private var account = AccountMachine(accountConfig(), seed.toULong()).also(::addSessions)
    private val owners = HashMap<ULong, UInt>()

    override fun close() = account.close()

    private fun addSessions(to: AccountMachine) = sessions.forEach { to.add(it) }

    override fun take(index: Int, step: JsonObject, cut: Cut) {
        val isMisuse = "misuse" in step
        val plans =
            try {
                tell(index, step, cut)
            } catch (misuse: CoreException.Misuse) {
                if (isMisuse) return
                throw CaseFailed("a misuse: ${misuse.message}")
            }
        if (isMisuse) throw CaseFailed("expected a misuse, came none")
        val (orders, deliveries) = plans.flatMap { it.orders } to plans.flatMap { it.deliveries }
        orders.forEach(::note)
        compare(step, "orders", orders.map(::spelled))
        compare(step, "deliveries", deliveries.mapNotNull(::spelled))
        if ("events" in step) {
            compare(step, "events", deliveries.filterIsInstance<Delivery.Event>().map { spelled(it.event) })
        }
        deliveries.filterIsInstance<Delivery.Give>().forEach { given = it.ticket }
        checkStanding(step, account::standing)
        if (plans.isNotEmpty()) {
            wakeAtMs = plans.last().wakeAtMs?.toLong()
            if (wakeAtMs.let { it != null && it <= nowMs }) throw CaseFailed("a wake that is not in the future")
        }
        checkWake(step)
        checkSays(step, deliveries.filterIsInstance<Delivery.Raise>().map { it.failure.sentence })
    }

    private fun note(order: Order) {
        when (order) {
            is Order.Open -> {
                ticket = order.ticket
                owners[order.ticket] = order.session
            }
            is Order.FetchToken -> request = order.request
            is Order.Close, is Order.KeepAlive, is Order.Pause, is Order.Probe, is Order.Send, is Order.StartTls -> Unit
        }
    }

    private fun tell(index: Int, step: JsonObject, cut: Cut): List<AccountPlan> {
        val now = nowMs.toULong()
        val named = step.count("ticket")
        val ticket = named ?: this.ticket
        val given = named ?: this.given
        val request = step.count("request") ?: this.request
        return when (val fact = step.fact()) {
            "server" -> {
                val to = named ?: maxOf(this.ticket, this.given)
                val octets = step.text("server").toByteArray(Charsets.ISO_8859_1)
                return deal(octets, step, index, cut).map { account.receive(now, to, direct(it)) }.toList()
            }
            "sent" -> {
                account.sent(given, direct(step.text("sent").toByteArray(Charsets.ISO_8859_1)))
                return emptyList()
            }
            "logs_in" -> return logIn(ticket)
            "want" -> account.want(now, step.session(fact))
            "no_longer" -> account.noLonger(now, step.session(fact))
            "remove" -> account.remove(now, step.session(fact))
            "let_go" -> account.letGo(now, given)
            "close" -> account.closeAll(now)
            "retry" -> account.retry(now)
            "network" -> if (step.text(fact) == "lost") account.networkLost(now) else account.networkBack(now)
            "slept" -> account.slept(now, checkNotNull(step.count(fact)))
            "tick" -> account.tick(now)
            "opened" -> account.opened(now, ticket)
            "secured" -> account.secured(now, ticket)
            "ended" -> account.ended(now, ticket, step.problem())
            "answered" -> account.answered(now, given)
            "token" -> AccessToken(step.text(fact)).use { account.token(now, request, it, step.count("lives_ms")) }
            "no_token" -> account.noToken(now, request, named(step.text(fact)), step.textOrEmpty("text"))
            "restart" -> restart(step.getValue(fact).jsonPrimitive.long)
            else -> throw CaseFailed("a step that is not known: $step")
        }.let(::listOf)
    }

    private fun logIn(ticket: ULong): List<AccountPlan> {
        val protocol = sessions[owners.getValue(ticket).toInt() - 1].negotiation.endpoint.protocol
        val now = nowMs.toULong()
        return listOf(account.opened(now, ticket)) +
            loginOf(protocol).map { account.receive(now, ticket, direct(it.encodeToByteArray())) }
    }

    private fun restart(deadMs: Long): AccountPlan {
        seed++
        val snapshot = account.use { it.snapshot(nowMs.toULong()) }
        nowMs += deadMs
        val now = nowMs.toULong()
        account = AccountMachine.restore(accountConfig(), snapshot, now, now, seed.toULong()).also(::addSessions)
        return account.tick(now)
    }
}

/** The key that says what happens. */
internal fun JsonObject.fact(): String = keys.find { it in FACTS } ?: throw CaseFailed("a step that is not known: $this")

internal fun JsonObject.count(key: String): ULong? = (this[key] as? JsonPrimitive)?.long?.toULong()

internal fun JsonObject.session(key: String): UInt = checkNotNull(count(key)).toUInt()

internal fun JsonObject.textOrEmpty(key: String): String = this[key]?.jsonPrimitive?.content.orEmpty()

internal fun JsonObject.words(key: String): List<String> = this[key]?.jsonArray?.map { it.jsonPrimitive.content } ?: emptyList()

/** What a host makes of what its system says. */
internal fun JsonObject.problem(): Failure? {
    val problem = this["problem"]?.jsonObject ?: return null
    val (error, words) = problem.textOrEmpty("error") to problem.textOrEmpty("words")
    return when (val stage = problem.text("stage")) {
        "name", "connect" -> failureOfConnect(error, words)
        "tls" -> failureOfTls(error, words)
        "read", "write" -> failureOfHost(Cause.CONNECTION_LOST, words)
        "late" -> failureOfHost(Cause.TIMED_OUT, words)
        else -> throw CaseFailed("the stage $stage is not known")
    }
}

/** A login that works, in the words of the protocol. */
internal fun loginOf(protocol: MailProtocol): List<String> =
    when (protocol) {
        MailProtocol.IMAP ->
            listOf("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER] ready\r\n", "A0001 OK in\r\n")
        MailProtocol.POP3 -> listOf("+OK ready\r\n", "+OK\r\nSASL XOAUTH2 OAUTHBEARER\r\n.\r\n", "+OK in\r\n")
        MailProtocol.SMTP ->
            listOf(
                "220 mail.example.test ESMTP\r\n",
                "250-mail.example.test\r\n250-AUTH XOAUTH2 OAUTHBEARER\r\n250 ENHANCEDSTATUSCODES\r\n",
                "235 ok\r\n",
            )
    }

private val FACTS = setOf(
    "server", "sent", "logs_in", "want", "no_longer", "remove", "let_go", "close", "retry", "network", "slept", "tick", "opened",
    "secured", "ended", "answered", "token", "no_token", "restart",
)

private fun spelled(order: Order): String =
    when (order) {
        is Order.FetchToken ->
            "fetch_token" + if (!order.force) "" else if (order.refused == null) " forced" else " forced refused"
        is Order.Open -> "open ${order.session} ${order.attempt}"
        is Order.StartTls -> "start_tls"
        is Order.Send -> if (order.sensitive) "send token" else "send"
        is Order.Pause -> "pause ${order.ticket}"
        is Order.KeepAlive -> "keep_alive ${order.ticket}"
        is Order.Probe -> "probe ${order.ticket}"
        is Order.Close -> "close ${order.ticket}"
    }

private fun spelled(delivery: Delivery): String? =
    when (delivery) {
        is Delivery.Give -> "give ${delivery.session} ${delivery.generation}"
        is Delivery.Raise -> "raise ${delivery.session} ${delivery.kind.name.lowercase()} ${delivery.failure.cause.name.lowercase()}"
        is Delivery.End -> "end ${delivery.session}"
        is Delivery.Renew -> "renew ${delivery.ticket} ${delivery.why.name.lowercase()}"
        is Delivery.Over -> "over ${delivery.ticket} ${delivery.verdict.cause.name.lowercase()}"
        is Delivery.Event -> null
    }
