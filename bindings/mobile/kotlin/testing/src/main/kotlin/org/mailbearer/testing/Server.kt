package org.mailbearer.testing

import java.io.Closeable
import java.io.IOException
import java.net.InetAddress
import java.net.ServerSocket
import java.net.Socket
import java.nio.ByteBuffer
import java.security.SecureRandom
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.CountDownLatch
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.atomic.AtomicInteger
import javax.net.ssl.SSLContext
import javax.net.ssl.SSLSocket
import kotlin.concurrent.thread
import kotlin.time.Duration
import kotlin.time.Duration.Companion.hours
import org.mailbearer.Cause
import org.mailbearer.LoginOptions
import org.mailbearer.MailProtocol
import org.mailbearer.Tls
import org.mailbearer.providerGeneric
import org.mailbearer.providerNamed
import org.mailbearer.testing.machine.Behaviour
import org.mailbearer.testing.machine.Reply
import org.mailbearer.testing.machine.ServerMachine
import org.mailbearer.testing.machine.TestingException
import org.mailbearer.testing.machine.Then

/**
 * A Gmail-like mail server on free ports of 127.0.0.1, for tests of programs that log in with OAuth. It speaks real TLS, it
 * takes only tokens that it issued itself, and it refuses, cuts and vanishes where a test wants it to.
 *
 * ```
 * Server(flavour = Flavour.DOVECOT).use { server ->
 *     val token = server.issueToken("joe@example.org", lifetime = ZERO)
 *     connect(MailProtocol.IMAP, "joe@example.org", fixedToken(token), server.at(MailProtocol.IMAP))
 * }
 * ```
 *
 * Each user has an account of its own, which is there with the first token or with [addUser]: an INBOX, and the mailboxes of the flavour.
 *
 * @param flavour whose words it uses; by default Gmail's.
 * @param tokenLifetime how long a token lives; by default an hour.
 * @param sessionLimit how long a session may live; by default as long as its token.
 * @param cut what happens to a session whose token or time is over; by default it is ended in the provider's words.
 * @param refuse every login is refused for this cause, as with [refuse]; by default none is.
 * @param connectionsMax most sessions at a time for one user; by default any number.
 * @param messages messages in the INBOX of an account that is new; by default three.
 * @param seed of the tokens, so that runs can be repeated; by default each server issues other ones.
 * @param messageOctetsMax octets of the largest message that is taken, over SMTP and APPEND; by default 35,882,577.
 * @param greylist how long a recipient is refused for now after a user's first message to it; by default none is.
 * @throws IllegalArgumentException the flavour has no words for [refuse].
 */
public class Server(
    private val flavour: Flavour = Flavour.GMAIL,
    tokenLifetime: Duration = 1.hours,
    sessionLimit: Duration? = null,
    cut: Cut = Cut.WORDS,
    refuse: Cause? = null,
    connectionsMax: Int? = null,
    messages: Int = 3,
    seed: Long? = null,
    messageOctetsMax: Int? = null,
    greylist: Duration? = null,
) : Closeable {
    private val machine = told { ServerMachine(Behaviour(
        flavour = flavour,
        tokenLifetimeMs = tokenLifetime.inWholeMilliseconds.toULong(),
        sessionLimitMs = sessionLimit?.inWholeMilliseconds?.toULong(),
        cut = cut,
        connectionsMax = connectionsMax?.toUInt(),
        refuse = refuse?.name?.lowercase(),
        messages = messages.toUInt(),
        messageOctetsMax = messageOctetsMax?.toUInt(),
        greylistMs = greylist?.inWholeMilliseconds?.toULong(),
        unixEpochMs = (System.currentTimeMillis() - nowMs().toLong()).coerceAtLeast(0).toULong(),
    ), (seed ?: SecureRandom().nextLong()).toULong()) }
    private val context: SSLContext = serverContext()
    private val peers = HashMap<ULong, Peer>()

    /** All of them, also those that are still in their handshake and have no number. */
    private val accepted = ConcurrentHashMap.newKeySet<Peer>()
    private val listeners: Map<Pair<MailProtocol, Tls>, ServerSocket> =
        MailProtocol.entries
            .flatMap { protocol -> Tls.entries.map { protocol to it } }
            .associateWith { ServerSocket(0, BACKLOG, InetAddress.getLoopbackAddress()) }
    private val threads = AtomicInteger()
    @Volatile private var isOpen = true

    init {
        listeners.forEach { (kind, listener) -> start("accept") { accept(listener, kind.first, kind.second) } }
        start("clock") { keepTime() }
    }

    // ---- What a test does with it ----------------------------------------------------------------------------------

    /** The options that lead `connect` and `sessions` here: host, port, TLS, profile and trust. */
    public fun at(protocol: MailProtocol, tls: Tls = Tls.IMPLICIT): LoginOptions =
        LoginOptions {
            host = "localhost"
            port = port(protocol, tls)
            this.tls = tls
            provider = when (flavour) {
                Flavour.GMAIL -> providerNamed("gmail")
                Flavour.OUTLOOK -> providerNamed("microsoft")
                Flavour.DOVECOT -> providerGeneric("localhost")
            }
            sslContext = clientContext()
        }

    /** The port of a protocol. */
    public fun port(protocol: MailProtocol, tls: Tls = Tls.IMPLICIT): Int = listeners.getValue(protocol to tls).localPort

    /**
     * Issues an access token for a user.
     *
     * @param lifetime as the server's `tokenLifetime` by default; `ZERO`: it is over already.
     * @param scope one of the provider's; by default all that mail needs.
     * @param octets its length.
     */
    public fun issueToken(user: String, lifetime: Duration? = null, scope: String? = null, octets: Int? = null): String =
        machine.issueToken(nowMs(), user, lifetime?.inWholeMilliseconds?.toULong(), scope, octets?.toUInt())

    /** Refuses a token from now on. */
    public fun revokeToken(token: String): Unit = machine.revokeToken(token)

    /**
     * Refuses every login for a cause, over [protocol] or, by default, all; `null` ends that.
     *
     * @throws IllegalArgumentException the provider has no words for it: the message says for which it has.
     */
    public fun refuse(cause: Cause?, protocol: MailProtocol? = null): Unit =
        told { machine.refuse(cause?.name?.lowercase(), protocol?.name?.lowercase()) }

    /** Refuses a recipient over SMTP; `null` ends that. */
    public fun refuseRecipient(address: String, why: RecipientRefusal?): Unit = machine.refuseRecipient(address, why)

    /** Makes an account, where there is none: an INBOX with messages, and the mailboxes of the flavour. Its first token does so, too. */
    public fun addUser(user: String): Unit = machine.addUser(user)

    /** The users that have an account. */
    public fun users(): List<String> = machine.users()

    /** The names of a user's mailboxes. */
    public fun mailboxes(user: String): List<String> = machine.mailboxes(user)

    /** Makes a mailbox; where it is there, nothing happens. */
    public fun createMailbox(user: String, name: String): Unit = machine.createMailbox(user, name)

    /**
     * Removes a mailbox with its messages.
     *
     * @throws IllegalArgumentException it is not there, or cannot be removed.
     */
    public fun deleteMailbox(user: String, name: String): Unit = told { machine.deleteMailbox(user, name) }

    /** Sets a fault that strikes once, on the next connection that comes to that stage. */
    public fun setFault(stage: Stage, kind: FaultKind): Unit = machine.setFault(stage, kind)

    /** Takes a fault back that has not struck. */
    public fun clearFault(): Unit = machine.clearFault()

    /**
     * Puts a message into a mailbox, which is made where it is missing; clients in IDLE are told.
     *
     * @param message header and body. A line end of LF alone becomes CRLF.
     * @param flags as `\Seen`, or keywords.
     * @param dateMs when it came, in milliseconds since 1970; by default now.
     */
    public fun deliver(
        user: String,
        message: String,
        mailbox: String = "INBOX",
        flags: List<String> = emptyList(),
        dateMs: Long? = null,
    ): Unit =
        synchronized(this) {
            machine.deliverTo(user, direct(message.encodeToByteArray()), mailbox, flags, dateMs ?: System.currentTimeMillis())
            tick()
        }

    /** The messages in a user's INBOX. */
    public fun messages(user: String): List<String> = machine.messages(user).map { it.decodeToString() }

    /** The messages in a mailbox, by their UIDs; none where it is not there. */
    public fun messagesIn(user: String, mailbox: String): List<StoredMessage> = machine.messagesIn(user, mailbox)

    /** What was accepted over SMTP. */
    public fun submitted(): List<Submitted> = machine.submitted()

    /** What happened since the last call. */
    public fun events(): List<ServerEvent> = machine.takeEvents()

    /** Ends all connections with the words of a shutdown, and goes on. */
    public fun restart(): Unit = synchronized(this) { machine.restart(nowMs()).forEach(::act) }

    /** Connections that are logged in. */
    public val sessions: Int
        get() = machine.sessions().toInt()

    /** Closes all connections and stops listening. */
    override fun close() {
        isOpen = false
        listeners.values.forEach { it.close() }
        accepted.forEach { it.abort() }
        synchronized(this) { wake() }
    }

    // ---- The threads -----------------------------------------------------------------------------------------------

    private fun start(name: String, work: () -> Unit) =
        thread(isDaemon = true, name = "mailbearer-testing-$name-${threads.incrementAndGet()}", block = work)

    private fun accept(listener: ServerSocket, protocol: MailProtocol, tls: Tls) {
        while (isOpen) {
            val socket =
                try {
                    listener.accept()
                } catch (_: IOException) {
                    return
                }
            val peer = Peer(socket, protocol, tls).also(accepted::add)
            start("peer") { peer.serve() }
            // It was closed meanwhile, and has not seen this one.
            if (!isOpen) peer.abort()
        }
    }

    /** Says to the machine when something is due by itself. */
    private fun keepTime() {
        while (isOpen) {
            synchronized(this) {
                // Else it would sleep through the call that ends it.
                if (!isOpen) return
                val wake = machine.nextWakeMs()
                val left = if (wake == null) LOOK_MS else wake.toLong() - nowMs().toLong()
                if (left > 0) waitFor(minOf(left, LOOK_MS)) else tick()
            }
        }
    }

    private fun tick() {
        machine.tick(nowMs()).forEach(::act)
        wake()
    }

    private fun act(reply: Reply) {
        peers[reply.connection]?.act(reply)
    }

    @Suppress("PLATFORM_CLASS_MAPPED_TO_KOTLIN") private fun waitFor(ms: Long) = (this as java.lang.Object).wait(ms)

    @Suppress("PLATFORM_CLASS_MAPPED_TO_KOTLIN") private fun wake() = (this as java.lang.Object).notifyAll()

    /** One connection: a thread that reads, and one that writes in the order in which the machine spoke. */
    private inner class Peer(private val tcp: Socket, private val protocol: MailProtocol, private val tls: Tls) {
        @Volatile private var socket: Socket = tcp
        private val replies = LinkedBlockingQueue<Reply>()
        private val upgrade = CountDownLatch(1)
        private var id = 0UL

        /** What the reader does after the reply. */
        @Volatile private var then = Then.READ

        fun serve() {
            try {
                if (tls == Tls.IMPLICIT) handshake()
                say { machine.open(nowMs(), protocol.name.lowercase(), tls.name.replace("_", "").lowercase()) }
                start("writer") { write() }
                read()
            } catch (_: IOException) {
                // A client that refuses our certificate, or goes away, is an ordinary thing in a test.
            } finally {
                // Its client has gone. Who still writes to it would wait for ever, and so would a goodbye of TLS.
                abort()
                accepted -= this
                synchronized(this@Server) {
                    if (peers.remove(id) != null) machine.closed(nowMs(), id)
                    (this@Server).wake()
                }
            }
        }

        private fun read() {
            val chunk = ByteArray(READ_OCTETS)
            while (true) {
                if (then == Then.START_TLS) {
                    upgrade.await()
                    handshake()
                    say { machine.tlsEstablished(id) }
                }
                val count = socket.getInputStream().read(chunk)
                if (count < 0) return
                say { machine.receive(nowMs(), id, direct(chunk.copyOf(count))) }
            }
        }

        private fun say(speak: () -> Reply) = synchronized(this@Server) {
            val reply = speak()
            id = reply.connection
            peers[id] = this
            act(reply)
            (this@Server).wake()
        }

        fun act(reply: Reply) {
            then = reply.then
            replies.put(reply)
        }

        private fun write() {
            try {
                while (true) {
                    val reply = replies.take()
                    socket.getOutputStream().write(reply.send)
                    when (reply.then) {
                        Then.READ, Then.VANISH -> continue
                        Then.START_TLS -> upgrade.countDown()
                        Then.CLOSE -> return close()
                    }
                }
            } catch (_: IOException) {
                abort()
            }
        }

        private fun handshake() {
            // Not the one for servers, of an octet stream: Android's factories (Conscrypt) do not know it.
            val secured = context.socketFactory.createSocket(socket, socket.inetAddress.hostAddress, socket.port, true) as SSLSocket
            secured.useClientMode = false
            secured.startHandshake()
            socket = secured
        }

        /** With the goodbye of TLS. */
        private fun close() {
            runCatching { socket.close() }
            abort()
        }

        /** At once, whoever reads or writes. */
        fun abort() {
            // The writer would wait for a reply for ever.
            replies.put(THE_END)
            upgrade.countDown()
            runCatching { tcp.close() }
        }
    }

}

private const val BACKLOG = 50
private val THE_END = Reply(connection = 0UL, send = ByteArray(0), then = Then.CLOSE)
private const val READ_OCTETS = 16_384

/** Longest sleep of the clock's thread. */
private const val LOOK_MS = 10_000L

private fun nowMs(): ULong = (System.nanoTime() / 1_000_000).toULong()

private fun direct(bytes: ByteArray): ByteBuffer = ByteBuffer.allocateDirect(bytes.size).apply { duplicate().put(bytes) }

/** What cannot be carried out is the test's to mend: the machine's own exception is no public one. */
private fun <T> told(work: () -> T): T =
    try {
        work()
    } catch (error: TestingException) {
        throw IllegalArgumentException(error.message, error)
    }
