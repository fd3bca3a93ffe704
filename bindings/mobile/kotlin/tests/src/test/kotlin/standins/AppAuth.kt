package net.openid.appauth

/** As AppAuth for Android declares them, as far as the page about tokens uses them: the AAR needs Android to compile. */
class AuthState {
    var needsTokenRefresh = false
    val accessTokenExpirationTime: Long? = null
    var answer: AuthState.AuthStateAction.() -> Unit = { execute("ya29.token", null, null) }

    fun performActionWithFreshTokens(service: AuthorizationService, action: AuthStateAction) = answer(action)

    fun interface AuthStateAction {
        fun execute(accessToken: String?, idToken: String?, ex: AuthorizationException?)
    }
}

class AuthorizationService

class AuthorizationException(@JvmField val type: Int, @JvmField val error: String?, @JvmField val errorDescription: String?) :
    Exception(errorDescription) {
    companion object {
        const val TYPE_OAUTH_TOKEN_ERROR = 2
    }
}
