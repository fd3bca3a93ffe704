package org.mailbearer

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlin.time.measureTime
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.launch
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.runTest
import org.mailbearer.angus.connectStore
import org.mailbearer.testing.Server

/** In `runTest` time leaps where nothing is to be done: a server and a token source take the time that they take. */
class RunTestTest {
    private val user = "joe@gmail.com"

    private fun test(block: suspend TestScope.(Server) -> Unit) = runTest(timeout = 1.minutes) { Server().use { block(it) } }

    /** It takes a while, in a thread. */
    private fun slow(server: Server) = TokenSource {
        Thread.sleep(300)
        Token(server.issueToken(user))
    }

    @OptIn(ExperimentalCoroutinesApi::class)
    @Test
    fun `a token and a login are not late`() = test { server ->
        val options = server.at(MailProtocol.IMAP).copy { timeout = 20.seconds }
        connect(MailProtocol.IMAP, user, slow(server), options).close()
        connectStore(MailProtocol.IMAP, user, slow(server), options).close()
        val account = AccountOptions { policy = SessionPolicy { tokenTimeout = 20.seconds } }
        sessions(MailProtocol.IMAP, user, slow(server), options, account).take(2).collect { it.use {} }
        assertTrue(testScheduler.currentTime < 1_000)
    }

    @Test
    fun `a wait lasts as long as it is to last`() = test { server ->
        sessions(MailProtocol.IMAP, user, slow(server), server.at(MailProtocol.IMAP)).first().use { connection ->
            var isDue = true
            val took = measureTime { isDue = connection.wait(200.milliseconds) }
            assertFalse(isDue)
            assertTrue(took >= 200.milliseconds, "$took")
        }
    }

    @Test
    fun `waiting for mail does not begin IDLE anew all the time`() = test { server ->
        sessions(MailProtocol.IMAP, user, slow(server), server.at(MailProtocol.IMAP)).first().use { connection ->
            launch {
                while (server.sessions == 0) Thread.sleep(5)
                Thread.sleep(300)
                server.deliver(user, "Subject: x\r\n\r\nx\r\n")
            }
            val told = mutableListOf<NewMessages>()
            connection.newMessages("INBOX").take(2).collect { told += it }
            assertEquals(listOf(0, 1), told.map { it.uids.size })
        }
    }
}
