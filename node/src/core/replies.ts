/** What replies mean, and what SASL says. */
import { ConfigError } from "../errors";
import { enter, native, optionalNumeric, optionalText, text, texts } from "../native";
import { known, type OptionsOf } from "../options";
import type { MailProtocol, Mechanism } from "./login";
import { AccessToken } from "./token";
import type { Failure, Rejection, Verdict } from "./verdict";

/** When in a dialogue a reply came. */
export type Phase =
    "greeting" | "capability" | "auth_challenge" | "auth_ok" | "auth_fail" | "mid_session" | "disconnect";

/** Names that a reply may hold: they are no words of the server, whatever they mean. */
export interface Names {
    /** The user that logs in. */
    readonly user?: string | undefined;
    /** The server's host. */
    readonly host?: string | undefined;
}

/**
 * What a reply means. Give the `names` of the login where you know them: a user called `idle` is no idle session.
 *
 *     classify("imap", "mid_session", ["* BYE Session invalidated - AccessTokenExpired"]).cause   // "token_expired"
 */
export function classify(
    protocol: MailProtocol,
    phase: Phase,
    replyLines: readonly string[],
    names: Names = {},
): Verdict {
    const [dialect, when, lines] = [text(protocol, "protocol"), text(phase, "phase"), texts(replyLines, "replyLines")];
    const given = checkedNames(names);
    return enter(() => native.classify(dialect, when, lines, given)) as Verdict;
}

const NAMES: OptionsOf<Names> = { user: "string", host: "string" };

function checkedNames(names: Names): native.JsNames {
    known(names, NAMES, "names");
    return { user: optionalText(names.user, "user"), host: optionalText(names.host, "host") };
}

/** A reply as a mail library hands it on: taken apart, and often in part. */
export interface Said {
    /** `NO`, `BAD`, `BYE`, `-ERR`, or the reply code of SMTP; left out where the library does not tell it. */
    readonly status?: string | undefined;
    readonly code?: string | undefined;
    readonly text: string;
}

/** What a reply means that a mail library hands on. */
export function failureOfReply(protocol: MailProtocol, phase: Phase, said: Said, names: Names): Failure {
    const given = checkedNames(names);
    return enter(() => native.explain(protocol, phase, said, given)) as Failure;
}

/** What an error challenge says: as it came over the wire (base64, with or without `+ ` or `334 `) or decoded. */
export function readRejection(challenge: string | Uint8Array): Rejection {
    // The JSON of a server that does not keep to UTF-8 is read as far as it goes.
    const given = challenge instanceof Uint8Array ? Buffer.from(challenge).toString() : text(challenge, "challenge");
    return enter(() => native.readRejection(given)) as Rejection;
}

const IDENTITY = { user: "string", authzid: "string", host: "string", port: "number" } as const;

/** The one SASL message, before base64. `OAUTHBEARER` needs the host. */
export function initialResponse(
    mechanism: Mechanism,
    identity: { user: string; authzid?: string | undefined; host?: string | undefined; port?: number | undefined },
    token: string | AccessToken,
): Buffer {
    known(identity, IDENTITY, "identity");
    const secret = AccessToken.native(token);
    const [name, user] = [text(mechanism, "mechanism"), text(identity.user, "user")];
    const [host, port] = [optionalText(identity.host, "host"), optionalNumeric(identity.port, "port")];
    const authzid = optionalText(identity.authzid, "authzid");
    return ofMechanism(() => native.initialResponse(name, user, secret, host, port, authzid));
}

/** The core knows them as a setting of a login, of which there may be several. */
function ofMechanism<T>(call: () => T): T {
    try {
        return enter(call);
    } catch (error) {
        const words = error instanceof ConfigError ? error.message : "";
        throw words.startsWith("mechanisms ") ? new ConfigError(words.replace("mechanisms ", "mechanism ")) : error;
    }
}

/** The answer to an error challenge, before base64. */
export function acknowledgement(mechanism: Mechanism): Buffer {
    const name = text(mechanism, "mechanism");
    return ofMechanism(() => native.acknowledgement(name));
}
