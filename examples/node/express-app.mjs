// A service in Express with one account: it sends over two connections, says how its mailbox stands, and answers at once when
// somebody must act first. In Nest the account is a provider, and what is handled here an exception filter.
import express from "express";
import { Account, LoginFailed } from "mailbearer";
import { SendFailed, transport } from "mailbearer/nodemailer";
import nodemailer from "nodemailer";
import { at, token, user } from "./my-account.mjs";

// The library logs by itself: `pino()` does as well as the console.
const account = new Account({
    user,
    token,
    logger: { debug() {}, info: (_, line) => console.log(line), warn: console.warn },
});
// At most 20 messages a minute, and nobody waits for longer than half a minute.
const limits = { maxConnections: 2, rateLimit: 20, rateDelta: 60_000, sendTimeout: 30_000 };
const outgoing = nodemailer.createTransport(transport({ account, ...at("smtp"), ...limits }));

const app = express();
app.use(express.json());

app.post("/mails", async ({ body: { to, subject, text } }, response) => {
    const { messageId, rejected } = await outgoing.sendMail({ from: user, to, subject, text });
    // 207: some recipients have it, and those of `rejected` do not.
    response.status(rejected.length > 0 ? 207 : 202).json({ messageId, rejected });
});

app.get("/health", (_, response) => {
    const { sessions, stops } = account.status();
    response.json({ sessions: sessions.map((one) => one.standing), needs: stops.map((stop) => stop.sentence) });
});

// Somebody has consented anew, or switched SMTP on.
app.post("/retry", (_, response) => {
    account.retry();
    response.sendStatus(204);
});

app.use((error, _request, response, _next) => {
    const { message, messageId, outcome, rejected } = error;
    if (error instanceof LoginFailed) {
        response.status(503).json({ error: message }); // a person must act: at once and without a login, until /retry
    } else if (error instanceof SendFailed) {
        // `not_sent`: send it again, later. `refused`: never. `unknown`: look for the Message-ID first.
        const status = { not_sent: 503, refused: 422, unknown: 504 }[outcome];
        response.status(status).json({ error: message, outcome, messageId, rejected });
    } else {
        response.status(400).json({ error: message }); // what is no JSON; Nodemailer's own, of a message that is none
    }
});

const server = app.listen(Number(process.env.PORT ?? 8080), "127.0.0.1");
// The connections say goodbye.
process.once("SIGTERM", () => server.close(() => account.close()));
