package org.mailbearer

import java.net.ConnectException

/** Runs where Angus Mail is not: see ExplainTest. */
fun main() {
    val absent = runCatching { Class.forName("jakarta.mail.MessagingException") }
    check(absent.isFailure) { "Jakarta Mail is there" }
    val refused = RuntimeException("wrapped", ConnectException("Connection refused"))
    println(listOf(refused, IllegalStateException("another")).joinToString { explain(it).cause.name })
}
