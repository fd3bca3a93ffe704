package org.mailbearer.sample

import android.content.Context
import androidx.work.Constraints
import androidx.work.CoroutineWorker
import androidx.work.ExistingPeriodicWorkPolicy
import androidx.work.ExistingWorkPolicy
import androidx.work.NetworkType
import androidx.work.OneTimeWorkRequestBuilder
import androidx.work.OutOfQuotaPolicy
import androidx.work.PeriodicWorkRequestBuilder
import androidx.work.WorkManager
import androidx.work.WorkerParameters
import java.util.concurrent.TimeUnit

/** One pass, whenever the system lets it: woken by a push, or by the period. */
class MailWorker(context: Context, parameters: WorkerParameters) : CoroutineWorker(context, parameters) {
    override suspend fun doWork(): Result {
        val (stored, notices) = Stored(applicationContext) to Notices(applicationContext)
        if (!stored.account.isComplete) return Result.success()
        val pass = MailPass(stored.account.address, tokensOf(applicationContext, stored), stored, optionsOf(stored.account))
        val outcome = pass.run(tell = notices::newMail)
        return when (outcome) {
            is Outcome.UpToDate -> Result.success()
            // WorkManager's own back-off decides when it asks again; that it is too early then, the account knows.
            is Outcome.Later -> Result.retry()
            is Outcome.NeedsUser -> {
                notices.needsUser(outcome.sentence)
                // No wake is worth its battery until somebody has acted.
                stop(applicationContext)
                Result.success()
            }
        }
    }

    companion object {
        private val connected = Constraints.Builder().setRequiredNetworkType(NetworkType.CONNECTED).build()

        /** A quarter of an hour is the shortest period that Android has. */
        fun start(context: Context) {
            val work = PeriodicWorkRequestBuilder<MailWorker>(15, TimeUnit.MINUTES).setConstraints(connected).build()
            WorkManager.getInstance(context).enqueueUniquePeriodicWork("mail", ExistingPeriodicWorkPolicy.KEEP, work)
        }

        /** From `FirebaseMessagingService.onMessageReceived`, or the receiver of another push. */
        fun lookNow(context: Context) {
            val work = OneTimeWorkRequestBuilder<MailWorker>().setConstraints(connected)
                .setExpedited(OutOfQuotaPolicy.RUN_AS_NON_EXPEDITED_WORK_REQUEST).build()
            WorkManager.getInstance(context).enqueueUniqueWork("mail-now", ExistingWorkPolicy.KEEP, work)
        }

        fun stop(context: Context) {
            WorkManager.getInstance(context).cancelUniqueWork("mail")
        }
    }
}
