// Logs and metrics: `onEvent` is called with each thing that happens, and its texts never carry a token.
import { sessions } from "mailbearer/imapflow";
import { token, user } from "./my-account.mjs";

const LEVELS = {
    online: "info",
    renewing: "info",
    ended: "info",
    token_failed: "warn",
    login_failed: "warn",
    limited: "warn",
    needs_user: "error",
    gave_up: "error",
    mistake: "error",
};
// With prom-client: new Counter({ name: "mail_events_total", labelNames: ["kind", "protocol", "cause"], … }).
const counts = new Map();

function onEvent({ kind, protocol = "account", cause = "", text = "" }) {
    const labels = `kind="${kind}",protocol="${protocol}",cause="${cause}"`;
    counts.set(labels, (counts.get(labels) ?? 0) + 1);
    // A logger of pino's shape takes it as it is: log[level]({ kind, protocol, cause }, text).
    const level = LEVELS[kind] ?? "debug";
    if (level !== "debug") {
        console.log(level, [user, protocol, kind, cause, text].filter(Boolean).join(" "));
    }
}

for await (const connection of sessions({ user, token, onEvent })) {
    await connection.use(async ({ client }) => {
        await client.mailboxOpen("INBOX");
        await connection.wait();
    });
    if (connection.generation === 2) {
        break;
    }
}
for (const [labels, count] of counts) {
    console.log(`mail_events_total{${labels}} ${count}`);
}
