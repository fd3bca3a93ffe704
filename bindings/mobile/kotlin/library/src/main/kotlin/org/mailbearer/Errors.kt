package org.mailbearer

import java.io.IOException
import org.mailbearer.machine.NoToken
import org.mailbearer.machine.failureOfHost

/**
 * Root of all exceptions of mailbearer. It is an [IOException], because mail clients expect no other from a stream. What the
 * system, TLS or the token source threw is the [cause].
 *
 * It is sealed: a `when` over [ConfigException], [MisuseException], [TokenSourceException], [LoginFailedException] (with
 * [NeedsUserException] and [GaveUpException] before it), [SessionEndedException], [MailboxRefusedException] and [CoreException]
 * needs no `else`.
 */
public sealed class MailbearerException(message: String, cause: Throwable? = null) : IOException(message, cause)

/** A setting cannot work. The text names the field and the place, never the value. */
public class ConfigException internal constructor(message: String, cause: Throwable? = null) : MailbearerException(message, cause)

/** The calling code is wrong: a call that does not fit, or a token source with a bug, whose own error is the cause. */
public class MisuseException internal constructor(message: String, cause: Throwable? = null) : MailbearerException(message, cause)

/**
 * The token source threw, or gave something that is no token. What it threw is the cause.
 *
 * A source throws it by itself, with [permanent], where asking again is in vain until the user acts, as with OAuth's
 * `invalid_grant`.
 */
public class TokenSourceException
internal constructor(message: String, internal val why: NoToken, internal val words: String, cause: Throwable?) :
    MailbearerException(message, cause) {
    public constructor(
        message: String,
        permanent: Boolean = false,
        cause: Throwable? = null,
    ) : this(message, if (permanent) NoToken.PERMANENT else NoToken.OUTAGE, message, cause)

    /** Whether asking again is in vain. */
    public val permanent: Boolean
        get() = why != NoToken.OUTAGE
}

/** The login did not work. The message is a sentence that a person can act on; [failure] has the facts. */
public open class LoginFailedException internal constructor(/** What happened, and what to do. */ public val failure: Failure, cause: Throwable? = null) :
    MailbearerException(failure.sentence, cause)

/** A person must act before it makes sense to go on: [failure] says why, and what to do. */
public class NeedsUserException internal constructor(failure: Failure, cause: Throwable? = null) : LoginFailedException(failure, cause)

/** The program's own settings cannot work, or nothing helps: [failure] says why. */
public class GaveUpException internal constructor(failure: Failure, cause: Throwable? = null) : LoginFailedException(failure, cause)

/** The session is over, in the middle of what the program did with it. The next one follows. */
public class SessionEndedException internal constructor(/** Why it ended. */ public val verdict: Verdict, cause: Throwable? = null) :
    MailbearerException(failureOfHost(verdict.cause, "").sentence, cause)

/**
 * The mailbox cannot be selected, or the server does not search it.
 *
 * @property code RFC 5530 code, such as `NONEXISTENT`.
 * @property serverText what the server said: untrusted, without control characters.
 */
public class MailboxRefusedException internal constructor(public val code: String?, public val serverText: String) :
    MailbearerException("The server refused the mailbox: $serverText")

/** A failure that the host saw: of TLS, of a deadline, of the connection. */
internal fun failed(cause: Cause, detail: String): LoginFailedException =
    LoginFailedException(failureOfHost(cause, detail))

/** What else is to be said where the token that was refused is a text that stays the same. */
internal fun Failure.ofFixedToken(): Failure =
    copy(
        sentence = "$sentence The token was given as a fixed text, which ends with its hour: " +
            "give a function (a TokenSource) that gets a new one."
    )

/** Runs what reads settings: what is wrong with them is the program's to mend. */
internal inline fun <T> configuring(block: () -> T): T =
    try {
        block()
    } catch (error: CoreException.Config) {
        throw ConfigException(error.message ?: "a setting cannot work", error)
    } catch (error: CoreException.Unknown) {
        throw ConfigException(error.message ?: "a name is not known", error)
    }
