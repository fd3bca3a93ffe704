@file:Suppress("UNUSED_PARAMETER")

package androidx.test.platform.app

import android.app.Instrumentation
import android.os.Bundle

/** Robolectric starts with Google's androidx.test:monitor, which is not to be had here: this, and the files beside it, are what it calls. */
class InstrumentationRegistry {
    companion object {
        @JvmStatic fun registerInstance(instrumentation: Instrumentation?, arguments: Bundle?) = Unit
    }
}
