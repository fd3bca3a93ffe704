import { AccessToken, classify, initialResponse, Negotiation, readRejection, Watch } from "mailbearer";
const negotiation = new Negotiation(
    { protocol: "imap", user: "joe@gmail.com", host: "imap.gmail.com" },
    new AccessToken("abc"),
);
const step = negotiation.receive(Buffer.from("* OK ready\r\n"));
export const send: Uint8Array | undefined = step.next === "read" ? step.send : undefined;
export const used = [classify, initialResponse, readRejection, Watch];
