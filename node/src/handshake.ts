/** TLS: sockets that verify whom they speak to, and a look at whether a port speaks TLS at all. */
import * as net from "node:net";
import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import { codeOf } from "./system";
import type { TlsOptions } from "./settings";

/** A TLS socket on its way, and the certificate that its server has shown. */
export interface Handshake {
    readonly socket: tls.TLSSocket;
    /** Kept for a failure: a socket whose certificate is refused has lost it when it says so. */
    readonly certificate: () => tls.PeerCertificate | undefined;
}

/** Makes a socket with TLS; certificate and host name are verified, whatever the environment says. */
export function secured(
    options: TlsOptions,
    over: { host: string; port?: number; socket?: Duplex; localAddress?: string | undefined },
    name = over.host,
): Handshake {
    const socket = tls.connect({
        ...options,
        ...over,
        // An address is verified as such, and has no place in SNI (RFC 6066 section 3).
        ...(net.isIP(name) === 0 ? { servername: name } : {}),
        rejectUnauthorized: true,
        checkServerIdentity: (_, certificate) => misnamed(name, certificate),
    });
    let certificate: tls.PeerCertificate | undefined;
    // Before Node's own listener, which verifies, and destroys the socket where that fails. In Node 20 that listener finds
    // no names where getPeerX509Certificate was called before.
    socket.prependOnceListener("secure", () => (certificate = socket.getPeerCertificate()));
    return { socket, certificate: () => certificate };
}

/** What is wrong where a handshake is done, and nobody was verified for this name, whatever became of options since. */
export function unverified({ socket, certificate }: Handshake, name: string): Error | undefined {
    const shown = certificate();
    if (!socket.authorized || shown === undefined) {
        return Object.assign(new Error("the certificate was not verified"), { code: "CERT_UNTRUSTED" });
    }
    return misnamed(name, shown);
}

// As it was when this was loaded, whatever becomes of the module.
const { checkServerIdentity } = tls;

function misnamed(name: string, certificate: tls.PeerCertificate): Error | undefined {
    // RFC 9525 section 2: the common name is no name of a service.
    return checkServerIdentity(name, { ...certificate, subject: NOBODY });
}

const NOBODY = {} as tls.PeerCertificate["subject"];

/**
 * Whether a port speaks TLS from the first octet: a handshake of its own, in which no octet of ours is sent but the
 * handshake's. Whom it would speak to does not matter: nothing is said.
 */
export function speaksTls(
    options: TlsOptions,
    host: string,
    { address, port, localAddress }: { address: string; port: number; localAddress: string | undefined },
): Probe {
    // Nor is a client's certificate shown to a port that nobody has verified yet.
    const { socket } = secured(anonymous(options), { host: address, port, localAddress }, host);
    const answer = new Promise<boolean>((resolve) => {
        // Also where the certificate is refused after it: the peer has done its part of the handshake.
        socket.prependOnceListener("secure", () => resolve(true));
        socket.once("error", (error) => resolve(/_ALERT_/.test(codeOf(error) ?? "")));
        socket.once("close", () => resolve(false));
    });
    void answer.then(() => socket.destroy());
    return { answer, giveUp: () => socket.destroy() };
}

/** Options without the client's certificate, for whom it is not meant. */
export function anonymous(options: TlsOptions): TlsOptions {
    const { cert: _cert, key: _key, pfx: _pfx, secureContext: _context, ...others } = options;
    return others;
}

export interface Probe {
    readonly answer: Promise<boolean>;
    readonly giveUp: () => void;
}
