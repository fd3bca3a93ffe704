package org.mailbearer

import java.io.File
import java.lang.management.BufferPoolMXBean
import java.lang.management.ManagementFactory
import java.nio.ByteBuffer
import kotlin.system.exitProcess
import kotlin.time.Duration.Companion.seconds
import kotlin.time.measureTime
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancel
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.mailbearer.machine.AccessToken
import org.mailbearer.machine.Identity
import org.mailbearer.machine.Negotiation
import org.mailbearer.machine.NegotiationConfig
import org.mailbearer.machine.Watch
import org.mailbearer.testing.Server

/**
 * What the package costs on the JVM, as lines of JSON for `tests/bench`: a call into the library, its start, the memory and the
 * threads of a session, and how often one that is idle wakes up.
 *
 *     java -cp … org.mailbearer.BenchKt [SECONDS]     how long is counted how often it wakes; 300
 */
fun main(arguments: Array<String>) {
    when (arguments.firstOrNull()) {
        "serve" -> serve()
        "start" -> start()
        "memory" -> memory(arguments[1].toInt(), arguments[2])
        else -> {
            calls()
            starts()
            Other("serve").use { server ->
                val port = server.line().toInt()
                Other("memory", "$port", server.line()).use { other -> repeat(3) { println(other.line()) } }
                wakes(port, server.line(), (arguments.firstOrNull() ?: "300").toInt())
            }
        }
    }
    exitProcess(0)
}

private const val USER = "joe@gmail.com"

private fun say(part: String, client: String, measure: String, runs: List<Number>) =
    println(
        """{"part":"$part","language":"kotlin","client":"$client","version":"0.1.0","role":"mailbearer","measure":"$measure","runs":$runs}"""
    )

// ---- A call ------------------------------------------------------------------------------------------------------------

/** Times calls of the binding, each with the loop around it taken off. */
private fun calls() {
    val line = "* 17 FETCH (UID 4711 FLAGS (\\Seen) RFC822.SIZE 2048)\r\n".encodeToByteArray()
    val direct = ByteBuffer.allocateDirect(line.size).put(line).flip()
    val nothing = ByteBuffer.allocateDirect(1).limit(0)
    val watch = Watch(MailProtocol.IMAP)
    val token = AccessToken("x")
    val config = NegotiationConfig(Endpoint(MailProtocol.IMAP, Tls.IMPLICIT, "localhost", 993u), Identity("joe@example.org"))
    val calls = mapOf<String, () -> Any>(
        "Watch.received(a line of 54 octets)" to { watch.received(direct.rewind()) },
        "Watch.sent(nothing)" to { watch.sent(nothing) },
        "Negotiation(...)" to { Negotiation(config, token).close() },
        "beside it: ByteArray.indexOf in that line" to { line.indexOf('\n'.code.toByte()) },
    )
    // The processor's time: what others do on the machine is not in it.
    val threads = ManagementFactory.getThreadMXBean()
    fun time(call: () -> Any): Double {
        val begun = threads.currentThreadCpuTime
        repeat(CALLS) { call() }
        return (threads.currentThreadCpuTime - begun).toDouble() / CALLS
    }
    val runs = calls.keys.associateWith { mutableListOf<Double>() }
    repeat(PASSES + WARM) { pass ->
        val floor = time { Unit }
        for ((name, call) in calls) {
            val ns = time(call) - floor
            if (pass >= WARM) runs.getValue(name) += ns.coerceAtLeast(0.0)
        }
    }
    for ((name, ns) in runs) say("call", name, "ns", ns)
}

private const val CALLS = 20_000
private const val PASSES = 7
private const val WARM = 2

// ---- The start ---------------------------------------------------------------------------------------------------------

/** In a process of its own: what the first use costs. */
private fun start() {
    val process = ManagementFactory.getOperatingSystemMXBean() as com.sun.management.OperatingSystemMXBean
    val runs = List(2) {
        val begun = process.processCpuTime
        val took = measureTime { runBlocking { loadMailbearer() } }
        listOf(took.inWholeMicroseconds / 1_000.0, (process.processCpuTime - begun) / 1_000_000.0)
    }
    println(runs.flatten().joinToString(" "))
}

private fun starts() {
    val runs = List(5) { Other("start").use { it.line().split(' ').map(String::toDouble) } }
    val (first, firstCpu, again, againCpu) = List(4) { at -> runs.map { it[at] } }
    say("host", "the first loadMailbearer() of a process", "ms", first)
    say("host", "the same, of the processor with the JVM's compiler", "ms", firstCpu)
    say("host", "loadMailbearer() once more", "ms", again)
    say("host", "the same, of the processor", "ms", againCpu)
}

// ---- A session ---------------------------------------------------------------------------------------------------------

/** A server in a process of its own: its port, and tokens for all that ask. */
private fun serve() = Server(connectionsMax = 1_000).use { server ->
    println(server.port(MailProtocol.IMAP))
    println(server.issueToken(USER))
    println(server.issueToken("ann@gmail.com"))
    // Until its parent has gone.
    System.`in`.read()
}

private fun options(port: Int) = LoginOptions {
    host = "localhost"
    this.port = port
    provider = providerNamed("gmail")
    sslContext = org.mailbearer.testing.clientContext()
}

private fun used(): Pair<Long, Long> {
    repeat(5) {
        System.gc()
        Thread.sleep(300)
    }
    val direct = ManagementFactory.getPlatformMXBeans(BufferPoolMXBean::class.java).first { it.name == "direct" }
    return ManagementFactory.getMemoryMXBean().heapMemoryUsage.used to direct.memoryUsed
}

private fun memory(port: Int, token: String) = runBlocking {
    val account = Account(USER, fixedToken(token), AccountOptions { policy = SessionPolicy { connections = SESSIONS } })
    // What is there once for all of them comes first.
    val first = account.sessions(MailProtocol.IMAP, options(port)).first()
    val (heap, direct) = used()
    val threads = Thread.activeCount()
    val all = List(SESSIONS - 1) { account.sessions(MailProtocol.IMAP, options(port)).first() }
    delay(1.seconds)
    val (heapThen, directThen) = used()
    say("host", "heap of a session that is online", "kib", listOf((heapThen - heap) / 1024.0 / all.size))
    say("host", "direct buffers of a session that is online", "kib", listOf((directThen - direct) / 1024.0 / all.size))
    say("host", "threads of a session that is online", "count", listOf((Thread.activeCount() - threads).toDouble() / all.size))
    (all + first).forEach { it.close() }
    account.close()
}

private const val SESSIONS = 50

/** Wakes of threads of coroutines and sockets, as the system counts them: of the JVM's own threads there are thirty a second. */
private fun switches(): Map<String, Long> =
    File("/proc/self/task").listFiles().orEmpty().mapNotNull { task ->
        val name = runCatching { task.resolve("comm").readText().trim() }.getOrDefault("")
        if (!name.startsWith("DefaultDispatch") && !name.startsWith("kotlinx.corouti")) return@mapNotNull null
        val status = runCatching { task.resolve("status").readLines() }.getOrDefault(emptyList())
        val count = status.firstOrNull { it.startsWith("voluntary_ctxt_switches") }?.substringAfter(':')?.trim()?.toLong()
        count?.let { task.name to it }
    }.toMap()

private fun wakes(port: Int, token: String, seconds: Int) {
    val scope = CoroutineScope(Dispatchers.Default)
    scope.launch {
        sessions(MailProtocol.IMAP, "ann@gmail.com", fixedToken(token), options(port)).collect { connection ->
            connection.use { connection.newMessages("INBOX").collect {} }
        }
    }
    Thread.sleep(10_000)
    var wakes = 0L
    var before = switches()
    repeat(seconds) {
        // In the main thread, which is not counted. A thread that ends takes its count with it.
        Thread.sleep(1_000)
        val now = switches()
        wakes += now.entries.sumOf { (thread, count) -> count - (before[thread] ?: 0L) }
        before = now
    }
    say("host", "wakes in an hour of a session that waits in IDLE", "count", listOf(wakes * 3_600.0 / seconds))
    scope.cancel()
}

/** This program once more, in a process of its own. */
private class Other(vararg mode: String) : AutoCloseable {
    private val process = ProcessBuilder(
        File(System.getProperty("java.home")).resolve("bin/java").path, "-cp", System.getProperty("java.class.path"),
        "-Dmailbearer.root=${System.getProperty("mailbearer.root")}", "org.mailbearer.BenchKt", *mode,
    ).redirectError(ProcessBuilder.Redirect.INHERIT).start()
    private val lines = process.inputStream.bufferedReader()

    fun line(): String = lines.readLine() ?: error("it has ended")

    override fun close() {
        process.outputStream.close()
        process.waitFor()
    }
}
