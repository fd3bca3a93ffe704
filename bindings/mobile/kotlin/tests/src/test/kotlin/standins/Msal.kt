@file:Suppress("FunctionNaming")

package com.microsoft.identity.client

import java.util.Date

/** As MSAL for Android declares them, as far as the page about tokens uses them: the AAR needs Android to compile. */
interface IAccount {
    val authority: String
}

interface IAuthenticationResult {
    val accessToken: String
    val expiresOn: Date
}

interface IPublicClientApplication {
    fun acquireTokenSilent(parameters: AcquireTokenSilentParameters): IAuthenticationResult
}

class AcquireTokenSilentParameters {
    class Builder {
        fun forAccount(account: IAccount) = this.also { checkNotNull(account) }

        fun fromAuthority(authority: String) = this.also { checkNotNull(authority) }

        fun withScopes(scopes: List<String>) = this.also { checkNotNull(scopes) }

        fun forceRefresh(force: Boolean) = this.also { it.isForced = force }

        fun build() = AcquireTokenSilentParameters()

        private var isForced = false
    }
}
