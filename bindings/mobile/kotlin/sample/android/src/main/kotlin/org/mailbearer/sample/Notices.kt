package org.mailbearer.sample

import android.app.Notification
import android.app.NotificationChannel
import android.app.NotificationManager
import android.app.PendingIntent
import android.content.Context
import android.content.Intent
import android.os.Build

/** What is told outside of the app. */
class Notices(private val context: Context) {
    private val manager = context.getSystemService(Context.NOTIFICATION_SERVICE) as NotificationManager

    fun newMail(new: List<Headline>) {
        val only = new.singleOrNull()
        if (only != null) show(NEW_MAIL, only.sender, only.subject)
        else show(NEW_MAIL, "${new.size} new messages", new.joinToString("\n") { "${it.sender}: ${it.subject}" })
    }

    fun needsUser(sentence: String) = show(NEEDS_USER, "Your mail needs you", sentence)

    private fun show(id: Int, title: String, text: String) {
        val open = Intent(context, MainActivity::class.java)
        val notification = builder()
            .setSmallIcon(android.R.drawable.ic_dialog_email)
            .setContentTitle(title)
            .setContentText(text)
            .setStyle(Notification.BigTextStyle().bigText(text))
            .setContentIntent(PendingIntent.getActivity(context, 0, open, PendingIntent.FLAG_IMMUTABLE))
            .setAutoCancel(true)
            .build()
        manager.notify(id, notification)
    }

    @Suppress("DEPRECATION")
    private fun builder(): Notification.Builder {
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.O) return Notification.Builder(context)
        manager.createNotificationChannel(NotificationChannel(CHANNEL, "Mail", NotificationManager.IMPORTANCE_DEFAULT))
        return Notification.Builder(context, CHANNEL)
    }

    private companion object {
        const val CHANNEL = "mail"
        const val NEW_MAIL = 1
        const val NEEDS_USER = 2
    }
}
