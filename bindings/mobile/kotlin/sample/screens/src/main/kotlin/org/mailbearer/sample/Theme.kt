package org.mailbearer.sample

import androidx.compose.material3.ColorScheme
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.darkColorScheme
import androidx.compose.material3.lightColorScheme
import androidx.compose.runtime.Composable
import androidx.compose.ui.graphics.Color

private val Light: ColorScheme = lightColorScheme(
    primary = Color(0xFF2F5D50),
    onPrimary = Color.White,
    background = Color(0xFFF6F5F1),
    onBackground = Color(0xFF20231F),
    surface = Color.White,
    onSurface = Color(0xFF20231F),
    onSurfaceVariant = Color(0xFF5E645E),
    outline = Color(0xFFD5D5CC),
    error = Color(0xFFB3261E),
)

private val Dark: ColorScheme = darkColorScheme(
    primary = Color(0xFF9FD3C0),
    onPrimary = Color(0xFF0C3329),
    background = Color(0xFF141714),
    onBackground = Color(0xFFE4E6DF),
    surface = Color(0xFF1E231F),
    onSurface = Color(0xFFE4E6DF),
    onSurfaceVariant = Color(0xFFA9B0A7),
    outline = Color(0xFF3C443D),
    error = Color(0xFFF2B8B5),
)

/** Colours that stand apart from their ground also for who sees few of them: a mark says the same as a colour. */
@Composable
fun SampleTheme(isDark: Boolean, content: @Composable () -> Unit) = MaterialTheme(if (isDark) Dark else Light, content = content)
