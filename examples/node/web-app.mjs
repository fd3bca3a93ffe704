// A service of node:http with one account; in Express, Fastify or Nest the handlers are the same. It sends, and says how its
// mailbox stands.
import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import { Account, LoginFailed } from "mailbearer";
import { transport } from "mailbearer/nodemailer";
import nodemailer from "nodemailer";
import { at, token, user } from "./my-account.mjs";

const account = new Account({ user, token });
const outgoing = nodemailer.createTransport(transport({ account, ...at("smtp") }));

const handlers = {
    "POST /mails": async (request) => {
        const { to, subject, text } = await json(request);
        const { messageId, rejected } = await outgoing.sendMail({ from: user, to, subject, text });
        // 207: some recipients have it, and those of `rejected` do not.
        return [rejected.length > 0 ? 207 : 202, { messageId, rejected }];
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
    const [status, body] = await handler(request).catch((error) => [statusOf(error), { error: error.message }]);
    response.writeHead(status, { "content-type": "application/json" }).end(body && JSON.stringify(body));
});

// A person must act: 503, at once and without a login, until /retry. What is no JSON is the caller's mistake.
function statusOf(error) {
    if (error instanceof LoginFailed) {
        return 503;
    }
    return error instanceof SyntaxError ? 400 : 502;
}

// At SIGTERM, which ends a container: no new requests, those under way are answered, and the connections say goodbye.
server.on("close", () => account.close());
process.once("SIGTERM", () => server.close());
server.listen(Number(process.env.PORT ?? 8080));
