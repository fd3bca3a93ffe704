import { connect, ProxyFailed } from "mailbearer";
import { sessions } from "mailbearer/imapflow";
import { login } from "mailbearer/nodemailer";
await connect({ protocol: "imap", user: "joe@gmail.com", proxy: "socks5://localhost" });
sessions({ user: "joe@gmail.com", proxy: new URL("http://proxy.example.org:3128") });
login({ user: "joe@gmail.com", proxy: "environment" });
export const reason = (error: Error): boolean =>
    error.cause instanceof ProxyFailed && error.cause.reason === "forbidden";
