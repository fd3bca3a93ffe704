// Logs and metrics: a logger of pino's shape, and node's own diagnostics_channel. Neither is ever told a token.
import { subscribe } from "node:diagnostics_channel";
import { CHANNELS } from "mailbearer";
import { sessions } from "mailbearer/imapflow";
import { at, token, user } from "./my-account.mjs";

// In place of `pino()`: fields first, then a line. At `debug` it would have the dialogue of each login, too.
const write = (level) => (fields, line) => console.log(level, line, fields.err?.message ?? "");
const logger = { info: write("info"), warn: write("warn"), debug() {} };

// With prom-client: new Counter({ name: "mail_events_total", labelNames: ["kind", "protocol", "cause"], … }).
const counts = new Map();
subscribe(CHANNELS.event, ({ kind, protocol = "account", cause = "" }) => {
    const labels = `kind="${kind}",protocol="${protocol}",cause="${cause}"`;
    counts.set(labels, (counts.get(labels) ?? 0) + 1);
});

for await (const connection of sessions({ user, token, logger, ...at("imap") })) {
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
