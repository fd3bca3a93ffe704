package org.mailbearer

import java.lang.ref.WeakReference
import java.util.WeakHashMap
import kotlin.time.Duration
import kotlin.time.Duration.Companion.ZERO
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.async
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.joinAll
import kotlinx.coroutines.withTimeoutOrNull
import org.mailbearer.machine.AccessToken
import org.mailbearer.machine.NoToken
import org.mailbearer.machine.redactSource

/** An access token as a source gives it, and how long it still lives, where that is known. */
public class Token(public val value: String, public val expiresIn: Duration? = null) {
    /** Never the token. */
    override fun toString(): String = "Token(${value.length} characters, expiresIn=$expiresIn)"
}

/**
 * Where access tokens come from: asked when a login needs one, once for all sessions of an account. With `forceRefresh` a
 * cached token is of no use.
 *
 * What it throws is judged so:
 * - [TokenSourceException] with `permanent`: a person must act, as with OAuth's `invalid_grant`; its message is shown.
 * - A programming error ([NullPointerException], [ClassCastException], [IndexOutOfBoundsException], [ArithmeticException],
 *   [UninitializedPropertyAccessException], [UnsupportedOperationException], any [Error]), or a token that is none: a
 *   [MisuseException] with it as cause comes to the program at once.
 * - Whatever else: an outage; it is asked again later.
 *
 * Calls of one source do not overlap: requests that come while one runs are joined to it, also those of other connections
 * and accounts. Only a call that somebody gave up is not joined any more: it may never answer. A source may block its thread.
 */
public fun interface TokenSource {
    /** Gets a token. */
    public suspend fun token(forceRefresh: Boolean): Token

    /**
     * The same, for sources that must be told which token a server would not take, as Android's `clearToken`: with
     * `forceRefresh`, [refused] is that token, if there is one.
     */
    public suspend fun token(forceRefresh: Boolean, refused: Token?): Token = token(forceRefresh)
}

/** A source of the same token for ever: its logins end with its hour. */
public fun fixedToken(value: String): TokenSource = FixedToken(Token(value))

/**
 * What keeps access tokens by itself, and gives the same one until it is told that it is of no use: Google's `AuthorizationClient`,
 * Android's `AccountManager`. [tokenSource] makes a source of it.
 */
public interface TokenCache {
    /** Gets a token, from the cache or a new one. What it throws is judged as of a [TokenSource]. */
    public suspend fun token(): Token

    /** Takes a token out of the cache, as with `clearToken` or `invalidateAuthToken`: the next one is another. */
    public suspend fun clear(token: Token)
}

/**
 * A source over a cache. The token that a server refused is cleared, and with it no other; where none was refused, and a new one is
 * wanted, the one that was given last.
 */
public fun tokenSource(cache: TokenCache): TokenSource = CachedTokens(cache)

private class CachedTokens(private val cache: TokenCache) : TokenSource {
    @Volatile private var last: Token? = null

    override suspend fun token(forceRefresh: Boolean): Token = token(forceRefresh, refused = null)

    override suspend fun token(forceRefresh: Boolean, refused: Token?): Token {
        if (forceRefresh) (refused ?: last)?.let { cache.clear(it) }
        return cache.token().also { last = it }
    }
}

internal class FixedToken(private val fixed: Token) : TokenSource {
    override suspend fun token(forceRefresh: Boolean): Token = fixed
}

/** A token as the source gave it, and as the machine has checked it. */
internal class CheckedToken(val given: Token, val token: AccessToken) {
    val expiresInMs: ULong? get() = given.expiresIn?.coerceAtLeast(ZERO)?.inWholeMilliseconds?.toULong()
}

/** What an account is told by its source. */
internal sealed interface Answer {
    class Came(val token: CheckedToken) : Answer

    /** With the source's words, and its own error. */
    class None(val why: NoToken, val words: String, val error: Throwable) : Answer
}

/** Where a driver asks for tokens. */
internal interface Tokens {
    /** Asks for an account. [refused] is a token that a server would not take. */
    suspend fun answer(forceRefresh: Boolean, refused: AccessToken?): Answer

    /** What else is to be said of a failure: of a token that was given as a text. */
    fun about(failure: Failure): Failure = failure
}

/** A source whose calls do not overlap. It is the same one for the same [TokenSource], as long as it is in use. */
internal class JoinedTokens private constructor(private val source: TokenSource) : Tokens {
    val canRefresh: Boolean get() = source !is FixedToken

    private class Flight(val bypasses: Boolean, val result: Deferred<CheckedToken>) {
        var waiting = 0
    }

    private var flight: Flight? = null
    @Volatile private var last: CheckedToken? = null
    private val calls = CoroutineScope(SupervisorJob() + Dispatchers.IO.limitedParallelism(BLOCKED_CALLS_MAX + 1))

    override suspend fun answer(forceRefresh: Boolean, refused: AccessToken?): Answer =
        try {
            Answer.Came(get(forceRefresh, refused))
        } catch (error: TokenSourceException) {
            Answer.None(error.why, error.words, error.cause.takeIf { error.message != error.words } ?: error)
        }

    /** Gets a token, or joins the call that is under way, unless that one may come from a cache and this one must not. */
    suspend fun get(forceRefresh: Boolean, refused: AccessToken? = null): CheckedToken {
        val joined = synchronized(this) { join(forceRefresh, refused).also { it.waiting++ } }
        try {
            return joined.result.await()
        } finally {
            synchronized(this) {
                // Somebody gives it up: it may never answer, and nobody is joined to it any more.
                if (joined.result.isActive && flight === joined) flight = null
                // It is cancelled when nobody waits any more.
                if (--joined.waiting == 0) joined.result.cancel()
            }
        }
    }

    /** The same, within this time. */
    suspend fun get(forceRefresh: Boolean, timeout: Duration, refused: AccessToken? = null): CheckedToken =
        withTimeoutOrNull(timeout) { get(forceRefresh, refused) }
            ?: throw TokenSourceException("the token source did not answer in time")

    override fun about(failure: Failure): Failure =
        if (!canRefresh && failure.cause in OF_TOKEN) failure.ofFixedToken() else failure

    private fun join(forceRefresh: Boolean, refused: AccessToken?): Flight {
        val running = flight?.takeIf { it.result.isActive }
        if (running != null && (running.bypasses || !forceRefresh)) return running
        val call = calls.async(start = CoroutineStart.LAZY) {
            joinAll(*listOfNotNull(running?.result).toTypedArray())
            call(forceRefresh, refused)
        }
        return Flight(forceRefresh, call).also { flight = it }
    }

    private suspend fun call(forceRefresh: Boolean, refused: AccessToken?): CheckedToken {
        val token =
            try {
                source.token(forceRefresh, last?.takeIf { refused?.isSame(it.token) == true }?.given)
            } catch (error: CancellationException) {
                // A timeout of the source's own is an outage; a call that nobody waits for ends here.
                currentCoroutineContext().ensureActive()
                throw failed("the token source gave up", NoToken.OUTAGE, error)
            } catch (error: TokenSourceException) {
                val words = masked(error.message)
                throw if (words == error.message) error else TokenSourceException(words, error.why, words, error.cause)
            } catch (error: Throwable) {
                throw failed("the token source failed", if (isMistake(error)) NoToken.MISTAKE else NoToken.OUTAGE, error)
            }
        val checked =
            try {
                AccessToken(token.value)
            } catch (error: CoreException.Config) {
                val words = "the token source gave no token: ${error.message}"
                throw TokenSourceException(words, NoToken.MISTAKE, words, null)
            }
        return CheckedToken(token, checked).also { last = it }
    }

    private fun failed(what: String, why: NoToken, error: Throwable): TokenSourceException {
        val words = error.javaClass.simpleName + masked(error.message).let { if (it.isEmpty()) "" else ": $it" }
        return TokenSourceException("$what: $words", why, words, error)
    }

    /** Words without the token that the source gave before, and without what else may be a secret. */
    private fun masked(words: String?): String =
        words.orEmpty().let { last?.token?.masked(it) ?: it }.let(::redactSource)

    companion object {
        /** Calls of one source that may block a thread for ever: they must not fill the process with threads. */
        private const val BLOCKED_CALLS_MAX = 4
        private val OF_TOKEN = setOf(Cause.TOKEN_REJECTED, Cause.TOKEN_EXPIRED)
        private val inUse = WeakHashMap<TokenSource, WeakReference<JoinedTokens>>()

        fun of(source: TokenSource): JoinedTokens =
            synchronized(inUse) {
                inUse[source]?.get() ?: JoinedTokens(source).also { inUse[source] = WeakReference(it) }
            }
    }
}

/** What no outage throws. */
private fun isMistake(error: Throwable): Boolean =
    when (error) {
        is NullPointerException, is ClassCastException, is IndexOutOfBoundsException, is ArithmeticException,
        is UninitializedPropertyAccessException, is UnsupportedOperationException, is ConfigException, is MisuseException,
        is CoreException, is Error -> true
        else -> false
    }
