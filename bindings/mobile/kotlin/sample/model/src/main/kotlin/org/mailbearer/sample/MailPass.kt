package org.mailbearer.sample

import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.withTimeoutOrNull
import org.mailbearer.Account
import org.mailbearer.AccountOptions
import org.mailbearer.GaveUpException
import org.mailbearer.LoginOptions
import org.mailbearer.MailProtocol
import org.mailbearer.NeedsUserException
import org.mailbearer.SessionConnection
import org.mailbearer.SessionPolicy
import org.mailbearer.TokenSource
import org.mailbearer.newMessages

/** What must outlive the process. Each is stored at once, and whole: a file that is replaced, or `SharedPreferences` with `commit`. */
interface Store {
    /** Of [Account.snapshot]: stops, waits, limits. No secret. */
    var snapshot: ByteArray?

    /** Where the notifier stands in the mailbox. */
    var cursor: String?
}

/** What came of a pass. */
sealed interface Outcome {
    /** All that was new has been told. */
    data class UpToDate(val messages: Int) : Outcome

    /** Nothing goes on before a person acts: no pass is worth its battery until then. */
    data class NeedsUser(val sentence: String) : Outcome

    /** It did not work this time: the account knows how long to wait, also in the next process. */
    data class Later(val sentence: String) : Outcome
}

/**
 * One pass over the inbox, for a worker that a push or a period has woken: it restores the account, tells what is new, and stores where
 * it stands. Where the account has stopped, it says so without a login; where it waits after failures, it waits for the rest of it.
 */
class MailPass(
    private val user: String,
    private val tokens: TokenSource,
    private val store: Store,
    private val options: LoginOptions = LoginOptions(),
    private val atMost: Duration = 2.minutes,
) {
    /** Runs it. [retry]: a person has acted since. [tell] is told messages, and those once more whose end the process did not live to see. */
    suspend fun run(retry: Boolean = false, tell: suspend (List<Headline>) -> Unit): Outcome {
        lateinit var account: Account
        account = Account(user, tokens, AccountOptions {
            snapshot = store.snapshot
            policy = SessionPolicy { first = 30.seconds }
            // At each event: the system may kill the process at any moment.
            onEvent = { store.snapshot = account.snapshot() }
        })
        return account.use {
            if (retry) it.retry()
            try {
                withTimeoutOrNull(atMost) { pass(it, tell) } ?: Outcome.Later("It took longer than $atMost.")
            } catch (stop: NeedsUserException) {
                Outcome.NeedsUser(stop.failure.sentence)
            } catch (failed: GaveUpException) {
                Outcome.Later(failed.failure.sentence)
            } finally {
                store.snapshot = it.snapshot()
            }
        }
    }

    private suspend fun pass(account: Account, tell: suspend (List<Headline>) -> Unit): Outcome {
        var messages = 0
        var isThrough = false
        val sessions = account.sessions(MailProtocol.IMAP, options)
        // A connection that ends on the way is followed by another.
        while (!isThrough) {
            sessions.first().use { connection ->
                messages += tellNew(connection, tell)
                isThrough = connection.verdict == null
            }
        }
        return Outcome.UpToDate(messages)
    }

    private suspend fun tellNew(connection: SessionConnection, tell: suspend (List<Headline>) -> Unit): Int {
        var messages = 0
        connection.newMessages("INBOX", since = store.cursor, readOnly = true, waits = false).collect { new ->
            val headlines = headlines(new.uids, connection)
            if (headlines.isNotEmpty()) tell(headlines)
            store.cursor = new.cursor
            messages += headlines.size
        }
        return messages
    }
}
