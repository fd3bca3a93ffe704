import nodemailer from "nodemailer";
import { login } from "mailbearer/nodemailer";
const plain = nodemailer.createTransport(login({ user: "joe@gmail.com", token: "abc" }));
const watched = login({ user: "joe@gmail.com", logger: console, trace: (side, line) => console.log(side, line) });
console.log(watched.port);
const pooled = nodemailer.createTransport({ ...login({ user: "joe@gmail.com" }), pool: true });
await plain.sendMail({ from: "joe@gmail.com", to: "ann@example.org", subject: "hello", text: "..." });
pooled.close();
