// A client in a process of its own: it logs in as often as it is told to, and says what that cost.
//
//     node worker.mjs                   prints the clients, a line of JSON for each
//     node worker.mjs NAME PROTOCOL     reads an order of JSON from each line, and answers each with a line
//     node worker.mjs --calls           prints what one call through the binding costs, a line of JSON for each
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import * as tls from "node:tls";
import { CLIENTS } from "./clients.mjs";

const [name, protocol] = process.argv.slice(2);
if (name === undefined) {
    listClients();
} else if (name === "--calls") {
    measureCalls();
} else {
    await obey(CLIENTS.find((one) => one.name === name && one.protocol === protocol));
}

function listClients() {
    for (const { name, protocol, role, source, asks } of CLIENTS) {
        say({ client: name, version: versionOf(source), role, protocol, style: "promise", asks: asks ?? false });
    }
}

function versionOf(source) {
    return source === "node" ? process.versions.node : createRequire(import.meta.url)(`${source}/package.json`).version;
}

/** Does what the lines say, until there are no more. */
async function obey(client) {
    const orders = { logins, try: attempt, end };
    const contexts = new Map();
    for await (const line of createInterface({ input: process.stdin })) {
        const order = JSON.parse(line);
        say(
            order.do === "memory"
                ? { peak_kib: peakKib() }
                : await orders[order.do](client.login, at(order, contexts), order),
        );
    }
    process.exit();
}

/** Where to log in. The context is made once, for every client. */
function at({ host, port, user, token, ca }, contexts) {
    if (!contexts.has(ca)) {
        contexts.set(ca, tls.createSecureContext({ ca: readFileSync(ca) }));
    }
    return { host, port, user, token, secureContext: contexts.get(ca) };
}

/** Logs in so often, one after the other: CPU for each, and the median of the time. */
async function logins(login, at, { count }) {
    const walls = [];
    const before = process.cpuUsage();
    for (let number = 0; number < count; number += 1) {
        const begun = performance.now();
        const client = await login(at);
        walls.push((performance.now() - begun) * 1000);
        await client.close();
    }
    const { user, system } = process.cpuUsage(before);
    return { cpu_us: (user + system) / count, wall_us: median(walls) };
}

/** Logs in once, and says what a program sees. */
async function attempt(login, at) {
    const begun = performance.now();
    let client;
    try {
        client = await login(at);
    } catch (error) {
        return { says: shown(error), ms: performance.now() - begun };
    }
    const says = { says: "logged in", ms: performance.now() - begun };
    await client.close();
    return says;
}

/**
 * Logs in, asks something, which the server answers with the end of the session, and says what a program sees. ImapFlow
 * asks by itself when it is in: it sees the end there.
 */
async function end(login, at) {
    const begun = performance.now();
    let client;
    let says;
    try {
        client = await login(at);
        says = `returned ${JSON.stringify(await client.noop())}`;
    } catch (error) {
        says = shown(error);
    }
    const ms = performance.now() - begun;
    await client?.close();
    return { says, ms };
}

/** What a program prints of an error. */
function shown(error) {
    return `${error.constructor.name}${error.code === undefined ? "" : ` [${error.code}]`}: ${error.message}`;
}

/** The greatest size that this process has had. */
function peakKib() {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "latin1"))[1]);
}

function median(values) {
    const sorted = values.toSorted((one, other) => one - other);
    const middle = sorted.length >> 1;
    return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// ---- Calls ----------------------------------------------------------------------------------------------------------

/** Times calls of the binding, each with the loop around it taken off. */
async function measureCalls() {
    const [CALLS, PASSES] = [50_000, 7];
    const { AccessToken, Negotiation, Watch } = await import("mailbearer");
    const line = Buffer.from("* 17 FETCH (UID 4711 FLAGS (\\Seen) RFC822.SIZE 2048)\r\n");
    const nothing = Buffer.alloc(0);
    const watch = new Watch("imap");
    const token = new AccessToken("x");
    const login = { protocol: "imap", user: "joe@example.org", host: "localhost" };
    const calls = {
        "Watch.received(a line of 54 octets)": () => watch.received(line),
        "Watch.sent(nothing)": () => watch.sent(nothing),
        "Negotiation(...)": () => new Negotiation(login, token),
        "beside it: Buffer.indexOf in that line": () => line.indexOf(10),
    };
    const time = (call) => {
        const begun = performance.now();
        for (let number = 0; number < CALLS; number += 1) {
            call();
        }
        return ((performance.now() - begun) * 1e6) / CALLS;
    };
    const timed = Object.keys(calls).map((name) => [name, []]);
    for (let pass = 0; pass < PASSES; pass += 1) {
        const floor = time(() => undefined);
        for (const [name, passes] of timed) {
            passes.push(Math.max(0, time(calls[name]) - floor));
        }
    }
    for (const [name, passes] of timed) {
        say({ client: name, version: versionOf("mailbearer"), role: "mailbearer", measure: "ns", runs: passes });
    }
}

function say(answer) {
    process.stdout.write(`${JSON.stringify(answer)}\n`);
}
