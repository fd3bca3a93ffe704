package android.accounts

/** As Android declares it. */
data class Account(val name: String, val type: String)
