/** Requests to authorization servers: over TLS that is verified, to no other place than asked for, bounded in time and size. */
import { request } from "node:https";
import { shown } from "../foreign";
import { wayOf } from "../requests";
import type { RouteOptions } from "../route";
import type { TlsOptions } from "../settings";

/** For connection, TLS and the whole answer. */
const TIMEOUT_MS = 30_000;
const OCTETS_MAX = 1024 * 1024;

/** What `fetch` takes, as far as openid-client uses it. */
interface RequestOptions {
    readonly method: string;
    readonly headers: Record<string, string>;
    readonly body?: unknown;
    readonly signal?: AbortSignal | undefined;
}

type Fetch = (url: string, options: RequestOptions) => Promise<Response>;

/** A `fetch` that follows no redirect, and trusts whom it is told to: Node's own takes no certificate authority. */
export function fetchWith(tlsOptions: TlsOptions = {}, route: RouteOptions = {}): Fetch {
    return (url, { method, headers, body, signal }) =>
        new Promise((resolve, reject) => {
            const signals = [AbortSignal.timeout(TIMEOUT_MS), ...(signal === undefined ? [] : [signal])];
            const limit = AbortSignal.any(signals);
            const way = wayOf(url, route, tlsOptions, { signal: limit, timeout: TIMEOUT_MS });
            const options = { ...tlsOptions, ...way, method, headers, signal: limit };
            const sent = request(url, options, (answer) => {
                const chunks: Buffer[] = [];
                let octets = 0;
                answer.on("data", (chunk: Buffer) => {
                    octets += chunk.length;
                    chunks.push(chunk);
                    if (octets > OCTETS_MAX) {
                        answer.destroy(new Error(`${new URL(url).host} answers with more than 1 MiB`));
                    }
                });
                answer.on("error", (error) => reject(unreachable(url, error)));
                answer.on("end", () => {
                    const status = answer.statusCode ?? 0;
                    const content = [204, 205, 304].includes(status) ? null : Buffer.concat(chunks);
                    resolve(new Response(content, { status, headers: headersOf(answer.rawHeaders) }));
                });
            });
            sent.on("error", (error) => reject(unreachable(url, error)));
            sent.end(body === undefined || body === null ? undefined : textOf(body));
        });
}

/** An answer did not come: an outage, and nobody's mistake. Its text names the host alone: addresses may hold secrets. */
export class Unreachable extends Error {}

function unreachable(url: string, error: Error): Unreachable {
    const words = error.name === "TimeoutError" ? "it did not answer in time" : shown(error.message);
    return new Unreachable(`${new URL(url).host} cannot be reached: ${words}`);
}

function textOf(body: unknown): string {
    return body instanceof URLSearchParams || typeof body === "string" ? String(body) : "";
}

function headersOf(raw: readonly string[]): Headers {
    const headers = new Headers();
    for (let at = 0; at + 1 < raw.length; at += 2) {
        headers.append(raw[at] as string, raw[at + 1] as string);
    }
    return headers;
}
