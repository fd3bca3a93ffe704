package com.google.android.gms.common.api

/** As Google Play services declare it. */
data class Scope(val scopeUri: String)
