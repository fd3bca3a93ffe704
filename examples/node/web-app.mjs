// A service of node:http with one account; in Express, Fastify or Nest the handlers are the same. It sends, and says how its
// mailbox stands.
import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import { Account, LoginFailed } from "mailbearer";
import { transport } from "mailbearer/nodemailer";
import nodemailer from "nodemailer";
import { token, user } from "./my-account.mjs";

const account = new Account({ user, token });
const outgoing = nodemailer.createTransport(transport({ account }));

const handlers = {
    "POST /mails": async (request) => {
        const { to, subject, text } = await json(request);
        await outgoing.sendMail({ from: user, to, subject, text });
        return [202, { status: "accepted" }];
    },
    "GET /health": async () => {
        const { sessions, stops } = account.status();
        return [200, { sessions: sessions.map((one) => one.standing), needs: stops.map((stop) => stop.sentence) }];
    },
    // Somebody has consented anew, or switched SMTP on.
    "POST /retry": async () => {
        account.retry();
        return [204];
    },
};

export const server = createServer(async (request, response) => {
    const handler = handlers[`${request.method} ${request.url}`] ?? (async () => [404, { error: "not found" }]);
    // A person must act: 503, at once and without a login, until /retry.
    const failed = (error) => [error instanceof LoginFailed ? 503 : 502, { error: error.message }];
    const [status, body] = await handler(request).catch(failed);
    response.writeHead(status, { "content-type": "application/json" }).end(body && JSON.stringify(body));
});

server.on("close", () => account.close());
server.listen(Number(process.env.PORT ?? 8080));
