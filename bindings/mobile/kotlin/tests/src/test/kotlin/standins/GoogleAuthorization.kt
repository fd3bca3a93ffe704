package com.google.android.gms.auth.api.identity

import android.accounts.Account
import android.app.PendingIntent
import com.google.android.gms.common.api.Scope
import com.google.android.gms.tasks.Task

/** As Google Play services declare it, as far as the page about tokens uses it: the AAR needs Android to compile. */
interface AuthorizationClient {
    fun authorize(request: AuthorizationRequest): Task<AuthorizationResult>

    fun clearToken(request: ClearTokenRequest): Task<Unit>
}

class AuthorizationRequest private constructor(val scopes: List<Scope>, val account: Account?) {
    class Builder {
        private var scopes = emptyList<Scope>()
        private var account: Account? = null

        fun setRequestedScopes(scopes: List<Scope>) = also { it.scopes = scopes }

        fun setAccount(account: Account) = also { it.account = account }

        fun build() = AuthorizationRequest(scopes, account)
    }

    companion object {
        fun builder() = Builder()
    }
}

class AuthorizationResult(val accessToken: String?, val pendingIntent: PendingIntent?) {
    fun hasResolution() = pendingIntent != null
}

class ClearTokenRequest private constructor(val token: String) {
    class Builder {
        private var token = ""

        fun setToken(token: String) = also { it.token = token }

        fun build() = ClearTokenRequest(token)
    }

    companion object {
        fun builder() = Builder()
    }
}

/** Gives one token until it is cleared, as Google's does. */
class FakeAuthorization : AuthorizationClient {
    val cleared = mutableListOf<String>()
    var scopes = emptyList<String>()
    var screen: PendingIntent? = null
    private var number = 1

    override fun authorize(request: AuthorizationRequest) = Task {
        scopes = request.scopes.map { it.scopeUri }
        val token = "ya29.$number"
        if (screen == null) AuthorizationResult(token, null) else AuthorizationResult(null, screen)
    }

    override fun clearToken(request: ClearTokenRequest) = Task {
        cleared += request.token
        if (request.token == "ya29.$number") number++
    }
}
