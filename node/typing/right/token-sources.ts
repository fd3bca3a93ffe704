import { clientCredentials, command, sessions, stored, tokenFile } from "mailbearer";
const token = command(["oama", "access", "joe@gmail.com"], { timeout: 10_000 });
sessions({ protocol: "imap", user: "joe@gmail.com", token });
sessions({ protocol: "imap", user: "joe@gmail.com", token: tokenFile("/run/token") });
sessions({ protocol: "imap", user: "joe@gmail.com", token: stored("joe@gmail.com", { proxy: "http://proxy:3128" }) });
clientCredentials({ provider: "microsoft", tenant: "t", clientId: "c", clientSecret: "s" });
clientCredentials({ provider: "gmail", keyFile: "k", subject: "joe@example.com" });
