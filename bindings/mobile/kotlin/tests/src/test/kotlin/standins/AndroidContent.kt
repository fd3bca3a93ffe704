package android.content

/** As Android declares it, as far as the page uses it. */
class Context
