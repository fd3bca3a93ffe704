// From Nodemailer's `auth: { type: "OAuth2", … }`: the token comes from where you have it, and the rest stays.
import { login } from "mailbearer/nodemailer";
import nodemailer from "nodemailer";
import { token, user } from "./my-account.mjs";

const outgoing = nodemailer.createTransport({ ...login({ user, token }), pool: true, maxConnections: 2 });
const { accepted } = await outgoing.sendMail({ from: user, to: "ann@example.org", subject: "hello", text: "..." });
console.log(accepted);
outgoing.close();
