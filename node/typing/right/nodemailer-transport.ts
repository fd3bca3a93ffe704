import nodemailer from "nodemailer";
import { SendFailed, transport, type TransportOptions } from "mailbearer/nodemailer";
const options: TransportOptions = { user: "joe@gmail.com", maxConnections: 3, rateLimit: 20, rateDelta: 60_000 };
const outgoing = nodemailer.createTransport(transport({ ...options, maxMessages: 100, sendTimeout: 30_000 }));
try {
    await outgoing.sendMail({ to: "ann@example.org" });
} catch (error) {
    if (error instanceof SendFailed && error.outcome === "unknown") {
        console.log(error.messageId.length, error.code);
    } else if (error instanceof SendFailed && error.outcome === "refused") {
        console.log(error.failure?.sentence, error.responseCode, error.rejected.join());
    }
}
