import { AccessToken, type TokenAnswer, type TokenSource } from "mailbearer";
export const answers: TokenAnswer[] = [
    "abc",
    new AccessToken("abc"),
    { token: "abc" },
    { token: "abc", expiresInMs: null },
    { access_token: "abc", expires_in: "3600" },
    { access_token: "abc", expires_at: new Date() },
    { accessToken: "abc" },
    { accessToken: "abc", expiresOn: new Date() },
];
export const sources: TokenSource[] = ["abc", new AccessToken("abc"), () => "abc", async () => ({ token: "abc" })];
