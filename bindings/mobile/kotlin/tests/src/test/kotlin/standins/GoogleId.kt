package com.google.android.libraries.identity.googleid

import androidx.credentials.CredentialOption

/** As Google's library for Credential Manager declares them, as far as the page uses them. */
class GetGoogleIdOption private constructor(val serverClientId: String) : CredentialOption {
    class Builder {
        private var serverClientId = ""

        fun setServerClientId(serverClientId: String) = also { it.serverClientId = serverClientId }

        fun setFilterByAuthorizedAccounts(isFiltered: Boolean) = also { check(!isFiltered) }

        fun build() = GetGoogleIdOption(serverClientId)
    }
}

class GoogleIdTokenCredential private constructor(val id: String) {
    companion object {
        fun createFrom(data: String) = GoogleIdTokenCredential(data)
    }
}
