package org.mailbearer

import jakarta.mail.MessagingException
import jakarta.mail.Store
import java.nio.file.Files
import java.nio.file.Path
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch

/** The examples of the pages, as they stand: they are compiled here, and compared with the pages. */
class ReadmeTest {
    @Test
    fun `every whole example of the pages is compiled here`() {
        val root = Path.of(System.getProperty("mailbearer.root", "../../../.."))
        val here = lines(Files.readString(root.resolve("$TESTS/ReadmeTest.kt")))
        for (page in listOf("README.md", "bindings/mobile/kotlin/README.md")) {
            val examples = Regex("```kotlin\n(.*?)```", RegexOption.DOT_MATCHES_ALL).findAll(Files.readString(root.resolve(page)))
            // An ellipsis stands for what is the reader's own.
            val whole = examples.map { it.groupValues[1] }.filterNot { "…" in it }.toList()
            assertTrue(whole.isNotEmpty(), page)
            for (example in whole) assertContains(here, lines(example), message = page)
        }
    }

    /** Without indentation, imports and empty lines. */
    private fun lines(text: String): String =
        text.lines().map { it.trim() }.filterNot { it.isEmpty() || it.startsWith("import ") }.joinToString("\n")

    private object myAuth {
        class Fresh(val text: String, val secondsLeft: Int)

        suspend fun accessToken(forceRefresh: Boolean) = Fresh(if (forceRefresh) "new" else "cached", 3_600)
    }

    @Suppress("unused")
    private suspend fun first(source: TokenSource) {
        sessions(MailProtocol.IMAP, "joe@gmail.com", source).collect { connection ->
            connection.use {
                connection.writeLine("A1 SELECT INBOX")
                connection.wait()
            }
        }
    }

    @Suppress("unused")
    private suspend fun ofKotlin() {
        // Asked when a login needs a token. forceRefresh: a cached one is of no use, for the server has refused it.
        val source = TokenSource { forceRefresh ->
            val fresh = myAuth.accessToken(forceRefresh)
            Token(fresh.text, expiresIn = fresh.secondsLeft.seconds)
        }

        sessions(MailProtocol.IMAP, "joe@gmail.com", source).collect { connection ->
            connection.use {
                connection.writeLine("A1 SELECT INBOX")
                // Speak IMAP, and let go when the session is due: connection.wait() returns then, connection.renewBy says until when.
            }
            // The end of the session is no error here: the next connection comes, with what was in flight in `resumed`.
        }
    }

    @Suppress("unused")
    private suspend fun waiting(source: TokenSource, store: Cursors, fetch: suspend (List<UInt>, SessionConnection) -> Unit) {
        sessions(MailProtocol.IMAP, "joe@gmail.com", source).collect { connection ->
            connection.use {
                connection.newMessages("INBOX", since = store.cursor).collect { new ->
                    fetch(new.uids, connection)
                    store.cursor = new.cursor
                }
            }
        }
    }

    private class Cursors(var cursor: String?)

    private suspend fun watch(connection: SessionConnection) = connection.writeLine("A1 NOOP")

    private suspend fun send(connection: SessionConnection) = connection.writeLine("NOOP")

    @Suppress("unused")
    private suspend fun several(source: TokenSource) {
        Account("joe@gmail.com", source).use { account ->
            coroutineScope {
                launch { account.sessions(MailProtocol.IMAP).collect { it.use { connection -> watch(connection) } } }
                launch { account.sessions(MailProtocol.SMTP).collect { it.use { connection -> send(connection) } } }
            }
        }
    }

    @Suppress("unused")
    private suspend fun told(source: TokenSource) {
        try {
            connect(MailProtocol.IMAP, "joe@gmail.com", source, LoginOptions(host = "imap.gmial.com"))
        } catch (error: LoginFailedException) {
            println(error.message) // The host name has no address (imap.gmial.com: Name or service not known). And what to do.
            println(error.failure.cause) // HOST_NOT_FOUND
            println(error.cause) // java.net.UnknownHostException: imap.gmial.com: Name or service not known
        }
    }

    @Suppress("unused")
    private fun explained(store: Store, host: String, user: String, token: String, refreshToken: () -> Unit) {
        try {
            store.connect(host, user, token)
        } catch (error: MessagingException) {
            val failure = explain(error, MailProtocol.IMAP, user, host)
            println(failure.sentence)
            if (failure.advice == Advice.REFRESH_TOKEN) refreshToken()
        }
    }

    private companion object {
        const val TESTS = "bindings/mobile/kotlin/tests/src/test/kotlin/org/mailbearer"
    }
}
