/**
 * Log in to IMAP, POP3 and SMTP with OAuth 2.0 access tokens, and stay logged in.
 *
 * The front door is {@link sessions}, which stays logged in: it yields a connection each time that one is due. For one
 * login, {@link connect} gives a TLS socket; {@link discover} finds the servers of a mail address. Without a token of the program's
 * own they take what the command `mailbearer login` has stored. `mailbearer/imapflow` and `mailbearer/nodemailer` have the clients that
 * people already use, logged in. The machines below them ({@link Negotiation}, {@link Watch}, {@link Session}) and the pure
 * functions ({@link classify}, {@link initialResponse}, {@link readRejection}) are for programs that have sockets or a mail
 * library of their own. `mailbearer/testing` is a Gmail-like server for tests. All times are milliseconds.
 *
 * @module mailbearer
 */
export {
    AccessToken,
    AccountMachine,
    acknowledgement,
    ADVICES,
    CAUSES,
    CERTAINTIES,
    classify,
    Discovered,
    initialResponse,
    Negotiation,
    Provider,
    readRejection,
    Session,
    Transcript,
    version,
    Watch,
} from "./core";
export type {
    AccountMachineOptions,
    AccountPlan,
    AccountSettings,
    AccountStatus,
    Action,
    Advice,
    Aftermath,
    Authenticated,
    Cause,
    Certainty,
    Delivery,
    DiscoveredFacts,
    EventKind,
    FactSource,
    Failure,
    FoundOAuth,
    FoundService,
    InitialResponse,
    LoginSettings,
    Look,
    Mailbox,
    MailboxEvent,
    MailProtocol,
    Mechanism,
    MxRecord,
    Names,
    OAuth,
    Order,
    Phase,
    Plan,
    Rejection,
    Service,
    SessionSettings,
    SessionStatus,
    SrvRecord,
    Standing,
    Status,
    Step,
    Sureness,
    Tls,
    TraceLine,
    Trouble,
    Verdict,
} from "./core";
export { Account, sessions } from "./account";
export type { AccountOptions, AccountSessionOptions, SessionOptions } from "./account";
export { connect, Connection } from "./connection";
export type { ConnectOptions } from "./connection";
export { discover } from "./discover";
export type { DiscoverOptions } from "./discover";
export { LookupFailed } from "./lookups";
export type { Fetched, FetchOptions, Opener, Resolver } from "./lookups";
export type { OnEvent, SessionEvent } from "./events";
export {
    ConfigError,
    GaveUp,
    InternalError,
    LoginFailed,
    MailbearerError,
    MailboxRefused,
    Misuse,
    NeedsUser,
    ProxyFailed,
    SendFailed,
    SessionEnded,
    TokenSourceFailed,
} from "./errors";
export { explain } from "./explain";
export type { Explanation, ExplainOptions } from "./explain";
export type { SessionPolicy } from "./policy";
export type { IdleOptions } from "./follower";
export { SessionConnection } from "./kept";
export type { NewMessagesOptions } from "./kept";
export { Sessions } from "./sessions";
export type { NextOptions } from "./sessions";
export { clientCredentials, command, stored, tokenFile } from "./sources";
export type { CommandOptions, GoogleServiceAccountOptions, MicrosoftAppOptions, StoredOptions } from "./sources";
export type { RouteOptions, SocketFunction, SocketRequest } from "./route";
export { Endpoint } from "./settings";
export type { LoginOptions, TlsOptions } from "./settings";
export type {
    GoogleAuth,
    GoogleAuthClient,
    MsalApplication,
    TokenAnswer,
    TokenFunction,
    TokenRequest,
    TokenSource,
} from "./tokens";
export { CHANNELS } from "./channels";
export type { DialogueLine } from "./channels";
export type { WatchOptions } from "./audience";
export type { Logger } from "./logger";
export type { DialogueOf, Trace } from "./trace";
