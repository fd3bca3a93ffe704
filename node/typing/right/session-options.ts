import { sessions, type SessionOptions } from "mailbearer";
const options: SessionOptions = {
    user: "joe@gmail.com",
    token: () => "abc",
    policy: { renewal: "overlap", first: Infinity, later: 0, connections: 2, keepAlive: false, lead: 60_000 },
    snapshot: new Uint8Array(8),
    signal: AbortSignal.timeout(1_000),
    onEvent: (event) => console.log(`${event}`, event.time.getTime()),
};
const made = sessions({ protocol: "pop3", ...options });
await made.next({ signal: AbortSignal.timeout(1_000) });
made.retry();
