package org.mailbearer.sample

/** What the screens show. */
data class Screen(val page: Page, val account: Setup, val notice: Notice, val messages: List<Headline>, val findings: List<Finding>)

enum class Page(val title: String) {
    SETUP("Account"),
    MAIL("Mail"),
    DIAGNOSIS("Diagnosis"),
}

/** The account as it is typed in. */
data class Setup(val address: String = "", val host: String = "") {
    /** What is wrong with it, in words; `null`: nothing that can be seen. */
    val problem: String?
        get() = when {
            address.isEmpty() -> null
            !Regex("""[^@\s]+@[^@\s]+\.[^@\s]+""").matches(address) -> "That is no mail address."
            else -> null
        }

    val isComplete: Boolean
        get() = address.isNotEmpty() && problem == null
}

/** How delivery in the background stands. */
data class Notice(val kind: Kind, val text: String) {
    enum class Kind {
        OFF,
        ON,
        WAITING,
        NEEDS_USER,
    }

    companion object {
        /** After a pass. */
        fun of(outcome: Outcome): Notice =
            when (outcome) {
                is Outcome.UpToDate -> Notice(Kind.ON, "Up to date. The next look comes with a push, or within a quarter of an hour.")
                is Outcome.NeedsUser -> Notice(Kind.NEEDS_USER, outcome.sentence)
                is Outcome.Later -> Notice(Kind.WAITING, outcome.sentence)
            }
    }
}
