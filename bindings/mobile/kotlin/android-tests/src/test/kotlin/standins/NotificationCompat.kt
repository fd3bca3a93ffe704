package androidx.core.app

/** For a planted fault only. */
internal class NotificationCompat
