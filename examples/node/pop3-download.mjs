// Downloads a POP3 mailbox and deletes what was saved: each message once, and none is lost.
import { access, mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sessions } from "mailbearer";
import { at, token, user } from "./my-account.mjs";

const folder = process.argv[2];
await mkdir(folder, { recursive: true });

for await (const connection of sessions({ protocol: "pop3", user, token, ...at("pop3") })) {
    // An end of the session in here is no error: the loop goes on.
    const isEmpty = await connection.use(async ({ socket }) => {
        const ask = asking(socket);
        // Numbers are of one session alone: a message is known by its UIDL.
        const messages = (await ask("UIDL", true)).map((line) => line.split(" "));
        for (const [number, uid] of messages) {
            if (connection.isDue) {
                break; // QUIT, and the next session goes on
            }
            const saved = join(folder, `${uid.replaceAll("/", "_")}.eml`);
            if (!(await isThere(saved))) {
                const lines = await ask(`RETR ${number}`, true);
                await writeFile(`${saved}.part`, `${lines.join("\r\n")}\r\n`, "latin1");
                await rename(`${saved}.part`, saved);
            }
            await ask(`DELE ${number}`);
        }
        // Over sockets you say QUIT yourself: only that deletes (RFC 1939 section 6).
        await ask("QUIT");
        return messages.length === 0;
    });
    if (isEmpty) {
        break; // a session ago they were deleted, and now nothing is listed: the server has done it
    }
}

// POP3 in a few lines: says a command, and gives the lines that answer it.
function asking(socket) {
    const lines = linesOf(socket);
    const line = async () => (await lines.next()).value ?? "-ERR the connection has ended";
    return async (command, isLong = false) => {
        socket.write(`${command}\r\n`);
        const status = await line();
        if (!status.startsWith("+OK")) {
            throw new Error(`${command}: ${status}`);
        }
        const answer = [];
        for (let next = isLong ? await line() : "."; next !== "."; next = await line()) {
            answer.push(next.replace(/^\./, "")); // dots in front are doubled (RFC 1939 section 3)
        }
        return answer;
    };
}

async function* linesOf(socket) {
    let rest = "";
    for await (const octets of socket) {
        const lines = (rest + octets.toString("latin1")).split("\r\n");
        rest = lines.pop();
        yield* lines;
    }
}

function isThere(path) {
    return access(path).then(
        () => true,
        () => false,
    );
}
