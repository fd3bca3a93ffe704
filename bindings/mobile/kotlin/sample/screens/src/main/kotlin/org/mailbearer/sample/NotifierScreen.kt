package org.mailbearer.sample

import androidx.compose.foundation.background
import androidx.compose.foundation.border
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Box
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.size
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.shape.CircleShape
import androidx.compose.foundation.shape.RoundedCornerShape
import androidx.compose.foundation.verticalScroll
import androidx.compose.material3.Button
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.OutlinedButton
import androidx.compose.material3.OutlinedTextField
import androidx.compose.material3.Surface
import androidx.compose.material3.Tab
import androidx.compose.material3.TabRow
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.Color
import androidx.compose.ui.text.font.FontWeight
import androidx.compose.ui.unit.dp

/** What a person does. */
interface Actions {
    fun open(page: Page)

    fun type(account: Setup)

    /** Signs in, and begins delivery in the background. */
    fun signIn()

    /** Looks for mail now; where a person was needed, they have acted. */
    fun lookNow()

    fun diagnose()
}

/** The whole app: three pages. */
@Composable
fun NotifierScreen(screen: Screen, actions: Actions) {
    Surface(Modifier.fillMaxSize(), color = MaterialTheme.colorScheme.background) {
        Column {
            Text(
                "Mail notifier",
                Modifier.padding(start = 24.dp, top = 28.dp, bottom = 12.dp),
                style = MaterialTheme.typography.headlineSmall,
                fontWeight = FontWeight.SemiBold,
            )
            TabRow(screen.page.ordinal, containerColor = MaterialTheme.colorScheme.background) {
                for (page in Page.entries) {
                    Tab(page == screen.page, onClick = { actions.open(page) }, text = { Text(page.title) })
                }
            }
            Column(
                Modifier.verticalScroll(rememberScrollState()).padding(24.dp),
                verticalArrangement = Arrangement.spacedBy(16.dp),
            ) {
                when (screen.page) {
                    Page.SETUP -> SetupPage(screen.account, actions)
                    Page.MAIL -> MailPage(screen, actions)
                    Page.DIAGNOSIS -> DiagnosisPage(screen, actions)
                }
            }
        }
    }
}

@Composable
private fun SetupPage(account: Setup, actions: Actions) {
    Text("Whose mail is it?", style = MaterialTheme.typography.titleMedium)
    OutlinedTextField(
        account.address,
        { actions.type(account.copy(address = it.trim())) },
        Modifier.fillMaxWidth(),
        label = { Text("Mail address") },
        isError = account.problem != null,
        supportingText = { Text(account.problem ?: "Gmail, Microsoft 365, Outlook.com, Yahoo and others are known by it.") },
        singleLine = true,
    )
    OutlinedTextField(
        account.host,
        { actions.type(account.copy(host = it.trim())) },
        Modifier.fillMaxWidth(),
        label = { Text("Server") },
        supportingText = { Text("Only for a server of your own.") },
        singleLine = true,
    )
    Button(actions::signIn, Modifier.fillMaxWidth(), enabled = account.isComplete) { Text("Sign in with the browser") }
    Quiet("The password is typed at your provider, never here. This app keeps the login in the system's key store.")
}

@Composable
private fun MailPage(screen: Screen, actions: Actions) {
    Card {
        Row(horizontalArrangement = Arrangement.spacedBy(16.dp), verticalAlignment = Alignment.CenterVertically) {
            Mark(markOf(screen.notice.kind), colourOf(screen.notice.kind))
            Column {
                Text(titleOf(screen.notice.kind), style = MaterialTheme.typography.titleMedium)
                Quiet(screen.notice.text)
            }
        }
    }
    OutlinedButton(actions::lookNow, Modifier.fillMaxWidth()) {
        Text(if (screen.notice.kind == Notice.Kind.NEEDS_USER) "I have done that: try again" else "Look now")
    }
    Text("New", style = MaterialTheme.typography.titleMedium)
    if (screen.messages.isEmpty()) Quiet("Nothing yet.")
    for (message in screen.messages) {
        Card {
            Column {
                Text(message.sender, style = MaterialTheme.typography.titleMedium)
                Quiet(message.subject)
            }
        }
    }
}

@Composable
private fun DiagnosisPage(screen: Screen, actions: Actions) {
    Quiet("A login over each protocol, as ${screen.account.address}.")
    for (finding in screen.findings) {
        Card {
            Row(horizontalArrangement = Arrangement.spacedBy(16.dp), verticalAlignment = Alignment.CenterVertically) {
                when (finding.state) {
                    Finding.State.RUNNING -> Mark("…", MaterialTheme.colorScheme.outline)
                    Finding.State.GOOD -> Mark("✓", MaterialTheme.colorScheme.primary)
                    Finding.State.BAD -> Mark("!", MaterialTheme.colorScheme.error)
                }
                Column {
                    Text(finding.title, style = MaterialTheme.typography.titleMedium)
                    Quiet(finding.text)
                }
            }
        }
    }
    OutlinedButton(actions::diagnose, Modifier.fillMaxWidth()) { Text("Try again") }
}

@Composable
private fun Card(content: @Composable () -> Unit) {
    val shape = RoundedCornerShape(16.dp)
    Box(
        Modifier.fillMaxWidth().background(MaterialTheme.colorScheme.surface, shape)
            .border(1.dp, MaterialTheme.colorScheme.outline, shape).padding(16.dp)
    ) {
        content()
    }
}

@Composable
private fun Mark(sign: String, colour: Color) {
    Box(Modifier.size(36.dp).background(colour, CircleShape), contentAlignment = Alignment.Center) {
        Text(sign, color = MaterialTheme.colorScheme.background, fontWeight = FontWeight.Bold)
    }
}

@Composable
private fun Quiet(text: String) {
    Text(text, color = MaterialTheme.colorScheme.onSurfaceVariant, style = MaterialTheme.typography.bodyMedium)
}

private fun titleOf(kind: Notice.Kind): String =
    when (kind) {
        Notice.Kind.OFF -> "Delivery is off"
        Notice.Kind.ON -> "Delivery is on"
        Notice.Kind.WAITING -> "Waiting"
        Notice.Kind.NEEDS_USER -> "You are needed"
    }

private fun markOf(kind: Notice.Kind): String =
    when (kind) {
        Notice.Kind.OFF -> "–"
        Notice.Kind.ON -> "✓"
        Notice.Kind.WAITING -> "…"
        Notice.Kind.NEEDS_USER -> "!"
    }

@Composable
private fun colourOf(kind: Notice.Kind): Color =
    when (kind) {
        Notice.Kind.OFF, Notice.Kind.WAITING -> MaterialTheme.colorScheme.onSurfaceVariant
        Notice.Kind.ON -> MaterialTheme.colorScheme.primary
        Notice.Kind.NEEDS_USER -> MaterialTheme.colorScheme.error
    }
