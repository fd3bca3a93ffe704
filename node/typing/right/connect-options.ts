import { connect, type ConnectOptions, Provider } from "mailbearer";
const options: ConnectOptions = {
    protocol: "smtp",
    user: "joe@company.example",
    host: "mail.company.example",
    port: 587,
    tls: "starttls",
    provider: Provider.named("gmail"),
    tlsOptions: { ca: "-----BEGIN", minVersion: "TLSv1.3" },
    timeout: 30_000,
    answerTimeout: 10_000,
    dataTimeout: 60_000,
    mechanisms: ["OAUTHBEARER", "XOAUTH2"],
    initialResponse: "never",
    ehloName: "client.company.example",
    discover: false,
};
await using connection = await connect(options);
const version: string = connection.tlsVersion;
export { version };
