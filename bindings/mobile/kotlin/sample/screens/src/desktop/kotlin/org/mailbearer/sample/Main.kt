/** The app in a window of a desktop, with tokens of `mailbearer token`: to try the screens and the passes without a phone. */
package org.mailbearer.sample

import androidx.compose.foundation.isSystemInDarkTheme
import androidx.compose.runtime.LaunchedEffect
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.setValue
import androidx.compose.ui.unit.DpSize
import androidx.compose.ui.unit.dp
import androidx.compose.ui.window.Window
import androidx.compose.ui.window.WindowState
import androidx.compose.ui.window.application
import java.io.IOException
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import org.mailbearer.LoginOptions
import org.mailbearer.MailProtocol
import org.mailbearer.Token
import org.mailbearer.TokenSource

/** `-Dmailbearer.sample.seconds` ends it then, for a look at whether it runs. */
fun main() = application {
    LaunchedEffect(Unit) {
        Integer.getInteger("mailbearer.sample.seconds")?.let {
            delay(it.seconds)
            exitApplication()
        }
    }
    Window(::exitApplication, WindowState(size = DpSize(400.dp, 720.dp)), title = "Mail notifier") {
        SampleTheme(isSystemInDarkTheme()) { NotifierScreen(Desktop.screen, Desktop) }
    }
}

private object Desktop : Actions, Store {
    private val scope = CoroutineScope(Dispatchers.Main)
    override var snapshot: ByteArray? = null
    override var cursor: String? = null
    var screen by mutableStateOf(Screen(Page.SETUP, Setup(), Notice(Notice.Kind.OFF, "Sign in to begin."), emptyList(), emptyList()))
        private set

    private val tokens = TokenSource {
        val process = ProcessBuilder("mailbearer", "token", screen.account.address).start()
        val token = process.inputStream.bufferedReader().readText().trim()
        if (process.waitFor() != 0) throw IOException("mailbearer token: ${process.errorReader().readText().trim()}")
        Token(token)
    }

    private fun options(@Suppress("UNUSED_PARAMETER") protocol: MailProtocol) = LoginOptions { host = screen.account.host.ifEmpty { null } }

    override fun open(page: Page) {
        screen = screen.copy(page = page)
        if (page == Page.DIAGNOSIS && screen.findings.isEmpty()) diagnose()
    }

    override fun type(account: Setup) {
        screen = screen.copy(account = account)
    }

    override fun signIn() {
        snapshot = null
        cursor = null
        open(Page.MAIL)
        lookNow()
    }

    override fun lookNow() {
        screen = screen.copy(notice = Notice(Notice.Kind.WAITING, "Looking for mail."))
        scope.launch {
            val pass = MailPass(screen.account.address, tokens, this@Desktop, options(MailProtocol.IMAP))
            val outcome = pass.run(retry = true) { new -> screen = screen.copy(messages = new.asReversed() + screen.messages) }
            screen = screen.copy(notice = Notice.of(outcome))
        }
    }

    override fun diagnose() {
        scope.launch { diagnose(screen.account.address, tokens, ::options) { screen = screen.copy(findings = it) } }
    }
}
