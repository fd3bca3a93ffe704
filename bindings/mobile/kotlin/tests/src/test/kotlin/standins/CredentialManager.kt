package androidx.credentials

import android.content.Context

/** As androidx.credentials declares them, as far as the page uses them. */
interface CredentialManager {
    suspend fun getCredential(context: Context, request: GetCredentialRequest): GetCredentialResponse
}

interface CredentialOption

class GetCredentialRequest private constructor(val credentialOptions: List<CredentialOption>) {
    class Builder {
        private val options = mutableListOf<CredentialOption>()

        fun addCredentialOption(option: CredentialOption) = also { it.options += option }

        fun build() = GetCredentialRequest(options)
    }
}

class GetCredentialResponse(val credential: Credential)

/** [data] is a Bundle there. */
class Credential(val data: String)
