@file:Suppress("UNUSED_PARAMETER")

package androidx.test.runner.lifecycle

enum class Stage {
    PRE_ON_CREATE,
    CREATED,
    STARTED,
    RESUMED,
    PAUSED,
    STOPPED,
    RESTARTED,
    DESTROYED,
}

enum class ApplicationStage {
    PRE_ON_CREATE,
    CREATED,
}

interface ActivityLifecycleMonitor

interface ApplicationLifecycleMonitor

class ActivityLifecycleMonitorRegistry {
    companion object {
        @JvmStatic fun registerInstance(monitor: ActivityLifecycleMonitor?) = Unit
    }
}

class ApplicationLifecycleMonitorRegistry {
    companion object {
        @JvmStatic fun registerInstance(monitor: ApplicationLifecycleMonitor?) = Unit
    }
}
