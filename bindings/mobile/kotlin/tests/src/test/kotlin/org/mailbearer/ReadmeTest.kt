package org.mailbearer

import android.app.PendingIntent
import android.content.Context
import android.net.Network
import androidx.credentials.Credential
import androidx.credentials.CredentialManager
import androidx.credentials.GetCredentialRequest
import androidx.credentials.GetCredentialResponse
import com.google.android.gms.auth.api.identity.AuthorizationClient
import com.google.android.gms.auth.api.identity.AuthorizationRequest
import com.google.android.gms.auth.api.identity.ClearTokenRequest
import com.google.android.gms.auth.api.identity.FakeAuthorization
import com.google.android.gms.common.api.Scope
import com.google.android.libraries.identity.googleid.GetGoogleIdOption
import com.google.android.libraries.identity.googleid.GoogleIdTokenCredential
import com.microsoft.identity.client.AcquireTokenSilentParameters
import com.microsoft.identity.client.IAccount
import com.microsoft.identity.client.IAuthenticationResult
import com.microsoft.identity.client.IPublicClientApplication
import com.microsoft.identity.client.exception.MsalUiRequiredException
import jakarta.mail.MessagingException
import jakarta.mail.Store
import jakarta.mail.internet.MimeMessage
import java.net.InetAddress
import java.nio.file.Files
import java.nio.file.Path
import javax.net.SocketFactory
import kotlin.coroutines.resume
import kotlin.coroutines.resumeWithException
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.suspendCancellableCoroutine
import kotlinx.coroutines.tasks.await
import kotlinx.coroutines.test.runTest
import net.openid.appauth.AuthState
import net.openid.appauth.AuthorizationException
import net.openid.appauth.AuthorizationService
import org.mailbearer.angus.smtpTransport
import org.mailbearer.testing.Server
import org.slf4j.LoggerFactory
import org.slf4j.event.Level

/** The examples of the pages, as they stand: they are compiled here, and compared with the pages. */
class ReadmeTest {
    @Test
    fun `every whole example of the pages is compiled here`() {
        val root = Path.of(System.getProperty("mailbearer.root", "../../../.."))
        val here = lines(Files.readString(root.resolve("$TESTS/ReadmeTest.kt")))
        for (page in listOf("README.md", "bindings/mobile/kotlin/README.md")) {
            val examples = Regex("```kotlin\n(.*?)```", RegexOption.DOT_MATCHES_ALL).findAll(Files.readString(root.resolve(page)))
            // An ellipsis stands for what is the reader's own.
            val whole = examples.map { it.groupValues[1].replace("mailbox: Account)", "mailbox: android.accounts.Account)") }.filterNot { "…" in it }.toList()
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

    private class Kept(var snapshot: ByteArray?, var cursor: String?)

    @Suppress("unused")
    private suspend fun onePass(user: String, tokens: TokenSource, store: Kept, notify: suspend (List<UInt>) -> Unit) {
        lateinit var account: Account
        account = Account(user, tokens, AccountOptions {
            snapshot = store.snapshot
            // At each event: the process may not live to its end.
            onEvent = { store.snapshot = account.snapshot() }
        })
        account.sessions(MailProtocol.IMAP).first().use { connection ->
            connection.newMessages(since = store.cursor, waits = false).collect { new ->
                notify(new.uids)
                store.cursor = new.cursor
            }
        }
        account.close()
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
            connect(MailProtocol.IMAP, "joe@gmail.com", source, LoginOptions { host = "imap.gmial.com" })
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

    @Suppress("unused")
    suspend fun send(messages: List<MimeMessage>, account: Account) =
        account.sessions(MailProtocol.SMTP).first().use { connection ->
            smtpTransport(connection).use { transport ->
                for (message in messages) transport.sendMessage(message.apply { saveChanges() }, message.allRecipients)
            }
        }

    fun whatToDo(error: MailbearerException): String = when (error) {
        is NeedsUserException -> "ask the person, then account.retry(): ${error.message}"
        is GaveUpException -> "it does not work as it is set, or not now: ${error.failure.sentence}"
        is LoginFailedException -> "this login did not work: ${error.failure.cause}, ${error.failure.advice}"
        is SessionEndedException -> "collect goes on with the next connection: ${error.verdict.cause}"
        is TokenSourceException -> "there is no token: ${error.cause ?: error.message}"
        is MailboxRefusedException -> "this mailbox cannot be followed: ${error.message}"
        is ConfigException -> "mend the settings: ${error.message}"
        is MisuseException, is CoreException -> "mend the program: ${error.message}"
    }

    @Test
    fun `what is to be done is told of each`() {
        val error = runCatching { sessions(MailProtocol.IMAP, "joe", { Token("t") }) }.exceptionOrNull() as MailbearerException
        assertContains(whatToDo(error), "mend the settings: host is missing")
    }

    // ---- Tests of a program ------------------------------------------------------------------------------------------

    @Test
    fun `new mail is told, also after the token's end`() = runTest {
        Server(tokenLifetime = 3.seconds, messages = 0).use { server ->
            val source = TokenSource { Token(server.issueToken("joe@gmail.com"), expiresIn = 3.seconds) }
            val told = mutableListOf<UInt>()
            var cursor: String? = null
            sessions(MailProtocol.IMAP, "joe@gmail.com", source, server.at(MailProtocol.IMAP)).take(2).collect { connection ->
                connection.use {
                    connection.newMessages(since = cursor).collect { new ->
                        told += new.uids
                        cursor = new.cursor
                        if (new.uids.isEmpty()) server.deliver("joe@gmail.com", "Subject: lunch\r\n\r\nOn Friday?\r\n")
                    }
                }
            }
            assertEquals(listOf(1U), told)
        }
    }

    @Test
    fun `an account that is disabled asks for a person`() = runTest {
        Server().use { server ->
            server.refuse(Cause.ACCOUNT_DISABLED)
            Account("joe@gmail.com", { Token(server.issueToken("joe@gmail.com")) }).use { account ->
                val error = assertFailsWith<NeedsUserException> { account.sessions(MailProtocol.IMAP, server.at(MailProtocol.IMAP)).first() }
                assertEquals(Cause.ACCOUNT_DISABLED, error.failure.cause)
            }
        }
    }

    private companion object {
        const val TESTS = "bindings/mobile/kotlin/tests/src/test/kotlin/org/mailbearer"
    }

    // ---- Where tokens come from --------------------------------------------------------------------------------------

    suspend fun AuthState.fresh(service: AuthorizationService): Token = suspendCancellableCoroutine { answer ->
        performActionWithFreshTokens(service) { token, _, error ->
            val lives = accessTokenExpirationTime?.let { (it - System.currentTimeMillis()).milliseconds }
            if (token != null) answer.resume(Token(token, lives))
            else answer.resumeWithException(failureOf(error))
        }
    }

    // What the token endpoint refuses, a person must mend; without a network it is an outage.
    fun failureOf(error: AuthorizationException?): Exception {
        val isRefusal = error?.type == AuthorizationException.TYPE_OAUTH_TOKEN_ERROR
        return TokenSourceException("${error?.error}: ${error?.errorDescription}", permanent = isRefusal, cause = error)
    }

    fun appAuth(state: AuthState, service: AuthorizationService) = TokenSource { forceRefresh ->
        if (forceRefresh) state.needsTokenRefresh = true
        // Store state.jsonSerializeString() afterwards: a refresh token may be a new one each time.
        state.fresh(service)
    }

    fun msal(app: IPublicClientApplication, account: IAccount) = TokenSource { forceRefresh ->
        val parameters = AcquireTokenSilentParameters.Builder()
            .forAccount(account)
            .fromAuthority(account.authority)
            .withScopes(listOf("https://outlook.office.com/IMAP.AccessAsUser.All", "https://outlook.office.com/SMTP.Send"))
            .forceRefresh(forceRefresh)
            .build()
        try {
            // It blocks, as a source may.
            val result = app.acquireTokenSilent(parameters)
            Token(result.accessToken, (result.expiresOn.time - System.currentTimeMillis()).milliseconds)
        } catch (error: MsalUiRequiredException) {
            throw TokenSourceException("${error.errorCode}: ${error.message}", permanent = true, cause = error)
        }
    }

    class GoogleTokens(private val client: AuthorizationClient, private val mailbox: android.accounts.Account) : TokenCache {
        override suspend fun token(): Token {
            val request = AuthorizationRequest.builder()
                .setRequestedScopes(listOf(Scope("https://mail.google.com/")))
                .setAccount(mailbox)
                .build()
            val result = client.authorize(request).await()
            if (result.hasResolution()) throw TokenSourceException("Google asks for consent", permanent = true, ConsentNeeded(result.pendingIntent))
            return Token(result.accessToken ?: throw TokenSourceException("Google gave no token"))
        }

        override suspend fun clear(token: Token) {
            client.clearToken(ClearTokenRequest.builder().setToken(token.value).build()).await()
        }
    }

    // NeedsUserException.cause has it: start it, and say account.retry() when it is done.
    class ConsentNeeded(val screen: PendingIntent?) : Exception("a person must consent")

    suspend fun chosenMailbox(manager: CredentialManager, activity: Context, serverClientId: String): String {
        val option = GetGoogleIdOption.Builder()
            .setServerClientId(serverClientId)
            .setFilterByAuthorizedAccounts(false)
            .build()
        val request = GetCredentialRequest.Builder().addCredentialOption(option).build()
        return GoogleIdTokenCredential.createFrom(manager.getCredential(activity, request).credential.data).id
    }

    class BoundTo(private val network: Network) : MailNetwork {
        override fun addressesOf(host: String): List<InetAddress> = network.getAllByName(host).toList()

        override val socketFactory: SocketFactory get() = network.socketFactory
    }

    @Suppress("unused")
    private fun logged(): EventLogger {
        val slf4j = LoggerFactory.getLogger("mailbearer")
        val logger = EventLogger { level, line -> slf4j.atLevel(Level.valueOf(level.name)).log(line) }
        return logger
    }

    private fun load(user: String): ByteArray? = if (user.isEmpty()) ByteArray(0) else null

    private fun show(user: String, event: SessionEvent) = println("$user: ${event.kind}")

    suspend fun follow(mailboxes: Map<String, TokenSource>) = coroutineScope {
        for ((user, source) in mailboxes) launch {
            val options = AccountOptions {
                snapshot = load(user)
                onEvent = { event -> show(user, event) }
            }
            Account(user, source, options).use { account ->
                account.sessions(MailProtocol.IMAP).collect { it.use { connection -> watch(connection) } }
            }
        }
    }

    @Test
    fun `Google's cache is told which token was refused, and a screen of consent comes to the program`() = runBlocking<Unit> {
        val client = FakeAuthorization()
        val cache = GoogleTokens(client, android.accounts.Account("joe@gmail.com", "com.google"))
        val source = tokenSource(cache)
        val first = source.token(forceRefresh = false)
        assertEquals("ya29.1", first.value)
        assertEquals("ya29.1", source.token(forceRefresh = false).value)
        assertEquals("ya29.2", source.token(forceRefresh = true, refused = first).value)
        assertEquals(listOf("ya29.1"), client.cleared)
        assertEquals(listOf("https://mail.google.com/"), client.scopes)
        // One that is about to expire was refused by nobody: it is the one that was given last.
        assertEquals("ya29.3", source.token(forceRefresh = true).value)
        client.screen = PendingIntent()
        val error = assertFailsWith<TokenSourceException> { source.token(forceRefresh = false) }
        assertTrue(error.permanent)
        assertEquals(client.screen, (error.cause as ConsentNeeded).screen)
    }

    @Test
    fun `the mail address comes from Credential Manager`() = runBlocking<Unit> {
        val manager = object : CredentialManager {
            override suspend fun getCredential(context: Context, request: GetCredentialRequest): GetCredentialResponse {
                assertEquals("client.apps.example", (request.credentialOptions.single() as GetGoogleIdOption).serverClientId)
                return GetCredentialResponse(Credential("joe@gmail.com"))
            }
        }
        assertEquals("joe@gmail.com", chosenMailbox(manager, Context(), "client.apps.example"))
    }

    @Test
    fun `what AppAuth and MSAL say is judged`() = runBlocking<Unit> {
        val state = AuthState()
        val source = appAuth(state, AuthorizationService())
        assertEquals("ya29.token", source.token(forceRefresh = true).value)
        assertTrue(state.needsTokenRefresh)
        for ((type, isPermanent) in listOf(AuthorizationException.TYPE_OAUTH_TOKEN_ERROR to true, 0 to false)) {
            state.answer = { execute(null, null, AuthorizationException(type, "invalid_grant", "it was revoked")) }
            val error = assertFailsWith<TokenSourceException> { source.token(forceRefresh = false) }
            assertEquals(isPermanent, error.permanent)
            assertContains(error.message.orEmpty(), "invalid_grant: it was revoked")
        }
        val account = object : IAccount {
            override val authority = "https://login.microsoftonline.com/common"
        }
        val asks = object : IPublicClientApplication {
            override fun acquireTokenSilent(parameters: AcquireTokenSilentParameters): IAuthenticationResult =
                throw MsalUiRequiredException("invalid_grant", "AADSTS50173: the grant was revoked")
        }
        val error = assertFailsWith<TokenSourceException> { msal(asks, account).token(forceRefresh = false) }
        assertTrue(error.permanent)
        assertContains(error.message.orEmpty(), "AADSTS50173")
    }
}
