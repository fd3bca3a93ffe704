/** What the host has seen, in the words of the core. */
import { enter, native } from "../native";
import type { Cause, Failure, Verdict } from "./verdict";

/** A failure that the host saw: of a deadline, of the token source, of the connection. */
export function failureOfHost(cause: Cause, detail: string): Failure {
    return enter(() => native.failureOfHost(cause, detail)) as Failure;
}

/** A connection that could not be opened: the system's name for it, and its words. */
export function failureOfConnect(error: string, words: string): Failure {
    return enter(() => native.failureOfConnect(error, words)) as Failure;
}

/** A TLS handshake that failed: OpenSSL's name for it, and what is told. */
export function failureOfTls(error: string, words: string): Failure {
    return enter(() => native.failureOfTls(error, words)) as Failure;
}

/** A certificate that fails: OpenSSL's reason, and its DER. */
export function failureOfCertificate(reason: string, certificate: Uint8Array): Failure {
    return enter(() => native.failureOfCertificate(reason, certificate)) as Failure;
}

/** What the host saw of the end of a session. */
export function verdictOfHost(cause: Cause): Verdict {
    return enter(() => native.verdictOfHost(cause)) as Verdict;
}

/** The version of this package. */
export const version: string = native.spellings().version;
