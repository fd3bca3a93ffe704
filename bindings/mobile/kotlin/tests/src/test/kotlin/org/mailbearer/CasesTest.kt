package org.mailbearer

import java.util.Base64
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive

/** That the runner of the cases can fail. `make cases` runs them all. */
class CasesTest {
    private val case = loadCases().first { it.getValue("id").jsonPrimitive.content == "imap-tamper-c01" }

    @Test
    fun `a case holds`() {
        assertNull(runCase(case))
    }

    @Test
    fun `the runner sees a case that does not hold`() {
        val changes = listOf(
            """{"outcome": "preauthenticated"}""",
            """{"token_on_wire": "never"}""",
            """{"steps": [{"server": "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n"}, {"client": "^LOGIN"}]}""",
        )
        for (change in changes) {
            assertNotNull(runCase(JsonObject(case + Json.parseToJsonElement(change).jsonObject)), change)
        }
    }

    @Test
    fun `the runner sees an account that does not do as the case says, also in the driver`() {
        val account = loadCases().first { it.getValue("id").jsonPrimitive.content == "account-login-imap" }
        assertNull(runCase(account))
        val text = account.toString()
        for ((right, wrong) in listOf("give 1 1" to "give 1 2", "open 1 1" to "open 2 1", "\"given\"" to "\"stopped\"")) {
            val changed = Json.parseToJsonElement(text.replace(right, wrong)).jsonObject
            assertFailsWith<CaseFailed>("$wrong, machine") { AccountPlayer(changed).use { it.play(Cut.Whole) } }
            assertFailsWith<CaseFailed>("$wrong, driver") { DriverPlayer(changed).use { it.play(Cut.Whole) } }
        }
    }

    @Test
    fun `the check for leaks sees a leak`() {
        val token = aToken(100)
        assertFailsWith<CaseFailed> { LeakCheck(token).check(token) }
        for (before in listOf("", "a", "ab")) {
            val encoded = Base64.getEncoder().encodeToString("$before$token".encodeToByteArray())
            assertFailsWith<CaseFailed> { LeakCheck(token).check(encoded) }
        }
    }

    @Test
    fun `an exception is one still`() {
        val argued = loadExceptions()
        val known = loadCases().filter { it.getValue("id").jsonPrimitive.content in argued }
        assertEquals(emptyList(), known.filter { runCase(it) == null })
    }
}
