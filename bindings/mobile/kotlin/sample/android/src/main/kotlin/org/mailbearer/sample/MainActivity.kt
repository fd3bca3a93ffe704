package org.mailbearer.sample

import android.Manifest
import android.content.Intent
import android.net.Uri
import android.os.Build
import android.os.Bundle
import androidx.activity.ComponentActivity
import androidx.activity.compose.setContent
import androidx.activity.result.contract.ActivityResultContracts
import androidx.compose.foundation.isSystemInDarkTheme
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.setValue
import androidx.lifecycle.lifecycleScope
import kotlinx.coroutines.launch
import net.openid.appauth.AuthState
import net.openid.appauth.AuthorizationException
import net.openid.appauth.AuthorizationRequest
import net.openid.appauth.AuthorizationResponse
import net.openid.appauth.AuthorizationService
import net.openid.appauth.AuthorizationServiceConfiguration
import net.openid.appauth.ResponseTypeValues
import org.mailbearer.providerOfAddress

/** Shows the screens, and does what a person asks for. */
class MainActivity : ComponentActivity(), Actions {
    private val stored by lazy { Stored(applicationContext) }
    private val signing by lazy { AuthorizationService(this) }
    private var screen by mutableStateOf(Screen(Page.SETUP, Setup(), Notice(Notice.Kind.OFF, "Sign in to begin."), emptyList(), emptyList()))
    private val browser = registerForActivityResult(ActivityResultContracts.StartActivityForResult()) { it.data?.let(::signedIn) }
    private val permission = registerForActivityResult(ActivityResultContracts.RequestPermission()) {}

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        screen = screen.copy(account = stored.account, page = if (stored.login == null) Page.SETUP else Page.MAIL)
        setContent { SampleTheme(isSystemInDarkTheme()) { NotifierScreen(screen, this) } }
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.TIRAMISU) permission.launch(Manifest.permission.POST_NOTIFICATIONS)
    }

    override fun onDestroy() {
        signing.dispose()
        super.onDestroy()
    }

    override fun open(page: Page) {
        screen = screen.copy(page = page)
        if (page == Page.DIAGNOSIS && screen.findings.isEmpty()) diagnose()
    }

    override fun type(account: Setup) {
        screen = screen.copy(account = account)
    }

    override fun signIn() {
        val provider = providerOfAddress(screen.account.address)
        val oauth = provider?.oauth
        if (oauth == null) {
            screen = screen.copy(notice = Notice(Notice.Kind.NEEDS_USER, "This provider's sign-in is not known."), page = Page.MAIL)
            return
        }
        val server = AuthorizationServiceConfiguration(Uri.parse(oauth.authorizationEndpoint), Uri.parse(oauth.tokenEndpoint))
        // A client id of your own: docs/tokens.md says how to have one.
        val request = AuthorizationRequest.Builder(server, CLIENT_ID, ResponseTypeValues.CODE, Uri.parse("$packageName:/signed-in"))
            .setScopes(provider.services.flatMap { it.scopes }.distinct())
            .setLoginHint(screen.account.address)
            .build()
        browser.launch(signing.getAuthorizationRequestIntent(request))
    }

    private fun signedIn(answer: Intent) {
        val response = AuthorizationResponse.fromIntent(answer)
        val login = AuthState(response, AuthorizationException.fromIntent(answer))
        signing.performTokenRequest(response?.createTokenExchangeRequest() ?: return) { tokens, error ->
            login.update(tokens, error)
            stored.forget()
            stored.account = screen.account
            stored.login = login
            MailWorker.start(applicationContext)
            screen = screen.copy(page = Page.MAIL)
            lookNow()
        }
    }

    override fun lookNow() {
        screen = screen.copy(notice = Notice(Notice.Kind.WAITING, "Looking for mail."))
        lifecycleScope.launch {
            val pass = MailPass(stored.account.address, tokensOf(applicationContext, stored), stored, optionsOf(stored.account))
            // A person has asked for it: whatever stopped the account, they may have mended.
            val outcome = pass.run(retry = true) { new -> screen = screen.copy(messages = new.asReversed() + screen.messages) }
            screen = screen.copy(notice = Notice.of(outcome))
            if (outcome is Outcome.UpToDate) MailWorker.start(applicationContext)
        }
    }

    override fun diagnose() {
        lifecycleScope.launch {
            diagnose(screen.account.address, tokensOf(applicationContext, stored), { optionsOf(screen.account) }) { findings ->
                screen = screen.copy(findings = findings)
            }
        }
    }

    private companion object {
        const val CLIENT_ID = "your-client-id"
    }
}
