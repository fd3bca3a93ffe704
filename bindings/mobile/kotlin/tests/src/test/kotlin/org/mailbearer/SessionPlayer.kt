package org.mailbearer

import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import org.mailbearer.machine.AccessToken
import org.mailbearer.machine.Action
import org.mailbearer.machine.Identity
import org.mailbearer.machine.Input
import org.mailbearer.machine.Login
import org.mailbearer.machine.NegotiationConfig
import org.mailbearer.machine.Plan
import org.mailbearer.machine.Session
import org.mailbearer.machine.SessionConfig

/** Plays a case of the kind `session`: facts and time in, orders out. */
internal class SessionPlayer(private val case: JsonObject) : CasePlayer {
    private var seed = case["seed"]?.jsonPrimitive?.long ?: 1
    private var nowMs = 0L
    private var wakeAtMs: Long? = null
    private var ticket = 0UL
    private var request = 0UL
    private var session = configure(null)

    override fun close() = session.close()

    private fun configure(snapshot: ByteArray?): Session {
        val protocol: MailProtocol = named(case.text("protocol"))
        val provider = case["provider"]?.let { providerNamed(it.jsonPrimitive.content) }
        val service = provider?.services?.first { it.endpoint.protocol == protocol }
        val tls = case["tls"]?.let { tlsNamed(it.jsonPrimitive.content) } ?: Tls.IMPLICIT
        val endpoint =
            service?.endpoint ?: Endpoint(protocol, tls, "mail.example.test", defaultPort(protocol, tls))
        val negotiation = NegotiationConfig(
            endpoint = endpoint,
            identity = Identity("user@example.test"),
            mechanisms = service?.mechanisms,
            initialResponse = service?.initialResponse,
            assumedCapabilities = service?.assumedCapabilities,
        )
        val defaults = SessionConfig(negotiation, limits = service?.limits, tokenLifetimeMs = provider?.tokenLifetimeMs)
        val policy = case["policy"]?.jsonObject ?: JsonObject(emptyMap())
        val config = policy.entries.fold(defaults) { config, (name, value) -> config.with(name, value.jsonPrimitive) }
        return if (snapshot == null) Session(config, seed.toULong())
        else Session.restore(config, snapshot, nowMs.toULong(), seed.toULong())
    }

    private fun SessionConfig.with(name: String, value: JsonPrimitive): SessionConfig {
        val known = limits ?: SessionLimits()
        val number by lazy { value.long.toULong() }
        return when (name) {
            "renewal" -> copy(renewal = named<Renewal>(value.content))
            "login" -> copy(login = named<Login>(value.content))
            "session_ms" -> copy(limits = known.copy(sessionMs = number))
            "ends_with_token" -> copy(limits = known.copy(endsWithToken = value.boolean))
            "idle_ms" -> copy(limits = known.copy(idleMs = number))
            "connections" -> copy(limits = known.copy(connections = number.toUInt()))
            "token_lifetime_ms" -> copy(tokenLifetimeMs = number)
            "lead_ms" -> copy(leadMs = number)
            "token_life_least_ms" -> copy(tokenLifeLeastMs = number)
            "token_timeout_ms" -> copy(tokenTimeoutMs = number)
            "login_timeout_ms" -> copy(loginTimeoutMs = number)
            "backoff_base_ms" -> copy(backoffBaseMs = number)
            "backoff_max_ms" -> copy(backoffMaxMs = number)
            "stable_after_ms" -> copy(stableAfterMs = number)
            "login_interval_ms" -> copy(loginIntervalMs = number)
            else -> throw CaseFailed("policy has no setting $name")
        }
    }

    override fun play(cut: Cut) {
        for ((index, step) in case.getValue("steps").jsonArray.withIndex()) {
            try {
                take(index, step.jsonObject, cut)
            } catch (failure: CaseFailed) {
                throw CaseFailed("step ${index + 1}: ${failure.message}")
            }
        }
    }

    private fun take(index: Int, step: JsonObject, cut: Cut) {
        val at = step["at"]?.jsonPrimitive
        nowMs = if (at?.content == "wake") checkNotNull(wakeAtMs) else at?.long ?: nowMs
        val isMisuse = step["misuse"]?.jsonPrimitive?.boolean ?: false
        val plans =
            try {
                tell(index, step, cut)
            } catch (misuse: CoreException) {
                if (isMisuse) return
                throw CaseFailed("a misuse: ${misuse.message}")
            }
        if (isMisuse) throw CaseFailed("expected a misuse, came none")
        val actions = plans.flatMap { it.actions }
        val expected = step["orders"]?.jsonArray?.map { it.jsonPrimitive.content } ?: emptyList()
        val orders = actions.map(::spelled)
        if (orders != expected) throw CaseFailed("expected the orders $expected, came $orders")
        for (action in actions) {
            if (action is Action.Connect) ticket = action.ticket
            if (action is Action.FetchToken) request = action.request
        }
        if (plans.isNotEmpty()) {
            wakeAtMs = plans.last().wakeAtMs?.toLong()
            checkWake(step)
        }
        val phase = session.status().phase.name.lowercase()
        val wanted = step["phase"]?.jsonPrimitive?.content ?: phase
        if (wanted != phase) throw CaseFailed("expected the phase $wanted, came $phase")
        step["resumed"]?.let { resumed ->
            val online = actions.filterIsInstance<Action.Online>().firstOrNull() ?: throw CaseFailed("no session")
            if (asJson(online.resumed) != resumed) throw CaseFailed("expected $resumed, came ${asJson(online.resumed)}")
        }
    }

    private fun checkWake(step: JsonObject) {
        val wait = wakeAtMs?.let { it - nowMs }
        if (wait != null && wait <= 0) throw CaseFailed("a wake that is not in the future")
        val expected = step["wake"] ?: return
        val holds =
            if (expected is JsonArray) wait != null && wait in expected[0].jsonPrimitive.long..expected[1].jsonPrimitive.long
            else wait == null
        if (!holds) throw CaseFailed("expected a wake in $expected, came $wait")
    }

    /** Tells the session what the step says; what it planned. */
    private fun tell(index: Int, step: JsonObject, cut: Cut): List<Plan> {
        val (now, ticket) = nowMs.toULong() to (step["ticket"]?.jsonPrimitive?.long?.toULong() ?: this.ticket)
        val request = step["request"]?.jsonPrimitive?.long?.toULong() ?: this.request
        fun handle(input: Input) = listOf(session.handle(now, input))
        return when {
            "server" in step -> {
                val octets = step.text("server").toByteArray(Charsets.ISO_8859_1)
                deal(octets, step, index, cut).map { session.receive(now, ticket, direct(it)) }.toList()
            }
            "sent" in step -> {
                session.sent(ticket, direct(step.text("sent").toByteArray(Charsets.ISO_8859_1)))
                emptyList()
            }
            "restart" in step -> {
                seed++
                session = session.use { configure(it.snapshot()) }
                handle(Input.Tick)
            }
            "token" in step -> {
                val lives = step["lives_ms"]?.jsonPrimitive?.long?.toULong()
                AccessToken(step.text("token")).use { handle(Input.Token(request, it, lives)) }
            }
            "token_failed" in step -> handle(Input.TokenFailed(request, step.flag("token_failed")))
            "tls" in step -> handle(Input.TlsEstablished(ticket))
            "closed" in step -> {
                val cause = step["cause"]?.jsonPrimitive?.content?.let { named<Cause>(it) }
                handle(Input.Ended(ticket, step["last_line"]?.jsonPrimitive?.content, cause))
            }
            "refused" in step -> handle(Input.Refused(ticket, step.text("refused")))
            "line" in step -> handle(Input.Line(ticket, step.text("line")))
            "start" in step -> handle(Input.Start)
            "stop" in step -> handle(Input.Stop)
            "tick" in step -> handle(Input.Tick)
            "woke" in step -> handle(Input.Woke)
            "connected" in step -> handle(Input.Connected(ticket))
            "authenticated" in step -> handle(Input.Authenticated(ticket))
            "drained" in step -> handle(Input.Drained(ticket))
            else -> throw CaseFailed("a step that is not known: $step")
        }
    }
}

/** An order in the words of the case files. */
private fun spelled(action: Action): String =
    when (action) {
        is Action.FetchToken -> "fetch_token ${action.why.name.lowercase()}" + if (action.forceRefresh) " forced" else ""
        is Action.Connect -> "connect ${action.attempt}"
        is Action.Send -> if (action.sensitive) "send token" else "send"
        is Action.StartTls -> "start_tls"
        is Action.Online -> "online ${action.generation}"
        is Action.Renew -> "renew ${action.why.name.lowercase()}"
        is Action.Close -> "close ${action.cause.name.lowercase()}"
        is Action.NeedsUser -> "needs_user ${action.failure.cause.name.lowercase()}"
        is Action.GiveUp -> "give_up ${action.failure.cause.name.lowercase()}"
    }

private fun asJson(resumed: Aftermath?): JsonElement =
    when (resumed) {
        null -> JsonNull
        is Aftermath.Imap ->
            JsonObject(
                mapOf(
                    "selected" to (resumed.selected?.let { JsonPrimitive(it.name) } ?: JsonNull),
                    "idling" to JsonPrimitive(resumed.idling),
                    "unanswered" to JsonArray(resumed.unanswered.map(::JsonPrimitive)),
                )
            )
        is Aftermath.Pop3 ->
            JsonObject(
                mapOf("uncommitted_deletes" to JsonArray(resumed.uncommittedDeletes.map { JsonPrimitive(it.toLong()) }))
            )
        is Aftermath.Smtp -> JsonObject(mapOf("submission" to JsonPrimitive(resumed.submission.name.lowercase())))
    }

private fun JsonObject.flag(key: String): Boolean = getValue(key).jsonPrimitive.boolean
