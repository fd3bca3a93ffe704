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

/** An access token as a source gives it, and how long it still lives, where that is known. */
class Token(val value: String, val expiresIn: Duration? = null) {
    /** Never the token. */
    override fun toString(): String = "Token(${value.length} characters, expiresIn=$expiresIn)"
}

/**
 * Where access tokens come from: asked at every login. With `forceRefresh` a cached token is of no use, because the server
 * has refused it.
 *
 * A source that will not have a token before the user acts throws [TokenSourceException] with `permanent`; whatever else it
 * throws is taken for an outage, and it is asked again later. Calls of one source do not overlap: requests that come while
 * one runs are joined to it, also those of other connections and sessions. Only a call that somebody gave up is not joined
 * any more: it may never answer. A source may block its thread.
 */
fun interface TokenSource {
    /** Gets a token. */
    suspend fun token(forceRefresh: Boolean): Token
}

/** The same token for ever: its logins end with its hour. */
fun fixedToken(value: String): TokenSource = FixedToken(Token(value))

internal class FixedToken(private val fixed: Token) : TokenSource {
    override suspend fun token(forceRefresh: Boolean): Token = fixed
}

/** A token as the source gave it, and as the machine has checked it. */
internal class CheckedToken(val given: Token, val token: AccessToken) {
    val expiresInMs: ULong? get() = given.expiresIn?.coerceAtLeast(ZERO)?.inWholeMilliseconds?.toULong()
}

/** A source whose calls do not overlap. It is the same one for the same [TokenSource], as long as it is in use. */
internal class JoinedTokens private constructor(private val source: TokenSource) {
    val canRefresh: Boolean get() = source !is FixedToken

    private class Flight(val bypasses: Boolean, val result: Deferred<CheckedToken>) {
        var waiting = 0
    }

    private var flight: Flight? = null
    @Volatile private var last: AccessToken? = null
    private val calls = CoroutineScope(SupervisorJob() + Dispatchers.IO.limitedParallelism(BLOCKED_CALLS_MAX + 1))

    /** Gets a token, or joins the call that is under way, unless that one may come from a cache and this one must not. */
    suspend fun get(forceRefresh: Boolean): CheckedToken {
        val joined = synchronized(this) { join(forceRefresh).also { it.waiting++ } }
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
    suspend fun get(forceRefresh: Boolean, timeout: Duration): CheckedToken =
        withTimeoutOrNull(timeout) { get(forceRefresh) }
            ?: throw TokenSourceException("the token source did not answer in time")

    private fun join(forceRefresh: Boolean): Flight {
        val running = flight?.takeIf { it.result.isActive }
        if (running != null && (running.bypasses || !forceRefresh)) return running
        val call = calls.async(start = CoroutineStart.LAZY) {
            joinAll(*listOfNotNull(running?.result).toTypedArray())
            call(forceRefresh)
        }
        return Flight(forceRefresh, call).also { flight = it }
    }

    private suspend fun call(forceRefresh: Boolean): CheckedToken {
        val token =
            try {
                source.token(forceRefresh)
            } catch (error: CancellationException) {
                // A timeout of the source's own is an outage; a call that nobody waits for ends here.
                currentCoroutineContext().ensureActive()
                throw TokenSourceException("the token source gave up: ${said(error)}", cause = error)
            } catch (error: TokenSourceException) {
                throw error
            } catch (error: Exception) {
                throw TokenSourceException("the token source failed: ${said(error)}", cause = error)
            }
        val checked =
            try {
                AccessToken(token.value)
            } catch (error: CoreException.Config) {
                // A token that is none does not get better.
                throw TokenSourceException("the token source gave no token: ${error.message}", permanent = true)
            }
        last = checked
        return CheckedToken(token, checked)
    }

    /** The words of what the source threw, without the token that it gave before, and without what else is secret in OAuth. */
    private fun said(error: Exception): String {
        val words = withoutSecrets(oneLine(error.message)).let { last?.masked(it) ?: it }
        return error.javaClass.simpleName + if (words.isEmpty()) "" else ": $words"
    }

    companion object {
        /** Calls of one source that may block a thread for ever: they must not fill the process with threads. */
        private const val BLOCKED_CALLS_MAX = 4
        private val inUse = WeakHashMap<TokenSource, WeakReference<JoinedTokens>>()

        fun of(source: TokenSource): JoinedTokens =
            synchronized(inUse) {
                inUse[source]?.get() ?: JoinedTokens(source).also { inUse[source] = WeakReference(it) }
            }
    }
}
