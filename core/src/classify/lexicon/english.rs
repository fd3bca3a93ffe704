//! English: what is spoken of, and what is said of it.

use super::{always, denied, plain};
use crate::classify::concepts::Concept::{
    Account, Again, Aged, AppPassword, Argument, Auth, Authenticated, Backend, Blocked, Busy,
    Cancelled, Certificate, Change, ClientHost, ClientName, Command, Connection, Credential,
    Denied, Elsewhere, Expired, Folder, Full, Idle, InUse, Inactive, Internal, Invalid, Later,
    Layer, Locked, LockedOut, Login, Logon, Lookup, Mailbox, Malformed, Mechanism, Message,
    Mismatch, Must, NotAllowed, NotConnected, NotOpened, NotValid, Off, Or, Other, Person, Plan,
    Policy, Proof, Protocol, Rate, Recipient, Scope, Security, Server, Service, Session, Shutdown,
    Suspended, SystemError, ThisIs, TimedOut, Tls, Token, TokenService, TooLong, TooMany,
    Unavailable, Underway, Unexplained, Unknown, Unsupported, UserName, Verification, WrongState,
};
use crate::classify::concepts::Stems;

/// What is spoken of.
#[rustfmt::skip] // A concept is a paragraph.
pub(super) const SUBJECTS: &[Stems] = &[
    always(Account, "account~|user|domain~|customer~|apple id|tenant|users|subscriber~|membership"),
    always(AppPassword, "\
        app~ password~|app~ specific|specific password~|authori~ code|totp|step verif~|two factor|second factor|\
        device password|bridge password|mailbox password|external password|special password|client password|\
        third party password|auth code|secure mail key|factor auth~|otp|mfa|app~ key|2fa|2sv|security code|one time|\
        dedicated password|separate password|generated password|backup code|app~ code|authenticator"),
    always(Argument, "argument~|parameter~|initial response"),
    always(Auth, "auth~"),
    always(Backend, "\
        store|maildir path|cluster|upstream|indexing|node|replica~|hardware|raid|nfs|mount~|machine|pipe|child|cache|lookup|\
        directory serv~|data center|datacenter|storage|corrupt~|auth server|authentication server|idp|filesystem|\
        file system|oauth provider|oidc provider|authorization server|keys|loop"),
    always(Certificate, "certificate~"),
    always(Change, "chang~|reset|update|choose|temporary password"),
    always(ClientHost, "ip|address~|client host|client blocked|location|network|country|your host"),
    always(ClientName, "helo|ehlo|domain name|hostname"),
    always(Command, "command~|protocol errors|verb|auth is"),
    always(Connection, "connection~|simultaneous|concurrent|sessions|thread|clients"),
    always(Credential, "credential~|password~|passwd|passcode|passphrase|secret"),
    always(Login, "login~"),
    always(Logon, "logon"),
    always(Lookup, "lookup failed"),
    always(Mailbox, "mailbox~|maildrop|mail box|inbox"),
    always(Mechanism, "\
        mechanism~|method~|type|basic|oauth~|xoauth2|sasl|mech|scheme|apop|digest~|ntlm|gssapi|kerberos|\
        modern auth~|plain|cram~|scram~|channel binding"),
    always(Message, "message"),
    always(Person, "\
        postmaster|administrator|admin|helpdesk|help desk|service desk|your provider|your isp|hotline|call us|\
        write to|sysadmin|customer serv~|customer care|it department|webmaster|ask your|reach out|speak to|\
        call our|helpline|security team|admins|a ticket"),
    plain(Person, "support|contact~"),
    always(Plan, "\
        premium|subscri~|licen~|paid|your plan|package|invoice|payment|sign up|unpaid|overdue|past due|billing|\
        free accounts|free plan|credits|balance|upgrad~|renew~|pro users|trial|buy|purchase|contract|pay|settle~|\
        tier|edition|add on|addon|fee|arrears|debt|funds|bill|prepaid|pricing|top up|free users|free version|\
        business account"),
    always(Policy, "\
        policy|policies|conditional access|criteria|filter~|whitelist|third party|your organi~|reputation|ptr\
        |geo~|compliance|embargo~|region|spam~|abus~|fraud~|phish~|hacked|compromised|stolen|vpn|\
        blocklist~|block list~|rbl|reverse dns|dynamic|dialup|residential|unsolicited|trusted|approved|less secure|\
        unregistered|risk~|threat|office hours|working hours|time of day|managed device~|device|unknown location|\
        new location|unusual location|administratively prohibited|by your admin~|by the admin~|by admin~|is listed|\
        violated|violating|r dns|dnsbl|firewall|parental|complaints|abroad|roaming|foreign|untrusted|distrusted|\
        rule~|security defaults|invalid client|unauthorized client|client id|out of hours|business hours|tor exit|\
        hosting provider|data center ip|suspected|malicious|breach~|leaked|unusual country|restricted by|\
        administrative~ lock~|internal address~|for security|debtor"),
    always(Proof, "credential~"),
    always(Protocol, "imap|imap4|pop|pop3|smtp|protocol|jmap|legacy|activesync|pops|imaps|webdav|caldav|ews"),
    always(Rate, "\
        throttl~|rate|bandwidth|attempts|requests|too fast|too often|too frequent~|every minutes|quickly|flood~|\
        brute~|backoff|back off|cooldown|per hour|per minute|per day|ratelimit~|failures|penalt~|tarpit~|hourly|\
        daily|allowance|hammer~|tries|retries|consecutive|successive|short time|short period|burst|logins per|\
        per second|frequently|rapid~|frequency too|polling|interval|too soon|so often|cool off|last login"),
    always(Recipient, "recipient"),
    always(Scope, "scope~|insufficient|permission|privileg~|lacks|claim missing|missing claim|no claim"),
    always(Security, "unsafe|not safe"),
    always(Server, "server"),
    always(Service, "\
        service|access|sending|feature|function~|mail client~|mail program~|apps|client submission|email client~|\
        external program~|clients are|external clients"),
    always(Session, "session"),
    always(ThisIs, "this is"),
    always(Tls, "\
        tls|ssl|starttls|stls|encrypt~|unencrypted|cleartext|plaintext|clear text|plain text|secure connection|\
        secured connection|security layer|privacy required|insecure|unsecured|cipher~|a layer"),
    always(Token, "token~|jwt|bearer|assertion|api key|grant|ticket expired|signature|claim|issuer|audience"),
    always(TokenService, "aadsts50053|aadsts50196|aadsts9003~|aadsts9005~"),
    always(UserName, "\
        username|userid|login name|email address|different user|the name must|full email|full address|complete email|complete address"),
    always(Verification, "\
        browser|robot|captcha|consent~|unusual activity|unlock|terms|agree~|web ui|web interface|multi factor|\
        change your password|reset your password|password change|control panel|verif~ your account|verif~ your identity|verif~ your mail~|verif~ your email|verif~ your phone|verif~ your device|verif~ yourself|verif~ that|prove~|human|\
        bot|bots|verification required|verification needed|additional verification|identity verification|\
        phone number|mobile number|phone verif~|sms|sign in attempt|privacy notice|privacy policy|acceptance|\
        accept the|activat~ your|unusual sign|unusual login|finish the|registration|re enable|reactivat~|\
        interaction required|interactive~|confirm your|confirmation required|invalid grant|aadsts~|refresh token|invalid refresh|expired refresh|login required|\
        log in to your|login to your|sign in to your|log in via|login via|log in at|log in through|\
        login through|log into|validate your|security check~|security question~|identity check|re verif~|reverif~|\
        reauthori~|re authori~|grant access|authorize the|authorise the|eula|tos|secure your|review your|\
        recent activity|confirm that|confirm ownership|new device|unrecognized device|was this you|link your|\
        complete the|complete your|webmail|web mail|portal|dashboard|my account|account page|kyc|\
        challenge~ required|suspicious activ~|suspicious log~|suspicious access|suspicious behav~|action needed|action required|attention"),
];

/// What is said of it.
#[rustfmt::skip]
pub(super) const STATES: &[Stems] = &[
    always(Aged, "open for too long|connection time|lifetime|duration|session length|ttl|long ago"),
    always(Again, "reconnect|connection reset|session terminated|relogin|reset by peer|kicked|killed"),
    plain(Authenticated, "authenticated"),
    always(Blocked, "\
        block~|suspend~|bann~|barred|pending|awaiting|account has been cancel~|account cancel~|black~|froz~|closed|delet~|abnormal|\
        migrated|quarantin~|erased|purged|archiv~|unconfirm~|unverif~|unapprov~|ceased|flagged|dormant|hold|\
        decommission~|unprovisioned|unlicensed|has left|no longer with|limited|halted|defunct|gone|impounded|\
        withheld|seized|revoked access|expelled|revocation|deprovision~|no longer a|no longer host~|no longer has|\
        incomplete|anymore|any longer"),
    plain(Blocked, "ended"),
    denied(Blocked, "verified|confirmed"),
    always(Busy, "\
        congest~|heavy|high traffic|capacity|saturat~|swamp~|overwhelm~|queue|are full|system full\
        |backlog|high demand|too many users|resources|slots|threads|no free|struggling|shed|backpressure|processes|out of memory|memory exhausted|enough memory|no memory|memory left|insufficient memory"),
    plain(Busy, "\
        busy|load~|overload~|another session|another client|another program|currently used|logined|user already|\
        occupied|another location|another computer|opened elsewhere|open elsewhere|on elsewhere|in elsewhere"),
    always(Cancelled, "abort~|cancel~|client quit|interrupted"),
    always(Denied, "denied|forbidden|unauthorized|is refused"),
    always(Elsewhere, "\
        wrong host|wrong server|wrong port|different server|another server|incorrect server|use port|\
        connect to port|submission port|server name|obsolete server|lives on|moved to|located on|hosted on|\
        hosted elsewhere|this port"),
    always(Expired, "invalidated|lapsed|revoked|out of date|dead|too old"),
    always(Folder, "selected mailbox"),
    always(Full, "over quota|mailbox full|is full|storage full|storage limit|over its quota|over your quota"),
    always(Idle, "\
        idle|inactivity|lost input|autologout|inactive for|autologoff|auto logout|nothing heard|heard nothing"),
    denied(Idle, "activity|input|command~"),
    always(Inactive, "inactive"),
    denied(Inactive, "activ~"),
    always(Internal, "\
        internal|server error|fatal|crash~|spooling|write error|read error|disk|exception|backend|database|ldap|\
        connection lost|unable to connect|failed to open|went wrong|negotiation|technical|unhandled|redis|dns|\
        socket|fork|malloc|allocat~|panic|bug|daemon|bad happened|local error|local problem|misconfigur~|\
        failed to connect|failed to access|cannot connect|can't connect|unexpected~|~sql~|i o error|\
        db|dbase|operating system|general failure|general error|unspecified|io failure|internet connection|\
        took too long|introspect~|jwks|userinfo|identity provider|malfunction~|broken|oops|not connect|\
        connection failed|radius|pam|authdaemon|auth~ service|undefined~|overflow|server connection|network error|\
        network fail~|network problem|chdir|rpc|no route|upstream error|gateway|quorum|circuit breaker|connection reset"),
    always(Invalid, "\
        fail~|invalid~|incorre~|bad|errors|auth~ error|login error|token~ reject~|credential~ reject~|\
        wrong password|wrong username|wrong user|wrong login|not recogni~|unsuccessful~|mistyped|unable to log|\
        unable to auth~|unable to verify|auth~ reject~|login reject~"),
    denied(Invalid, "accepted|authenticated"),
    // What a server asks for it, and names before it hands on what that said.
    always(Layer, "pam|ldap|sasl|rpc|backend"),
    always(Later, "\
        closed for the|later|temporar~|maintenance|come back|being migrated|being moved|being rebuilt|being upgraded|tempfail|\
        transient|momentar~|some minutes|few moments|some time|shortly|postponed|greylist~|graylist~|wait a|\
        please wait|at this time|right now|for now|at the moment|at present|tomorrow|starting up|being created|\
        being restored|being repaired|syncing|synchroni~|standby|stand by|migrating|one moment|\
        update in progress|upgrade in progress|sometime|retry operation|yet|an hour|next hour|hang on|hold on|\
        having a bad|updates|a while|for minutes|for hours|for seconds|wait until|retry after|retry in|try in|\
        after minutes|next few|interim|interruption|under construction|being performed|being updated|\
        being processed|being set|provisioning|sleeping|waking up|warming up|booting|rebalanc~|failover|electing|\
        trylater|a few|again in minutes|again in hours|again in seconds|again in a|back soon|again soon|\
        be soon|migration|seconds ago|up to hours|for upgrade|must wait|back at|back in|after some|in a minute|us a minute|backup|right back|failing over|minute ago|moment ago|minutes ago|temp fail"),
    always(InUse, "\
        in use|already open|other session|opened by|being used|another process|\
        previous session|old session|exclusive~|session active|another login|duplicate login|two sessions|\
        second session|someone else|not free|already in a|mailbox open"),
    always(Locked, "lock~"),
    // Yahoo says it to good credentials after many logins.
    always(LockedOut, "incorrect username"),
    always(Malformed, "\
        syntax|decode|format|malformed|challenge|base64|bad protocol|authentication string|auth string|parse|\
        parsing|decoding|encod~|utf~|illegal char~|invalid char~|nul char~|bad sequence|out of sequence|\
        invalid sasl response|payload|garbled|mangled|truncated|unparsable|unparseable|not base|invalid xoauth2|\
        invalid oauth~|invalid plain"),
    denied(Malformed, "provided|specified|supplied"),
    always(Mismatch, "mismatch~|differ~|normali~|act for"),
    denied(Mismatch, "match|same"),
    always(Must, "\
        unencrypted|mandatory|enforced|obligatory|necessary|secure connection|encrypted connection|no required|\
        full address|switch to|use a secure|full email|complete email"),
    plain(Must, "must|need~|before you|use tls|use ssl|first|requir~|only"),
    denied(Must, "present|active|established|started"),
    always(NotAllowed, "\
        are refused|may not|host rejected|allows only|restrict~|disallow~|prohibit~|ineligible|no right~|not accept|\
        allowlist~|exempt|no service|not from"),
    denied(NotAllowed, "\
        allowed|permitted|list|authorized|authorised|eligible|entitled|welcome|use|allow|permit|permission~|\
        privilege~|qualif~|support~ for your|available for your|available to your|available on your|\
        available in your|available for this|available to this|part of"),
    denied(NotConnected, "connected"),
    always(NotOpened, "\
        unable to access|unable to scan|cannot access|unable to read|\
        unable to get|unable to create|unable to process|cannot read|can't read|can't get|\
        failed to read|could not read|error opening|error reading|error accessing|read fail~\
        "),
    always(NotValid, "certificate error"),
    denied(NotOpened, "open|load"),
    denied(NotValid, "valid"),
    always(Off, "\
        enable~|off|discontinued|withdrawn|deactivated|deprecated|retire~|remov~|turned on|switched on|turn on|\
        switch on|be activated|inactivated|opt in|toggle|unavailable for your|unavailable for this|~disabl~|unavailable to"),
    // What goes on now: a login may come too early for it.
    always(Underway, "mode|under repair|being|relocated|moving your|window|underway|in progress"),
    always(Other, "another|someone|somebody|somewhere"),
    denied(Off, "have|configured|granted|provisioned|set up|opted|switched|turned|on for|activated"),
    plain(Or, "or"),
    always(Shutdown, "\
        shut~ down|shutdown|reboot|going down|restart~|stopping|reload~|redeploy~|upgrad~ in|coming down|halting"),
    always(Suspended, "suspend~|froz~|deactivated|terminated"),
    always(SystemError, "system error"),
    always(TimedOut, "timed out|timeout|time out|timer|timing out|time limit|~timedout~"),
    always(TooLong, "too long|too large|longer than|response limit"),
    always(TooMany, "\
        slow down|used up|exceed~|limit~|maximum|too much|surpass~|exhausted|overuse|reached|repeated|max|quota~|\
        threshold|more than|already hold|more sessions|more connections|at most|surplus|overflowed|too many|\
        only one|no more logins|at the same time|is enough|logins at|simultaneous|concurrent|parallel|at a time|too high|spent|connections open|close a|close some|close other"),
    always(Unavailable, "\
        unavailable|is down|system down|offline|out of service|unreach~|no response|outage~|degraded|downtime|\
        went away|unresponsive|gone away|dead|down for|can't be reached|cannot be reached|out of order|service paused|stalled|incident|our side|engineers"),
    denied(Unavailable, "\
        available|ready|answer~|respond~|running|operational|reachable|online|determine|reach|working|ask|query|contact~"),
    // Postfix, where its authentication server gives no reason.
    always(Unexplained, "reason unavailable"),
    always(Unknown, "\
        unknown|unrecogni~|no account|invalid user|no mailbox|no such|is incorrect|nonexist~|no user|no entry|\
        missing|unsupported domain|unimplemented|illegal command|bad command|invalid command|never heard"),
    denied(Unknown, "\
        recogni~|known|compute|exist~|found|find|local|registered|defined|located|a mailbox|served|hosted|\
        valid command|implemented|associated|belong"),
    always(Unsupported, "\
        unsupported|invalid auth~ mechanism|stronger|not implemented|no mechanism|no worthy|weak|no auth|\
        incompatible|obsolete|outdated|legacy auth~|invalid auth~ method|invalid mechanism|invalid method"),
    denied(Unsupported, "compiled|installed|support~|offer~|sasl|advertised|handle~|defined|understood|understand|possible|speak~"),
    always(WrongState, "state|identity changes|already"),
];
