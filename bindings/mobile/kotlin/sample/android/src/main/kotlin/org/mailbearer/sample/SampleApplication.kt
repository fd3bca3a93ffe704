package org.mailbearer.sample

import android.app.Application
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.launch
import org.mailbearer.loadMailbearer

class SampleApplication : Application() {
    val scope = CoroutineScope(SupervisorJob() + Dispatchers.Main)

    override fun onCreate() {
        super.onCreate()
        // The library is loaded before a screen asks for it, and not in the main thread.
        scope.launch { loadMailbearer() }
    }
}
