package org.mailbearer

// Most tests give a policy, and nothing else of an account.

internal fun Account(user: String, token: TokenSource, policy: SessionPolicy): Account =
    Account(user, token, AccountOptions { this.policy = policy })

internal fun sessions(
    protocol: MailProtocol,
    user: String,
    token: TokenSource,
    options: LoginOptions,
    policy: SessionPolicy,
    snapshot: ByteArray? = null,
    onEvent: ((SessionEvent) -> Unit)? = null,
): Sessions {
    val account = AccountOptions {
        this.policy = policy
        this.snapshot = snapshot
        this.onEvent = onEvent
    }
    return sessions(protocol, user, token, options, account)
}
