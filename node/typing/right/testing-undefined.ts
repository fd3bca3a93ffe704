import { Server } from "mailbearer/testing";
declare const lifetime: number | undefined;
declare const mailbox: string | undefined;
declare const port: number | undefined;
const server = await Server.start({ flavour: undefined, tokenLifetime: lifetime, refuse: undefined, users: undefined });
await Server.start({ cut: undefined, seed: undefined, host: undefined, ports: { "imap implicit": port } });
server.issueToken("joe@gmail.com", { lifetime, scope: undefined, octets: undefined });
server.deliver("joe@gmail.com", "Subject: hello\n\nHello!\n", { mailbox, flags: undefined, date: undefined });
