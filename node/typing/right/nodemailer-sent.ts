import nodemailer from "nodemailer";
import { type RecipientError, type SentInfo, transport } from "mailbearer/nodemailer";
const outgoing = nodemailer.createTransport(transport({ user: "joe@gmail.com" }));
const sent: SentInfo = await outgoing.sendMail({ to: ["ann@example.org", "nobody@example.org"] });
const refused: readonly RecipientError[] = sent.rejectedErrors ?? [];
console.log(
    sent.rejected.join(),
    refused.map((one) => [one.recipient, one.responseCode, one.response, one.message]),
);
const milliseconds: number = sent.envelopeTime + sent.messageTime;
console.log(milliseconds, sent.messageSize, sent.ehlo?.includes("SIZE 35882577"));
