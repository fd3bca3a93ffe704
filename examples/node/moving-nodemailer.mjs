// From Nodemailer's `auth: { type: "OAuth2", … }`: the token comes from where you have it, and the rest stays.
import { login } from "mailbearer/nodemailer";
import nodemailer from "nodemailer";
import { at, token, user } from "./my-account.mjs";

const ours = login({ user, token, ...at("smtp") });
const outgoing = nodemailer.createTransport({ ...ours, pool: true, maxConnections: 2 });
const { accepted } = await outgoing.sendMail({ from: user, to: "ann@example.org", subject: "hello", text: "..." });
console.log(accepted);
outgoing.close();
