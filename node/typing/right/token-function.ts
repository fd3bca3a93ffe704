import { AccessToken, connect, type TokenFunction } from "mailbearer";
const token: TokenFunction = async ({ forceRefresh, refused, signal }) => {
    const answer = await fetch("https://example.org/token", { signal });
    if (forceRefresh && refused?.equals(new AccessToken("abc"))) {
        return { token: "fresh", expiresInMs: 3_600_000 };
    }
    return (await answer.json()) as { access_token: string; expires_in: number };
};
await connect({ protocol: "imap", user: "joe@gmail.com", token });
