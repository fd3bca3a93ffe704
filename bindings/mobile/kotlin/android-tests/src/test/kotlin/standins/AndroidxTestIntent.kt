@file:Suppress("UNUSED_PARAMETER")

package androidx.test.runner.intent

interface IntentMonitor

interface IntentStubber

class IntentMonitorRegistry {
    companion object {
        @JvmStatic fun registerInstance(monitor: IntentMonitor?) = Unit
    }
}

class IntentStubberRegistry {
    companion object {
        @JvmStatic fun isLoaded(): Boolean = false
    }
}
