/** What the system and OpenSSL say of a connection that fails, as failures of ours. */
import { X509Certificate } from "node:crypto";
import { getSystemErrorMap } from "node:util";
import { type Failure, failureOfConnect, failureOfHost, failureOfTls } from "./core";

/** A connection that could not be opened. */
export function connectFailure(error: Error | null): Failure {
    return failureOfConnect(connectCode(error) ?? "", error === null ? "" : wordsOf(error));
}

/** A TLS handshake that failed; with the certificate, where one was shown. */
export function handshakeFailure(error: Error | null, certificate?: Buffer): Failure {
    const code = codeOf(error);
    if (error === null || isOfSystem(error)) {
        return failureOfHost("connection_lost", "in the TLS handshake");
    }
    const reason = reasonOf(error);
    const failure = failureOfTls(
        `${code ?? ""} ${reason} ${error.message}`,
        certified(reason, certificate === undefined ? undefined : new X509Certificate(certificate)),
    );
    return failure.cause === "wrong_tls_mode"
        ? failureOfHost("wrong_tls_mode", "the server answers in plain text, where TLS was to begin")
        : failure;
}

/** Whether it is of a TLS handshake: Node's and OpenSSL's codes, and the results of OpenSSL's verification. */
export function isOfTls(error: Error): boolean {
    const code = codeOf(error) ?? "";
    return /^ERR_(SSL|TLS|OSSL)_/.test(code) || code === "EPROTO" || VERIFICATION.test(code);
}

/** What the system calls it, as in `ECONNRESET`. */
export function codeOf(error: unknown): string | undefined {
    const code = (error as { code?: unknown } | null)?.code;
    return typeof code === "string" ? code : undefined;
}

/** Codes of `X509_verify_cert_error_string`, as Node spells them. */
const VERIFICATION =
    /^(CERT_|CRL_|UNABLE_TO_|ERROR_IN_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_|HOSTNAME_MISMATCH)/;

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
        return typeof host === "string" ? `it is not for ${host}` : "it is for another host name";
    }
    const { reason } = error as { reason?: unknown };
    if (typeof reason === "string") {
        return reason;
    }
    // Node gives the results of verification as such codes, with OpenSSL's words.
    return VERIFICATION.test(code) || code === "" ? error.message : code.replace(/^ERR_SSL_/, "").toLowerCase();
}

/** A certificate says who stands in the middle, where somebody does. */
function certified(reason: string, certificate: X509Certificate | undefined): string {
    if (certificate === undefined) {
        return reason;
    }
    const issuer = nameOf(certificate.issuer) ?? "an issuer without a name";
    return `certificate: ${reason}; issued by ${issuer} for ${namesOf(certificate)}, valid until ${certificate.validTo}`;
}

/** More names of a certificate than this help nobody. */
const NAMES_MAX = 5;

function namesOf(certificate: X509Certificate): string {
    const names = (certificate.subjectAltName ?? "").split(", ").filter((name) => name !== "");
    if (names.length === 0) {
        return nameOf(certificate.subject) ?? "nobody";
    }
    const shown = names.slice(0, NAMES_MAX).map((name) => name.replace(/^(DNS|IP Address):/, ""));
    const more = names.length - shown.length;
    return shown.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** Common name and organisation, of the lines of a distinguished name. */
function nameOf(distinguished: string | undefined): string | undefined {
    const field = (key: string) => new RegExp(`^${key}=(.*)$`, "m").exec(distinguished ?? "")?.[1];
    const [common, organisation] = [field("CN"), field("O")];
    if (common === undefined || organisation === undefined || common === organisation) {
        return common ?? organisation;
    }
    return `${common} (${organisation})`;
}
