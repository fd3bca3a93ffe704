import dns from "node:dns";
import { discover, sessions } from "mailbearer";
const made = sessions({ protocol: "imap", user: "joe@gmail.com", lookup: dns.lookup, localAddress: "192.0.2.7" });
const found = await discover("joe@company.example", { lookup: dns.lookup, timeout: 5_000 });
export const host: string | undefined = found.service("imap")?.host;
export { made };
