package org.mailbearer.sample

import android.content.Context
import android.content.SharedPreferences
import android.util.Base64
import net.openid.appauth.AuthState

/** In the app's own preferences, each written at once. None of it but [login] is secret. */
class Stored(context: Context) : Store {
    private val preferences = context.getSharedPreferences("notifier", Context.MODE_PRIVATE)
    private val secrets = Secrets(context)

    override var snapshot: ByteArray?
        get() = preferences.getString("snapshot", null)?.let { Base64.decode(it, Base64.NO_WRAP) }
        set(value) = write { putString("snapshot", value?.let { Base64.encodeToString(it, Base64.NO_WRAP) }) }

    override var cursor: String?
        get() = preferences.getString("cursor", null)
        set(value) = write { putString("cursor", value) }

    var account: Setup
        get() = Setup(preferences.getString("address", "").orEmpty(), preferences.getString("host", "").orEmpty())
        set(value) = write { putString("address", value.address).putString("host", value.host) }

    /** AppAuth's state, with the refresh token: under a key of the Keystore. */
    var login: AuthState?
        get() = secrets.read("login")?.let(AuthState::jsonDeserialize)
        set(value) = secrets.write("login", value?.jsonSerializeString())

    /** Of another account nothing holds. */
    fun forget() = write { clear() }

    private fun write(change: SharedPreferences.Editor.() -> Unit) {
        // `apply` would write later, and the process may not live to see it.
        preferences.edit().apply(change).commit()
    }
}
