package com.google.android.gms.tasks

/** As Google Play services declare it, as far as the page uses it: here it is done. */
class Task<T>(val get: suspend () -> T)
