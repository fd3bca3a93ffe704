/** All addresses of a host, tried one after the other until one answers (RFC 8305). */
import dns from "node:dns";
import { isIP, type LookupFunction, type Socket } from "node:net";

/** RFC 8305 section 5: the next address is tried so long after the one before, or as soon as that has failed. */
const NEXT_MS = 250;

/** Connections to the addresses of a host. The first that is there is kept, and the others are closed. */
export class Attempts<S extends Socket> {
    readonly #make: (address: string) => S;
    readonly #changed: () => void;
    readonly #open = new Set<S>();
    readonly #errors: Error[] = [];
    #waiting: string[] = [];
    #timer: NodeJS.Timeout | undefined;
    #isOver = false;
    /** The one that is connected. */
    socket: S | undefined;

    /** `make` begins to connect to an address; `changed` is called when there is a socket, or an error. */
    constructor(host: string, make: (address: string) => S, changed: () => void, from: From = {}) {
        this.#make = make;
        this.#changed = changed;
        addressesOf(host, from, (error, found) => {
            if (error !== undefined) {
                this.#errors.push(error);
            }
            this.#waiting = interleaved(found);
            this.#next();
        });
    }

    /** Why there is none; `undefined` while one may come. */
    get error(): Error | undefined {
        if (this.socket !== undefined || this.#waiting.length + this.#open.size > 0) {
            return undefined;
        }
        return this.#errors.length > 1 ? new AggregateError(this.#errors) : this.#errors[0];
    }

    /** Closes all that are on their way. */
    stop(): void {
        this.#isOver = true;
        clearTimeout(this.#timer);
        this.#open.forEach((socket) => socket.destroy());
        this.#open.clear();
    }

    #next(): void {
        clearTimeout(this.#timer);
        const address = this.#waiting.shift();
        if (this.#isOver || address === undefined) {
            this.#changed();
            return;
        }
        const socket = this.#make(address);
        this.#open.add(socket);
        const failed = (error: Error): void => {
            this.#errors.push(error);
            this.#open.delete(socket);
            this.#next();
        };
        socket.once("error", failed);
        socket.once("connect", () => {
            socket.off("error", failed);
            this.#open.delete(socket);
            this.stop();
            this.socket = socket;
            this.#changed();
        });
        if (this.#waiting.length > 0) {
            this.#timer = setTimeout(() => this.#next(), NEXT_MS);
        }
    }
}

/** What a program says of it: who looks the name up, and the address of this machine that is to be used. */
export interface From {
    readonly lookup?: LookupFunction | undefined;
    readonly localAddress?: string | undefined;
}

type Found = readonly dns.LookupAddress[];

function addressesOf(
    host: string,
    { lookup, localAddress }: From,
    call: (error: Error | undefined, found: Found) => void,
) {
    const family = isIP(localAddress ?? "");
    const answered = (error: Error | null, answer: string | Found, ofAnswer?: number): void => {
        // One that knows nothing of `all` gives the first.
        const all = typeof answer === "string" ? [{ address: answer, family: ofAnswer ?? isIP(answer) }] : answer;
        const found = error === null ? (all ?? []).filter((one) => family === 0 || one.family === family) : [];
        const words = `${host} has no address${family === 0 ? "" : ` of IPv${family}, as localAddress is`}`;
        const none = Object.assign(new Error(words), { code: "ENOTFOUND" });
        call(error ?? (found.length === 0 ? none : undefined), found);
    };
    if (lookup === undefined || isIP(host) !== 0) {
        dns.lookup(host, { all: true }, answered);
        return;
    }
    try {
        lookup(host, { all: true }, answered as Parameters<LookupFunction>[2]);
    } catch (error) {
        answered(error as Error, []);
    }
}

/** RFC 8305 section 4: the families in turn, as the system sorts them, so that one that is broken costs one try. */
function interleaved(found: Found): string[] {
    const first = found.filter(({ family }) => family === found[0]?.family);
    const second = found.filter(({ family }) => family !== found[0]?.family);
    const pairs = Array.from({ length: found.length }, (_, at) => [first[at], second[at]]);
    return pairs.flat().flatMap((one) => (one === undefined ? [] : [one.address]));
}
