/** What the system and OpenSSL say of a connection that fails, as failures of ours. */
import { getSystemErrorMap } from "node:util";
import { type Failure, failureOfCertificate, failureOfConnect, failureOfHost, failureOfTls } from "./core";

/** A connection that could not be opened. */
export function connectFailure(error: Error | null): Failure {
    return failureOfConnect(connectCode(error) ?? "", error === null ? "" : wordsOf(error));
}

/** A TLS handshake that failed; with the DER of the server's certificate, where it showed one. */
export function handshakeFailure(error: Error | null, certificate?: Buffer): Failure {
    if (error === null || isOfSystem(error)) {
        return failureOfHost("connection_lost", "in the TLS handshake");
    }
    const [code, reason] = [codeOf(error) ?? "", reasonOf(error)];
    if (VERIFICATION.test(code)) {
        return failureOfCertificate(reason, certificate ?? Buffer.alloc(0));
    }
    const failure = failureOfTls(`${code} ${reason} ${error.message}`, reason);
    return failure.cause === "wrong_tls_mode"
        ? failureOfHost("wrong_tls_mode", "the server answers in plain text, where TLS was to begin")
        : failure;
}

/** Whether it is of a TLS handshake: Node's and OpenSSL's codes, and the results of OpenSSL's verification. */
export function isOfTls(error: Error): boolean {
    const code = codeOf(error) ?? "";
    return /^ERR_(SSL|TLS|OSSL)_/.test(code) || code === "EPROTO" || VERIFICATION.test(code);
}

/** What the system calls it, as in `ECONNRESET`: Nodemailer puts a code of its own over that. */
export function codeOf(error: unknown): string | undefined {
    const { errno, originalCode, code } = (error ?? {}) as { errno?: unknown; originalCode?: unknown; code?: unknown };
    const ofSystem = typeof errno === "number" ? getSystemErrorMap().get(errno)?.[0] : undefined;
    return [ofSystem, originalCode, code].find((one) => typeof one === "string") as string | undefined;
}

/** A certificate that fails: codes of `X509_verify_cert_error_string`, as Node spells them, and its own for a name. */
const VERIFICATION =
    /^(ERR_TLS_CERT_ALTNAME_INVALID|CERT_|CRL_|UNABLE_TO_|ERROR_IN_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_|HOSTNAME_MISMATCH)/;

/** Of the socket below, and not of TLS: the peer reset the connection, or closed it. */
function isOfSystem(error: Error): boolean {
    return "syscall" in error || codeOf(error) === "ECONNRESET" || codeOf(error) === "EPIPE";
}

/** Node tries the addresses of a host one after the other: one at which nobody listens says more than one with no way. */
function connectCode(error: Error | null): string | undefined {
    if (error instanceof AggregateError) {
        const codes = error.errors.map(codeOf);
        return codes.find((code) => code === "ECONNREFUSED") ?? codes[0] ?? codeOf(error);
    }
    return codeOf(error);
}

/** As in `connect ECONNREFUSED 127.0.0.1:993: connection refused`. */
function wordsOf(error: Error): string {
    if (error instanceof AggregateError && error.errors.length > 0) {
        return error.errors.map((one) => wordsOf(one as Error)).join("; ");
    }
    const { errno } = error as NodeJS.ErrnoException;
    const words = errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1];
    return words === undefined ? error.message : `${error.message}: ${words}`;
}

/** OpenSSL's reason in words. */
function reasonOf(error: Error): string {
    const code = codeOf(error) ?? "";
    if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
        const { host } = error as { host?: unknown };
        return `certificate of another host${typeof host === "string" ? ` than ${host}` : ""}`;
    }
    const { reason } = error as { reason?: unknown };
    if (typeof reason === "string") {
        return reason;
    }
    // Node gives the results of verification as such codes, with OpenSSL's words.
    return VERIFICATION.test(code) || code === "" ? error.message : code.replace(/^ERR_SSL_/, "").toLowerCase();
}
