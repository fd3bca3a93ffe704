package org.mailbearer.angus

import jakarta.mail.Folder
import jakarta.mail.MessagingException
import jakarta.mail.Quota
import jakarta.mail.Session
import jakarta.mail.URLName
import jakarta.mail.event.MailEvent
import org.eclipse.angus.mail.iap.ProtocolException
import org.eclipse.angus.mail.imap.DefaultFolder
import org.eclipse.angus.mail.imap.IMAPFolder
import org.eclipse.angus.mail.imap.IMAPStore
import org.eclipse.angus.mail.imap.ResyncData
import org.eclipse.angus.mail.imap.protocol.IMAPProtocol
import org.eclipse.angus.mail.imap.protocol.ListInfo
import org.eclipse.angus.mail.imap.protocol.Status

/**
 * A store that has one connection. Angus Mail wants a second one for what it asks while a folder is open, be it only whether it is
 * connected, and ends the whole store where it gets none. Here the open folder's connection answers that, too.
 */
internal class OneConnectionStore(session: Session) : IMAPStore(session, URLName("imap", null, -1, null, null, null)) {
    @Volatile private var selected: OneConnectionFolder? = null

    /** The folder that has the connection. */
    val open: OneConnectionFolder? get() = selected?.takeIf { it.hasConnection }

    fun opened(folder: OneConnectionFolder) {
        selected = folder
    }

    override fun newIMAPFolder(fullName: String, separator: Char, isNamespace: Boolean?): IMAPFolder =
        OneConnectionFolder(fullName, separator, this, isNamespace)

    override fun newIMAPFolder(listed: ListInfo): IMAPFolder = OneConnectionFolder(listed, this)

    override fun getDefaultFolder(): Folder {
        // It throws where the store is closed.
        super.getDefaultFolder()
        return OneConnectionRoot(this)
    }

    override fun isConnected(): Boolean = open?.isOpen ?: super.isConnected()

    override fun hasCapability(capability: String): Boolean =
        open?.let { it.doCommand { protocol -> protocol.hasCapability(capability) } as Boolean } ?: super.hasCapability(capability)

    @Suppress("UNCHECKED_CAST")
    override fun id(clientParams: Map<String, String>?): Map<String, String>? {
        val folder = open ?: return super.id(clientParams)
        return folder.doOptionalCommand("ID not supported") { it.id(clientParams) } as Map<String, String>?
    }

    @Suppress("UNCHECKED_CAST")
    override fun getQuota(root: String): Array<Quota>? {
        val folder = open ?: return super.getQuota(root)
        return folder.doOptionalCommand("QUOTA not supported") { it.getQuotaRoot(root) } as Array<Quota>?
    }

    override fun setQuota(quota: Quota) {
        val folder = open ?: return super.setQuota(quota)
        folder.doOptionalCommand("QUOTA not supported") { it.setQuota(quota) }
    }

    override fun getPersonalNamespaces(): Array<Folder> = closed { super.getPersonalNamespaces() }

    override fun getUserNamespaces(user: String): Array<Folder> = closed { super.getUserNamespaces(user) }

    override fun getSharedNamespaces(): Array<Folder> = closed { super.getSharedNamespaces() }

    override fun idle(): Unit = closed { super.idle() }

    /** What only a store without an open folder can do. */
    private fun <T> closed(work: () -> T): T {
        open?.let { throw MessagingException(words(it)) }
        return work()
    }
}

internal class OneConnectionFolder : IMAPFolder {
    constructor(fullName: String, separator: Char, store: OneConnectionStore, isNamespace: Boolean?) : super(fullName, separator, store, isNamespace)

    constructor(listed: ListInfo, store: OneConnectionStore) : super(listed, store)

    val hasConnection: Boolean get() = protocol != null

    /** The folder of this store that has the connection in place of this one. */
    private val other: OneConnectionFolder? get() = if (hasConnection) null else (store as OneConnectionStore).open

    override fun open(mode: Int, resync: ResyncData?): List<MailEvent>? {
        other?.let { throw MessagingException(words(it)) }
        return super.open(mode, resync).also { (store as OneConnectionStore).opened(this) }
    }

    /** Over the folder that has the connection, which ends its IDLE before and begins none meanwhile. */
    public override fun doProtocolCommand(command: ProtocolCommand): Any? {
        val open = other ?: return super.doProtocolCommand(command)
        return open.doProtocolCommand(command)
    }

    /** What Angus Mail asks past that, which may select another folder. */
    override fun getStoreProtocol(): IMAPProtocol {
        other?.let { throw ProtocolException(words(it)) }
        return super.getStoreProtocol()
    }

    // Else Angus Mail takes a connection that it did not get for one that has ended.
    override fun releaseStoreProtocol(protocol: IMAPProtocol?) {
        if (protocol != null) super.releaseStoreProtocol(protocol)
    }

    override fun getMessageCount(): Int = if (other == null) super.getMessageCount() else status("MESSAGES").total

    override fun getNewMessageCount(): Int = if (other == null) super.getNewMessageCount() else status("RECENT").recent

    override fun getUnreadMessageCount(): Int = if (other == null) super.getUnreadMessageCount() else status("UNSEEN").unseen

    private fun status(item: String): Status = doCommand { it.status(fullName, arrayOf(item)) } as Status
}

/** The root of the folders. */
internal class OneConnectionRoot(store: OneConnectionStore) : DefaultFolder(store) {
    override fun doProtocolCommand(command: ProtocolCommand): Any? {
        val open = (store as OneConnectionStore).open ?: return super.doProtocolCommand(command)
        return open.doProtocolCommand(command)
    }
}

private fun words(open: OneConnectionFolder): String =
    "a store over a connection of mailbearer has only this one, and ${open.fullName} has it: close that folder first"
