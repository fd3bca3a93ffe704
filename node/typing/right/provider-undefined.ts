import { type Provider, sessions, TokenSourceFailed } from "mailbearer";
declare const port: number | undefined;
declare const permanent: boolean | undefined;
const service = { protocol: "imap", host: "mail.example.org", port, tls: undefined, scopes: undefined } as const;
const provider: Provider = { name: "own", domains: [], services: [service], oauth: undefined, instead: undefined };
sessions({ protocol: "imap", user: "joe@example.org", provider, token: () => "a-token" });
throw new TokenSourceFailed("no token", { permanent });
