// Sends what lies in a folder, each message once, whatever happens on the way.
//
// queued/ is what is to be sent (one .eml each), sent/ what was accepted, refused/ what the server does not want, unknown/
// what it may have taken without our hearing of it: a person decides, by the Message-ID.
import { mkdir, readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { LoginFailed } from "mailbearer";
import { SendFailed, transport } from "mailbearer/nodemailer";
import nodemailer from "nodemailer";
import { at, token, user } from "./my-account.mjs";

const [, , folder, poll = "5000"] = process.argv;
const FOLDERS = ["queued", "sending", "sent", "refused", "unknown"];
await Promise.all(FOLDERS.map((name) => mkdir(join(folder, name), { recursive: true })));
const move = (name, from, to) => rename(join(folder, from, name), join(folder, to, name));

// A process that died in the middle: nobody knows what became of what it was sending.
for (const name of await readdir(join(folder, "sending"))) {
    await move(name, "sending", "unknown");
}

// A connection that a session keeps. What the server has not taken is sent again by itself; at most 20 messages a minute.
const limits = { rateLimit: 20, rateDelta: 60_000 };
const outgoing = nodemailer.createTransport(transport({ user, token, ...at("smtp"), ...limits }));
for (;;) {
    for (const name of (await readdir(join(folder, "queued"))).sort()) {
        await move(name, "queued", "sending");
        await move(name, "sending", await send(join(folder, "sending", name)));
    }
    await pause(Number(poll));
}

async function send(file) {
    const raw = await readFile(file);
    const to = /^to: *(.*?)\r?$/im.exec(raw.toString("latin1"))?.[1];
    try {
        const { rejected } = await outgoing.sendMail({ envelope: { from: user, to }, raw });
        // Of several recipients some may be refused: the others have it, and it must not be sent again as it is.
        rejected.forEach((address) => console.log(`${file}: not taken for ${address}`));
        return "sent";
    } catch (error) {
        console.log(error.message);
        if (error instanceof LoginFailed) {
            await pause(Number(poll)); // a person must act; until then nothing is sent, and nothing is lost
            return "queued";
        }
        if (error instanceof SendFailed) {
            // `not_sent`: once more, later. `refused`: for good. `unknown`: the server may have taken it, and a person looks for the
            // Message-ID.
            return error.outcome === "not_sent" ? "queued" : error.outcome;
        }
        // Nodemailer's own, of a message that is none.
        return "refused";
    }
}
