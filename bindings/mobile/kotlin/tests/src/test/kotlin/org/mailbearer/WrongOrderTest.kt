package org.mailbearer

import java.lang.reflect.Field
import java.lang.reflect.Modifier
import java.nio.ByteBuffer
import java.util.concurrent.ConcurrentHashMap
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertIs
import kotlin.test.assertTrue
import org.mailbearer.machine.AccessToken
import org.mailbearer.machine.Action
import org.mailbearer.machine.Identity
import org.mailbearer.machine.Input
import org.mailbearer.machine.Negotiation
import org.mailbearer.machine.NegotiationConfig
import org.mailbearer.machine.Next
import org.mailbearer.machine.Plan
import org.mailbearer.machine.Session
import org.mailbearer.machine.SessionConfig
import org.mailbearer.machine.Watch

/**
 * Calls in any order, right and wrong: what is refused is a typed error, and leaves a machine as it was.
 *
 * A twin gets only the calls that were taken: it must answer the same, and be in the same state.
 */
class WrongOrderTest {
    private val text = Charsets.ISO_8859_1
    private val serverSays = listOf(
        "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n",
        "* CAPABILITY IMAP4rev1 STARTTLS AUTH=XOAUTH2\r\n%TAG% OK\r\n",
        "%TAG% NO [AUTHENTICATIONFAILED] no\r\n",
        "+ \r\n",
        "+ eyJzdGF0dXMiOiI0MDEifQ==\r\n",
        "* BYE Session expired\r\n",
        "* 3 FETCH (BODY[] {6}\r\nabcdef)\r\n",
        "+OK\r\nSASL XOAUTH2\r\nSTLS\r\n.\r\n",
        "-ERR no\r\n",
        "250-hi\r\n250-STARTTLS\r\n250 AUTH XOAUTH2\r\n",
        "334 \r\n",
        "535 5.7.8 no\r\n",
        "421 bye\r\n",
        "",
        "\u0000\u00ff\r\n",
    )

    /** A login that goes well, for implicit TLS. */
    private val goesWell = mapOf(
        MailProtocol.IMAP to listOf("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n", "%TAG% OK in\r\n"),
        MailProtocol.POP3 to listOf("+OK hi\r\n", "+OK\r\nSASL XOAUTH2\r\n.\r\n", "+OK in\r\n"),
        MailProtocol.SMTP to listOf("220 hi\r\n", "250-hi\r\n250 AUTH XOAUTH2\r\n", "235 in\r\n"),
    )
    private val clientSays =
        listOf("A1 SELECT INBOX\r\n", "A2 IDLE\r\n", "DONE\r\n", "DELE 1\r\n", "QUIT\r\n", "DATA\r\n", ".\r\n", "")
    private val numbers = listOf(0UL, 1UL, 2UL, 1UL shl 63, ULong.MAX_VALUE)

    private fun wire(said: String, tag: String = ""): ByteBuffer = direct(said.replace("%TAG%", tag).toByteArray(text))

    private fun tagOf(sent: ByteArray, before: String): String =
        Regex("^(\\S+) [A-Z]").find(sent.toString(text))?.groupValues?.get(1) ?: before

    /** A machine that gets all calls, and its twin, which gets those that were taken. */
    private inner class Twins<M>(private val machine: M, private val twin: M, private val state: (M) -> Any?) {
        var refused = 0
        var taken = 0

        /** The answer, or nothing where the call is refused. */
        fun <T> call(work: (M) -> T): T? {
            val answer = runCatching { work(machine) }
            answer.exceptionOrNull()?.let { if (it !is CoreException.Misuse && it !is CoreException.Config) throw it }
            if (answer.isSuccess) {
                taken++
                assertEquals(facts(answer.getOrNull()), facts(work(twin)))
            } else {
                refused++
            }
            assertEquals(facts(state(machine)), facts(state(twin)))
            return answer.getOrNull()
        }
    }

    /** All that an answer says, to be compared: arrays are not equal by themselves. */
    private fun facts(value: Any?): Any? = when {
        value is ByteArray -> ByteBuffer.wrap(value)
        value is List<*> -> value.map(::facts)
        value == null || value is Enum<*> || !value.javaClass.name.startsWith("org.mailbearer.") -> value
        else -> value.javaClass.name to fieldsOf(value.javaClass).map { facts(it.get(value)) }
    }

    private val fields = ConcurrentHashMap<Class<*>, List<Field>>()

    private fun fieldsOf(type: Class<*>): List<Field> = fields.computeIfAbsent(type) {
        it.declaredFields.filterNot { field -> Modifier.isStatic(field.modifiers) }.onEach { field -> field.isAccessible = true }
    }

    /** Lives of machines of each protocol: how many calls were refused, were taken, and how many logins worked. */
    private fun lives(live: (MailProtocol, Random) -> Pair<Twins<*>, Int>) {
        for (protocol in MailProtocol.entries) {
            val lived = List(LIVES) { live(protocol, Random(protocol.ordinal * 10_000 + it)) }
            val (refused, taken) = lived.sumOf { it.first.refused } to lived.sumOf { it.first.taken }
            assertTrue(minOf(refused, taken) > LIVES, "$protocol: $refused refused, $taken taken")
            assertTrue(lived.sumOf { it.second } > 0, "$protocol")
        }
    }

    private fun config(protocol: MailProtocol, tls: Tls) = NegotiationConfig(
        Endpoint(protocol, tls, "mail.example.test", 993u), Identity("joe@example.test"),
    )

    @Test
    fun `a negotiation is unharmed by calls that are refused`() = lives { protocol, chance ->
        val config = config(protocol, Tls.entries.random(chance))
        fun make() = AccessToken("t".repeat(40)).use { Negotiation(config, it) }
        val twins = Twins(make(), make()) { it.redact("x") }
        val right = goesWell.getValue(protocol).toMutableList()
        var tag = "A0"
        var logins = 0
        repeat(STEPS) {
            val said = if (chance.nextFloat() < 0.1) serverSays.random(chance) else ""
            val step = when {
                right.isNotEmpty() && chance.nextFloat() < 0.4 -> right.removeFirst().let { twins.call { one -> one.receive(wire(it, tag)) } }
                chance.nextBoolean() -> twins.call { it.tlsEstablished() }
                chance.nextFloat() < 0.05 -> twins.call { it.closed() }
                else -> twins.call { it.receive(wire(said, tag)) }
            }
            tag = tagOf(step?.send ?: ByteArray(0), tag)
            if (step?.next is Next.Done) logins++
        }
        twins to logins
    }

    @Test
    fun `a watch takes any call`() {
        for (protocol in MailProtocol.entries) repeat(LIVES) { life ->
            val chance = Random(life)
            val twins = Twins(Watch(protocol), Watch(protocol)) { it.aftermath() to it.isQuiet() }
            repeat(STEPS) {
                val (heard, said) = serverSays.random(chance) to clientSays.random(chance)
                val octets = (numbers + listOf(6UL)).random(chance)
                when (chance.nextInt(8)) {
                    0, 1, 2 -> twins.call { it.received(wire(heard, "A1")) }
                    3, 4, 5 -> twins.call { it.sent(wire(said)) }
                    6 -> twins.call { it.skipped(octets) }
                    else -> twins.call { it.closed() }
                }
            }
        }
    }

    @Test
    fun `a session is unharmed by calls that are refused`() = lives { protocol, chance ->
        val config = SessionConfig(config(protocol, Tls.entries.random(chance)))
        val seed = chance.nextLong().toULong()
        val twins = Twins(Session(config, seed), Session(config, seed)) {
            listOf(it.status(), it.snapshot(), it.aftermath(), it.isQuiet())
        }
        val host = Host(chance, twins, goesWell.getValue(protocol))
        repeat(STEPS * 2) { host.step() }
        twins to host.online
    }

    /** Answers the orders of a session, mostly as it should. */
    private inner class Host(
        private val chance: Random,
        private val twins: Twins<Session>,
        private val well: List<String>,
    ) {
        private val right = ArrayDeque<(Session, ULong) -> Plan>(listOf({ one, now -> one.handle(now, Input.Start) }))
        private var answers = listOf<String>()
        private var known = numbers
        private var tag = "A0"
        private var now = 1_000UL
        var online = 0

        fun step() {
            now += listOf(0UL, 1UL, 50UL, 50UL, 1_000UL, 60_000UL, 4_000_000UL).random(chance)
            // Time that goes backwards does not, inside.
            val time = if (chance.nextFloat() < 0.9) now else (numbers - ULong.MAX_VALUE + (now - 1_000UL)).random(chance)
            val rightCall = if (chance.nextFloat() < 0.6) right.removeFirstOrNull() else null
            val call = rightCall ?: anyCall()
            twins.call { call(it, time) }?.actions?.forEach(::obey)
        }

        private fun anyCall(): (Session, ULong) -> Plan {
            val number = known.random(chance)
            val (heard, said) = wireOf(serverSays) to wireOf(clientSays)
            val line = listOf("* BYE Session expired", "421 bye", "-ERR", "", "x".repeat(5_000), "\u0000").random(chance)
            val kind = chance.nextInt(16)
            val token = AccessToken("t".repeat(40))
            return { one, time ->
                when (kind) {
                    0 -> one.handle(time, Input.Start)
                    1 -> one.handle(time, Input.Stop)
                    2 -> one.handle(time, Input.Tick)
                    3 -> one.handle(time, Input.Woke)
                    4 -> one.handle(time, Input.Token(number, token, number))
                    5 -> one.handle(time, Input.TokenFailed(number, number == 1UL))
                    6 -> one.handle(time, Input.Connected(number))
                    7 -> one.handle(time, Input.TlsEstablished(number))
                    8 -> one.handle(time, Input.Ended(number, line, null))
                    9 -> one.handle(time, Input.Authenticated(number))
                    10 -> one.handle(time, Input.Refused(number, line))
                    11 -> one.handle(time, Input.Line(number, line))
                    12 -> one.handle(time, Input.Drained(number))
                    13 -> one.receive(time, number, direct(heard))
                    14 -> one.sent(number, direct(said)).let { one.handle(time, Input.Tick) }
                    else -> one.skipped(number, number).let { one.handle(time, Input.Tick) }
                }
            }
        }

        private fun wireOf(says: List<String>): ByteArray = says.random(chance).replace("%TAG%", tag).toByteArray(text)

        private fun receive(ticket: ULong, said: String) {
            val octets = said.replace("%TAG%", tag).toByteArray(text)
            right += { one, now -> one.receive(now, ticket, direct(octets)) }
        }

        private fun answer(input: Input) {
            right += { one, now -> one.handle(now, input) }
        }

        private fun obey(action: Action) {
            when (action) {
                is Action.FetchToken -> {
                    known = known + action.request
                    val lives = listOf(null, 60_000UL, 3_600_000UL).random(chance)
                    answer(Input.Token(action.request, AccessToken("t${action.request}" + "x".repeat(40)), lives))
                }
                is Action.Connect -> {
                    known = known + action.ticket
                    answer(Input.Connected(action.ticket))
                    receive(action.ticket, well.first())
                    answers = well.drop(1)
                }
                is Action.Send -> {
                    tag = tagOf(action.bytes, tag)
                    receive(action.ticket, answers.firstOrNull() ?: serverSays.random(chance))
                    answers = answers.drop(1)
                }
                is Action.StartTls -> answer(Input.TlsEstablished(action.ticket))
                is Action.Online -> online++
                is Action.Renew -> answer(Input.Drained(action.ticket))
                is Action.Close, is Action.NeedsUser, is Action.GiveUp -> Unit
            }
        }
    }

    @Test
    fun `the comparison sees a difference`() {
        val config = config(MailProtocol.IMAP, Tls.IMPLICIT)
        fun greeted() = AccessToken("t".repeat(40)).use { Negotiation(config, it) }.receive(wire("* OK hi\r\n"))
        assertEquals(facts(greeted()), facts(greeted()))
        val other = greeted().copy(sensitive = true)
        assertIs<Pair<*, *>>(facts(other))
        assertTrue(facts(greeted()) != facts(other))
    }

    private companion object {
        const val LIVES = 8
        const val STEPS = 40
    }
}
