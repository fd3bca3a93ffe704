package org.mailbearer

import javax.net.ssl.SSLContext
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext

/**
 * Does what the first use in a process costs, away from the calling thread: the native library is loaded, and the machine's
 * certificate authorities are read. Whatever is used first does it, too, in the thread that uses it: where that is the main thread
 * of an app, call this before, as in `Application.onCreate`:
 *
 * ```
 * applicationScope.launch { loadMailbearer() }
 * ```
 *
 * Measured in a cold JVM (`docs/benchmarks.md`), it takes 1.2 seconds of the processor once, with what the JVM's compiler does
 * meanwhile, and a twentieth of a second when it is called again.
 *
 * @throws UnsatisfiedLinkError the package has no library for this machine.
 */
public suspend fun loadMailbearer(): Unit = withContext(Dispatchers.IO) {
    uniffiEnsureInitialized()
    MachineClock.nowMs()
    checkVerifies(SSLContext.getDefault())
}
