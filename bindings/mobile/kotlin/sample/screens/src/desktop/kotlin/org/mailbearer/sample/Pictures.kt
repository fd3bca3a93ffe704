/** Draws the screens as a phone shows them, for the documentation: no display is needed. */
package org.mailbearer.sample

import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Box
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.size
import androidx.compose.foundation.shape.RoundedCornerShape
import androidx.compose.runtime.Composable
import androidx.compose.ui.ImageComposeScene
import androidx.compose.ui.Modifier
import androidx.compose.ui.draw.clip
import androidx.compose.ui.unit.Density
import androidx.compose.ui.unit.dp
import androidx.compose.ui.use
import java.io.File
import org.jetbrains.skia.EncodedImageFormat

fun main(arguments: Array<String>) {
    val folder = File(arguments.single()).apply { mkdirs() }
    for (isDark in listOf(false, true)) {
        val name = if (isDark) "android-dark.png" else "android-light.png"
        folder.resolve(name).writeBytes(picture { Phones(isDark) })
    }
}

private val PAGES = listOf(
    Screen(Page.SETUP, Setup("joe@gmail.com"), Notice(Notice.Kind.OFF, ""), emptyList(), emptyList()),
    Screen(
        Page.MAIL,
        Setup("joe@gmail.com"),
        Notice.of(Outcome.UpToDate(messages = 2)),
        listOf(Headline(42U, "Eve Example", "Lunch on Friday?"), Headline(41U, "Bills & Sons", "Your invoice of November")),
        emptyList(),
    ),
    Screen(
        Page.DIAGNOSIS,
        Setup("joe@gmail.com"),
        Notice(Notice.Kind.ON, ""),
        emptyList(),
        listOf(
            Finding("Reading (IMAP)", Finding.State.GOOD, "Logged in with XOAUTH2, TLSv1.3"),
            Finding("Sending (SMTP)", Finding.State.GOOD, "Logged in with XOAUTH2, TLSv1.3"),
            Finding("Fetching (POP3)", Finding.State.BAD, "POP3 is switched off for this account. Switch it on in the settings of the mailbox."),
        ),
    ),
)

@Composable
private fun Phones(isDark: Boolean) = SampleTheme(isDark) {
    Row(Modifier.fillMaxSize().padding(24.dp), Arrangement.spacedBy(24.dp)) {
        for (screen in PAGES) {
            Box(Modifier.size(360.dp, 640.dp).clip(RoundedCornerShape(28.dp))) { NotifierScreen(screen, NoActions) }
        }
    }
}

private object NoActions : Actions {
    override fun open(page: Page) = Unit

    override fun type(account: Setup) = Unit

    override fun signIn() = Unit

    override fun lookNow() = Unit

    override fun diagnose() = Unit
}

private fun picture(content: @Composable () -> Unit): ByteArray =
    ImageComposeScene(1_176, 688, Density(1f), content = content).use { scene ->
        // The second frame has what the first one laid out.
        scene.render(0)
        checkNotNull(scene.render(1_000_000_000).encodeToData(EncodedImageFormat.PNG)).bytes
    }
