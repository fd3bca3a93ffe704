package org.mailbearer

import jakarta.mail.FetchProfile
import jakarta.mail.Flags
import jakarta.mail.Folder
import jakarta.mail.Message
import jakarta.mail.MessagingException
import jakarta.mail.Session
import jakarta.mail.Store
import jakarta.mail.UIDFolder
import jakarta.mail.internet.MimeMessage
import jakarta.mail.search.FlagTerm
import jakarta.mail.search.SubjectTerm
import java.util.Properties
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.eclipse.angus.mail.imap.IMAPFolder
import org.eclipse.angus.mail.imap.IMAPStore
import org.eclipse.angus.mail.pop3.POP3Folder
import org.mailbearer.angus.connectStore
import org.mailbearer.angus.idle
import org.mailbearer.angus.imapStore
import org.mailbearer.angus.smtpTransport
import org.mailbearer.testing.RecipientRefusal
import org.mailbearer.testing.Server

/** What a program does with Angus Mail, over connections of mailbearer's, against the testing server. */
class AngusTest {
    private val user = "joe@gmail.com"
    private val trash = "[Gmail]/Trash"

    private fun tokens(server: Server) = TokenSource { Token(server.issueToken(user), 1.hours) }

    private fun message(to: String) = MimeMessage(Session.getInstance(Properties())).apply {
        setFrom(user)
        setRecipients(Message.RecipientType.TO, to)
        subject = "Grüße"
        setText("Hällo\n.\n", "UTF-8")
    }

    private fun overImap(work: suspend (Server, Store, SessionConnection) -> Unit) = runBlocking {
        Server(messages = 5).use { server ->
            sessions(MailProtocol.IMAP, user, tokens(server), server.at(MailProtocol.IMAP)).take(1).collect { connection ->
                connection.use { imapStore(connection).use { store -> work(server, store, connection) } }
            }
        }
    }

    private fun inboxOf(store: Store) = store.getFolder("INBOX").apply { open(Folder.READ_WRITE) } as IMAPFolder

    @Test
    fun `mail is read, searched, flagged, copied, moved and expunged`() = overImap { server, store, _ ->
        val inbox = inboxOf(store)
        inbox.fetch(inbox.messages, FetchProfile().apply { listOf(FetchProfile.Item.ENVELOPE, FetchProfile.Item.FLAGS, UIDFolder.FetchProfileItem.UID).forEach(::add) })
        assertEquals((1..5).map { "Message $it" }, inbox.messages.map { it.subject })
        assertContains("${inbox.getMessage(1).content}", "This is message 1.")
        assertEquals(listOf(3), inbox.search(SubjectTerm("Message 3")).map { it.messageNumber })
        inbox.getMessage(2).setFlag(Flags.Flag.DELETED, true)
        assertEquals(listOf(2), inbox.search(FlagTerm(Flags(Flags.Flag.DELETED), true)).map { it.messageNumber })
        assertEquals(listOf(2), inbox.expunge().map { it.messageNumber })
        inbox.copyMessages(arrayOf(inbox.getMessage(1)), store.getFolder(trash))
        inbox.moveMessages(arrayOf(inbox.getMessage(1)), store.getFolder(trash))
        assertEquals(2, server.messagesIn(user, trash).size)
        assertEquals(3, server.messages(user).size)
    }

    @Test
    fun `what is asked of other folders goes over the open folder's connection`() = overImap { server, store, _ ->
        val inbox = inboxOf(store)
        // Angus Mail would open a second connection for each of these, and end the store where there is none.
        assertTrue(store.isConnected)
        assertContains(store.defaultFolder.list("*").map { it.fullName }, trash)
        assertEquals(listOf(trash), store.getFolder("[Gmail]").list("Tr%").map { it.fullName })
        assertTrue(store.getFolder(trash).exists())
        assertFalse(store.getFolder("None").exists())
        store.getFolder(trash).appendMessages(arrayOf(message("eve@example.org")))
        assertEquals(1, store.getFolder(trash).messageCount)
        assertEquals(1, store.getFolder(trash).unreadMessageCount)
        assertEquals(0, store.getFolder(trash).newMessageCount)
        assertTrue(store.getFolder("Bills").create(Folder.HOLDS_MESSAGES))
        assertTrue(store.getFolder("Bills").renameTo(store.getFolder("Büro")))
        assertContains(server.mailboxes(user), "Büro")
        assertTrue(store.getFolder("Büro").delete(true))
        assertTrue((store as IMAPStore).hasCapability("IDLE"))
        assertEquals("mailbearer", store.id(mapOf("name" to "test"))?.get("name"))
        assertContains(assertFailsWith<MessagingException> { store.getQuota("INBOX") }.message.orEmpty(), "QUOTA not supported")
        assertEquals(1, server.sessions)
        assertEquals("Message 1", inbox.getMessage(1).subject)
    }

    @Test
    fun `what the one connection cannot do is said, and ends nothing`() = overImap { _, store, _ ->
        val inbox = inboxOf(store)
        val refused = listOf<() -> Any?>(
            { store.getFolder(trash).open(Folder.READ_ONLY) },
            { store.getFolder("INBOX").open(Folder.READ_ONLY) },
            { (store.getFolder(trash) as IMAPFolder).uidValidity },
            { store.personalNamespaces },
        )
        for (call in refused) {
            val error = assertFailsWith<MessagingException> { call() }
            assertContains(error.message.orEmpty(), "only this one, and INBOX has it: close that folder first")
        }
        assertEquals("Message 1", inbox.getMessage(1).subject)
        inbox.close()
        store.getFolder(trash).apply { open(Folder.READ_ONLY) }.close()
        assertEquals(5, store.getFolder("INBOX").messageCount)
    }

    @Test
    fun `a folder in IDLE answers for others, too`() = overImap { server, store, connection ->
        val inbox = inboxOf(store)
        val counts = withTimeout(20.seconds) {
            coroutineScope {
                launch { server.deliver(user, "Subject: new\r\n\r\nx\r\n") }
                idle(inbox, connection).first().messages.map { it.subject } to store.getFolder(trash).messageCount
            }
        }
        assertEquals(listOf("new") to 0, counts)
        assertTrue(store.isConnected)
        assertEquals(6, inbox.messageCount)
    }

    @Test
    fun `mail is sent, and one recipient's refusal ends nothing`() = runBlocking {
        Server().use { server ->
            server.refuseRecipient("none@example.org", RecipientRefusal.UNKNOWN)
            Account(user, tokens(server)).use { account ->
                account.sessions(MailProtocol.SMTP, server.at(MailProtocol.SMTP)).first().use { connection ->
                    smtpTransport(connection).use { transport ->
                        val refused = message("none@example.org").also { it.saveChanges() }
                        val error = assertFailsWith<MessagingException> { transport.sendMessage(refused, refused.allRecipients) }
                        val failure = explain(error, MailProtocol.SMTP)
                        // The login stands, and the reply's code is there to be read.
                        assertEquals(Advice.PROCEED to "550 5.1.1", failure.advice to failure.code)
                        val taken = message("eve@example.org").also { it.saveChanges() }
                        transport.sendMessage(taken, taken.allRecipients)
                    }
                }
            }
            val sent = server.submitted().single()
            assertEquals(user to listOf("eve@example.org"), sent.sender to sent.recipients)
            assertContains(sent.content.decodeToString(), "H=C3=A4llo\r\n.\r\n")
        }
    }

    @Test
    fun `POP3 is read and deleted from`() = runBlocking {
        Server(messages = 2).use { server ->
            connectStore(MailProtocol.POP3, user, tokens(server), server.at(MailProtocol.POP3)).use { store ->
                val inbox = store.getFolder("INBOX").apply { open(Folder.READ_WRITE) } as POP3Folder
                assertEquals(listOf("Message 1", "Message 2"), inbox.messages.map { it.subject })
                assertEquals("1", inbox.getUID(inbox.getMessage(1)))
                inbox.getMessage(1).setFlag(Flags.Flag.DELETED, true)
                inbox.close(true)
            }
            assertContains(server.messages(user).single(), "Subject: Message 2")
        }
    }
}
