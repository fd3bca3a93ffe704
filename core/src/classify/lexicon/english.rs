//! English: what is spoken of, and what is said of it.

use super::{always, denied, plain};
use crate::classify::concepts::Concept::{
    Account, Again, Aged, AppPassword, Argument, Auth, Authenticated, Backend, Blocked, Busy,
    Cancelled, Certificate, Change, ClientHost, ClientName, Command, Connection, Credential,
    Denied, Elsewhere, Expired, Folder, Idle, Inactive, Internal, Invalid, Later, Locked,
    LockedOut, Login, Logon, Lookup, Mailbox, Malformed, Mechanism, Message, Mismatch, Must,
    NotAllowed, NotConnected, NotOpened, NotValid, Off, Or, Person, Plan, Policy, Protocol, Rate,
    Recipient, Scope, Security, Server, Service, Session, Shutdown, SystemError, ThisIs, TimedOut,
    Tls, Token, TooLong, TooMany, Unavailable, Unexplained, Unknown, Unsupported, UserName,
    Verification, WrongState,
};
use crate::classify::concepts::Stems;

/// What is spoken of.
#[rustfmt::skip] // A concept is a paragraph.
pub(super) const SUBJECTS: &[Stems] = &[
    always(Account, "account~|user|domain|customer~|apple id|tenant|domain's|users"),
    always(AppPassword, "\
        application password|app password|specific password|authorization code|totp|step verification|two factor|\
        second factor|device password|bridge password|mailbox password|external password|special password|\
        client password|third party password|authorisation code|auth code|secure mail key|factor auth~|otp|mfa"),
    always(Argument, "argument~|parameter~|initial response"),
    always(Auth, "auth~"),
    always(Backend, "\
        cluster|upstream|indexed|indexing|node|replica~|hardware|raid|nfs|mount~|machine|pipe|child|cache|lookup|\
        directory serv~|data center|datacenter|storage|corrupt~"),
    always(Certificate, "certificate~"),
    always(Change, "chang~|reset|update|choose|temporary password"),
    always(ClientHost, "ip|address~|client host|client blocked|location|network|country|your host"),
    always(ClientName, "helo|ehlo|domain name|hostname"),
    always(Command, "command~|protocol errors|verb"),
    always(Connection, "connection~|simultaneous|concurrent|sessions|thread|clients"),
    always(Credential, "credential~|password~|passwd|passcode|passphrase|secret"),
    always(Login, "login~"),
    always(Logon, "logon"),
    always(Lookup, "lookup failed"),
    always(Mailbox, "mailbox~|maildrop|mail box|inbox"),
    always(Mechanism, "\
        mechanism~|method~|type|basic|oauth~|xoauth2|sasl|mech|scheme|apop|digest~|ntlm|gssapi|kerberos|\
        modern auth~|plain|cram~"),
    always(Message, "message"),
    always(Person, "\
        postmaster|administrator|admin|helpdesk|help desk|service desk|your provider|your isp|hotline|call us|\
        write to|sysadmin|contact~"),
    plain(Person, "support"),
    always(Plan, "\
        premium|subscri~|licen~|paid|your plan|package|invoice|payment|sign up|unpaid|overdue|past due|billing|\
        free accounts|free plan|credits|balance|upgrad~|renew~|pro users|trial|buy|purchase|contract|pay|settle~"),
    always(Policy, "\
        policy|policies|conditional access|criteria|filter~|whitelist|third party|your organi~|reputation|ptr|\
        security reasons|geo~|compliance|embargo~|region|spam~|abus~|fraud~|phish~|hacked|compromised|stolen|vpn|\
        blocklist~|block list~|rbl|reverse dns|dynamic|dialup|residential|unsolicited|trusted|approved|less secure|\
        unregistered|risk~|threat|office hours|working hours|time of day|managed device~|device|unknown location|\
        new location|unusual location|administratively prohibited|by your admin~|by the admin~|by admin~|is listed|\
        violated|violating|r dns|dnsbl|firewall|parental|complaints"),
    always(Protocol, "imap|imap4|pop|pop3|smtp|protocol|jmap|legacy"),
    always(Rate, "\
        throttl~|rate|bandwidth|attempts|requests|too fast|too often|too frequent~|every minutes|rapid~|quickly|\
        flood~|brute~|backoff|back off|cooldown|per hour|per minute|per day|ratelimit~|failures|penalt~|tarpit~|\
        hourly|daily|allowance"),
    always(Recipient, "recipient"),
    always(Scope, "scope~|insufficient|permission|privileg~|lacks"),
    always(Security, "unsafe|not safe"),
    always(Server, "server"),
    always(Service, "service|access|sending|feature|function~|mail client~|mail program~|apps|client submission"),
    always(Session, "session"),
    always(ThisIs, "this is"),
    always(Tls, "\
        tls|ssl|starttls|stls|encrypt~|unencrypted|cleartext|plaintext|clear text|plain text|secure connection|\
        secured connection|security layer|privacy required|insecure|unsecured|cipher~"),
    always(Token, "token~|jwt|bearer|assertion|api key|grant"),
    always(UserName, "username|userid|login name|email address|full email|full address"),
    always(Verification, "\
        browser|web login|web for|robot|captcha|consent|suspicious|unusual activity|unlock|terms|agree~|web ui|\
        web interface|multi factor|change your password|reset your password|password change|via the web|\
        control panel|verif~ your|verif~ that|prove~|human|bot|bots|challenge required|verification required|\
        verification needed|additional verification|identity verification|phone number|mobile number|phone verif~|\
        sms|sign in attempt|privacy notice|privacy policy|acceptance|accept the|activat~ your|unusual sign|\
        unusual login|finish the|registration|re enable|reactivat~|interaction required|interactive|confirm your|\
        confirmation required|to webmail|via webmail|in webmail|invalid grant"),
];

/// What is said of it.
#[rustfmt::skip]
pub(super) const STATES: &[Stems] = &[
    always(Aged, "open for too long|connection time|lifetime|duration"),
    always(Again, "reconnect|relogin|reset by peer|kicked|killed"),
    plain(Authenticated, "authenticated"),
    always(Blocked, "\
        block~|suspend~|banned|barred|pending|awaiting|account has been cancel~|black~|frozen|closed|deleted|\
        abnormal|migrated|quarantin~|terminated|erased|purged|archived|unconfirmed|unverified|unapproved|ceased|\
        flagged|dormant|hold|decommission~|unprovisioned|unlicensed|has left|no longer with"),
    plain(Blocked, "ended"),
    denied(Blocked, "verified|confirmed"),
    always(Busy, "\
        out of memory|congest~|heavy|high traffic|resources|capacity|saturated|swamped|overwhelmed|queue|are full|\
        system full|memory exhausted|enough memory"),
    plain(Busy, "\
        busy|load~|overload~|another session|another client|another program|currently used|logined|user already|\
        occupied"),
    always(Cancelled, "abort~|cancel~|client quit|interrupted"),
    always(Denied, "denied|forbidden|unauthorized"),
    always(Elsewhere, "\
        wrong host|wrong server|wrong port|different server|another server|incorrect server|use port|\
        connect to port|submission port|server name|obsolete server|lives on|moved to|located on|hosted on|\
        hosted elsewhere|this port"),
    always(Expired, "invalidated|lapsed|revoked"),
    always(Folder, "selected mailbox"),
    always(Idle, "\
        idle|inactivity|lost input|autologout|inactive for|autologoff|auto logout|nothing heard|heard nothing"),
    denied(Idle, "activity|input|command~"),
    always(Inactive, "inactive"),
    denied(Inactive, "activ~"),
    always(Internal, "\
        internal|server error|fatal|crashed|spooling|write error|read error|disk|exception|backend|database|ldap|\
        connection lost|unable to connect|could not connect|failed to open|went wrong|negotiation|technical|\
        unhandled|redis|dns|socket|fork|malloc|allocat~|panic|bug|daemon|bad happened|local error|local problem|\
        misconfigur~|failed to connect|failed to access|cannot connect|can't connect|cannot contact|unexpected|\
        ~sql~|i o error|db|dbase|operating system|general failure|general error|undefined|unspecified|io failure|\
        internet connection|took too long"),
    always(Invalid, "\
        fail~|invalid|incorre~|bad|errors|erroneous|auth~ error|login error|token~ reject~|credential~ reject~"),
    denied(Invalid, "accepted"),
    always(Later, "\
        later|temporar~|maintenance|come back|soon|being migrated|being moved|being rebuilt|being upgraded|tempfail|\
        transient|momentar~|a few minutes|some minutes|few moments|some time|shortly|postponed|greylist~|graylist~|\
        wait a|please wait|at this time|right now|for now|at the moment|at present|tomorrow|starting up|\
        being created|being restored|being repaired|syncing|synchroni~|standby|stand by|migrating|one moment|\
        backup in progress|migration in progress|update in progress|upgrade in progress|sometime|retry operation|\
        yet|an hour|next hour|be patient|hang on|hold on|having a bad|updates|again in|a while|for minutes|\
        for hours|for seconds"),
    always(Locked, "\
        lock~|in use|exclusive|already open|other session|concurrent session|opened by|being used|another process|\
        exclusively|previous session|old session"),
    // Yahoo says it to good credentials after many logins.
    always(LockedOut, "incorrect username"),
    always(Malformed, "\
        syntax|decode|format|malformed|challenge|base64|bad protocol|authentication string|auth string|parse|\
        parsing|decoding|encod~|utf~|illegal char~|invalid char~|nul char~|bad sequence|out of sequence|\
        invalid sasl|payload|garbled"),
    denied(Malformed, "provided|specified|supplied"),
    always(Mismatch, "mismatch~|differ~|normali~"),
    denied(Mismatch, "match|same"),
    always(Must, "\
        unencrypted|mandatory|enforced|obligatory|necessary|secure connection|encrypted connection|no required|\
        full address"),
    plain(Must, "must|need~|before you|use tls|use ssl|first|requir~|only"),
    denied(Must, "present|active|established|started"),
    always(NotAllowed, "\
        are refused|may not|host rejected|allows only|restricted|disallowed|prohibit~|ineligible|no right~"),
    denied(NotAllowed, "allowed|permitted|list|authorized|authorised|eligible|entitled|welcome|use"),
    denied(NotConnected, "connected"),
    always(NotOpened, "\
        unable to open|unable to access|unable to scan|can't open|cannot open|cannot access|unable to read|\
        unable to get|unable to create|unable to process|cannot read|cannot load|can't read|can't get|\
        failed to read|could not load|could not read|error opening|error reading|error accessing|read fail~|\
        open fail~"),
    always(NotValid, "certificate error"),
    denied(NotValid, "valid"),
    always(Off, "disabled|enable~|off|discontinued|withdrawn|deactivated|deprecated|retired|removed"),
    denied(Off, "have|included|activated|configured|granted|provisioned"),
    plain(Or, "or"),
    always(Shutdown, "shut~ down|shutdown|reboot|going down|restart~|stopping|reload~|redeploy~"),
    always(SystemError, "system error"),
    always(TimedOut, "timed out|timeout|time out|timer|timing out|time limit"),
    always(TooLong, "too long|too large|longer than|response limit"),
    always(TooMany, "\
        too many|only one|slow down|used up|frequency limited|exceed~|limit|maximum|too much|excessive~|surpass~|\
        exhausted|overuse|limits|reached|repeated|max|quota|threshold|more than|already hold|more sessions|\
        more connections"),
    always(Unavailable, "\
        unavailable|is down|system down|offline|unable to reach|out of service|unreach~|no response|outage|degraded|\
        downtime|went away|unexpectedly"),
    denied(Unavailable, "available|ready|answer~|respond~|running|operational|reachable|online|working|determine"),
    // Postfix, where its authentication server gives no reason.
    always(Unexplained, "reason unavailable"),
    always(Unknown, "\
        unknown|unrecognized|no account|invalid user|no mailbox|no such|is incorrect|nonexist~|no user|no entry|\
        missing|unsupported domain|unimplemented|illegal command|bad command|invalid command"),
    denied(Unknown, "\
        recognized|recognised|known|compute|exist~|found|find|local|registered|defined|located|a mailbox|served|\
        hosted|valid command|implemented"),
    always(Unsupported, "\
        unsupported|invalid auth~ mechanism|stronger|not implemented|no mechanism|no worthy|weak|no auth"),
    denied(Unsupported, "support~|offer~|sasl|advertised|handle~|defined|understood|understand|possible"),
    always(WrongState, "state|identity changes|already"),
];
