// The clients: how each one logs in over TLS, as its documentation says; and how it asks something and closes.
//
// Every one gets the same secure context. What a client needs is imported where it logs in: its memory is its own.
import { once } from "node:events";
import * as tls from "node:tls";

/** A package, once: `import` costs something each time. */
const loaded = new Map();
async function load(name) {
    if (!loaded.has(name)) {
        loaded.set(name, await import(name));
    }
    return loaded.get(name);
}

/** Longest line with its CRLF: RFC 2449 section 4 for POP3, RFC 5321 section 4.5.3.1.4 for SMTP. */
const POP3_LINE = 255;
const SMTP_LINE = 512;

// The server speaks as Gmail does; a login that knows no provider is measured apart.
const PROVIDER = "gmail";

/** What XOAUTH2 says. */
function response({ user, token }) {
    return Buffer.from(`user=${user}\x01auth=Bearer ${token}\x01\x01`).toString("base64");
}

function destroyed(socket) {
    const closed = once(socket, "close");
    socket.destroy();
    return closed;
}

// ---- The floor: the least that can log in and keeps the line limits -------------------------------------------------

/** Only TCP and TLS. */
async function bare({ host, port, secureContext }) {
    const socket = tls.connect({ host, port, servername: host, secureContext });
    socket.setNoDelay(true);
    await once(socket, "secureConnect");
    return socket;
}

/** Sends a line, and waits for the reply whose last line begins so. */
function ask(socket, line, end) {
    return new Promise((resolve, reject) => {
        let reply = "";
        const heard = (data) => {
            reply += data.toString("latin1");
            if (reply.endsWith("\r\n") && reply.startsWith(end, reply.lastIndexOf("\n", reply.length - 2) + 1)) {
                socket.off("data", heard);
                socket.off("close", gone);
                resolve(reply);
            }
        };
        const gone = () => reject(new Error(reply));
        socket.on("data", heard);
        socket.on("close", gone);
        if (line !== "") {
            socket.write(line);
        }
    });
}

const FLOORS = {
    async imap(at) {
        const socket = await bare(at);
        await ask(socket, "", "*");
        await ask(socket, `A1 AUTHENTICATE XOAUTH2 ${response(at)}\r\n`, "A1 OK");
        return socket;
    },
    async pop3(at) {
        const socket = await bare(at);
        await ask(socket, "", "+OK");
        await authenticate(socket, response(at), POP3_LINE, "+ ", "+OK");
        return socket;
    },
    async smtp(at) {
        const socket = await bare(at);
        await ask(socket, "", "220 ");
        await ask(socket, "EHLO [127.0.0.1]\r\n", "250 ");
        await authenticate(socket, response(at), SMTP_LINE, "334 ", "235 ");
        return socket;
    },
};

/** In two steps where the token is too long for a line. */
async function authenticate(socket, token, longest, prompt, welcome) {
    let line = `AUTH XOAUTH2 ${token}\r\n`;
    if (line.length > longest) {
        await ask(socket, "AUTH XOAUTH2\r\n", prompt);
        line = `${token}\r\n`;
    }
    await ask(socket, line, welcome);
}

function floor(connect) {
    return async (at) => {
        const socket = await connect(at);
        return { close: () => destroyed(socket) };
    };
}

// ---- mailbearer -----------------------------------------------------------------------------------------------------

function settings({ host, port, user, token, secureContext }, provider = PROVIDER) {
    return { host, port, user, token, tlsOptions: { secureContext }, ...(provider === null ? {} : { provider }) };
}

function ours(protocol, provider = PROVIDER) {
    return async (at) => {
        const { connect } = await load("mailbearer");
        const { socket } = await connect({ protocol, ...settings(at, provider) });
        return { close: () => destroyed(socket) };
    };
}

async function oursImapFlow(at) {
    const { connect } = await load("mailbearer/imapflow");
    return imapFlowIn(await connect(settings(at)));
}

async function oursImapFlowSession(at) {
    const { sessions } = await load("mailbearer/imapflow");
    const all = sessions(settings(at));
    await all.next();
    return { close: () => all.close() };
}

async function oursNodemailerLogin(at) {
    const { default: nodemailer } = await load("nodemailer");
    const { login } = await load("mailbearer/nodemailer");
    return verified(nodemailer.createTransport(login(settings(at))));
}

async function oursNodemailerTransport(at) {
    const { default: nodemailer } = await load("nodemailer");
    const { transport } = await load("mailbearer/nodemailer");
    return verified(nodemailer.createTransport(transport(settings(at))));
}

// ---- The peers ------------------------------------------------------------------------------------------------------

async function imapFlow({ host, port, user, token, secureContext }) {
    const { ImapFlow } = await load("imapflow");
    const auth = { user, accessToken: token };
    const client = new ImapFlow({ host, port, secure: true, auth, tls: { secureContext }, logger: false });
    await client.connect();
    return imapFlowIn(client);
}

function imapFlowIn(client) {
    client.on("error", () => undefined);
    return {
        noop: () => client.noop(),
        close: async () => {
            const closed = client.usable ? once(client, "close") : undefined;
            client.close();
            await closed;
        },
    };
}

async function nodemailerTransport({ host, port, user, token, secureContext }) {
    const { default: nodemailer } = await load("nodemailer");
    const auth = { type: "OAuth2", user, accessToken: token };
    return verified(nodemailer.createTransport({ host, port, secure: true, auth, tls: { secureContext } }));
}

/** Nodemailer logs in with each message; `verify` does nothing else. */
async function verified(transporter) {
    await transporter.verify();
    return { close: () => transporter.close() };
}

/** Nodemailer's own connection, which can be held open. */
async function nodemailerConnection({ host, port, user, token, secureContext }) {
    const { default: SMTPConnection } = await load("nodemailer/lib/smtp-connection/index.js");
    const { default: XOAuth2 } = await load("nodemailer/lib/xoauth2/index.js");
    const client = new SMTPConnection({ host, port, secure: true, tls: { secureContext } });
    const oauth2 = new XOAuth2({ user, accessToken: token });
    await new Promise((resolve, reject) => {
        client.once("error", reject);
        client.connect(() => client.login({ user, oauth2 }, (error) => (error ? reject(error) : resolve())));
    });
    client.on("error", () => undefined);
    return {
        noop: () =>
            new Promise((resolve, reject) => client.reset((error, ok) => (error ? reject(error) : resolve(ok)))),
        close: () => client.close(),
    };
}

// ---- All of them ----------------------------------------------------------------------------------------------------

/**
 * `asks`: it is a mail client, which can ask something once it is in. Nodemailer alone has a connection for each message;
 * ImapFlow and Nodemailer ask at once, and so a session of ours would come back again and again to a server that ends all.
 */
export const CLIENTS = [
    { name: "bare connect", protocol: "imap", role: "bare", source: "node", login: floor(bare) },
    { name: "floor", protocol: "imap", role: "floor", source: "node", login: floor(FLOORS.imap) },
    { name: "floor", protocol: "pop3", role: "floor", source: "node", login: floor(FLOORS.pop3) },
    { name: "floor", protocol: "smtp", role: "floor", source: "node", login: floor(FLOORS.smtp) },
    { name: "mailbearer connect", protocol: "imap", role: "mailbearer", source: "mailbearer", login: ours("imap") },
    { name: "mailbearer connect", protocol: "pop3", role: "mailbearer", source: "mailbearer", login: ours("pop3") },
    { name: "mailbearer connect", protocol: "smtp", role: "mailbearer", source: "mailbearer", login: ours("smtp") },
    {
        name: "mailbearer connect, no provider",
        protocol: "imap",
        role: "mailbearer",
        source: "mailbearer",
        login: ours("imap", null),
    },
    {
        name: "mailbearer connect, no provider",
        protocol: "pop3",
        role: "mailbearer",
        source: "mailbearer",
        login: ours("pop3", null),
    },
    {
        name: "mailbearer/imapflow connect",
        protocol: "imap",
        role: "mailbearer",
        source: "mailbearer",
        asks: true,
        login: oursImapFlow,
    },
    {
        name: "mailbearer/imapflow sessions",
        protocol: "imap",
        role: "mailbearer",
        source: "mailbearer",
        login: oursImapFlowSession,
    },
    {
        name: "mailbearer/nodemailer login",
        protocol: "smtp",
        role: "mailbearer",
        source: "mailbearer",
        login: oursNodemailerLogin,
    },
    {
        name: "mailbearer/nodemailer transport",
        protocol: "smtp",
        role: "mailbearer",
        source: "mailbearer",
        login: oursNodemailerTransport,
    },
    { name: "ImapFlow", protocol: "imap", role: "peer", source: "imapflow", asks: true, login: imapFlow },
    { name: "Nodemailer, verify", protocol: "smtp", role: "peer", source: "nodemailer", login: nodemailerTransport },
    {
        name: "Nodemailer, SMTPConnection",
        protocol: "smtp",
        role: "peer",
        source: "nodemailer",
        asks: true,
        login: nodemailerConnection,
    },
];
