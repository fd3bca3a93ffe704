package kotlinx.coroutines.tasks

import com.google.android.gms.tasks.Task

/** As kotlinx-coroutines-play-services declares it. */
suspend fun <T> Task<T>.await(): T = get()
