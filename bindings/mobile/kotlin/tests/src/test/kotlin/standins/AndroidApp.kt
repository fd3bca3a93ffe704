package android.app

/** As Android declares it: a screen that can be started later. */
class PendingIntent
