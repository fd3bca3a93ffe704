package org.mailbearer.sample

import android.content.Context
import kotlin.coroutines.resume
import kotlin.coroutines.resumeWithException
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.suspendCancellableCoroutine
import net.openid.appauth.AuthState
import net.openid.appauth.AuthorizationException
import net.openid.appauth.AuthorizationService
import org.mailbearer.LoginOptions
import org.mailbearer.Token
import org.mailbearer.TokenSource
import org.mailbearer.TokenSourceException

/** Tokens of AppAuth, with the login that is stored; a refresh token may be a new one each time. */
fun tokensOf(context: Context, stored: Stored) = TokenSource { forceRefresh ->
    val login = stored.login ?: throw TokenSourceException("nobody has signed in on this phone", permanent = true)
    if (forceRefresh) login.needsTokenRefresh = true
    val service = AuthorizationService(context)
    try {
        fresh(login, service)
    } finally {
        stored.login = login
        service.dispose()
    }
}

private suspend fun fresh(login: AuthState, service: AuthorizationService): Token = suspendCancellableCoroutine { answer ->
    login.performActionWithFreshTokens(service) { token, _, error ->
        val lives = login.accessTokenExpirationTime?.let { (it - System.currentTimeMillis()).milliseconds }
        if (token != null) answer.resume(Token(token, lives)) else answer.resumeWithException(failureOf(error))
    }
}

// What the token endpoint refuses, a person must mend; without a network it is an outage.
private fun failureOf(error: AuthorizationException?): Exception {
    val isRefusal = error?.type == AuthorizationException.TYPE_OAUTH_TOKEN_ERROR
    return TokenSourceException("${error?.error}: ${error?.errorDescription}", permanent = isRefusal, cause = error)
}

fun optionsOf(account: Setup): LoginOptions = LoginOptions { host = account.host.ifEmpty { null } }
