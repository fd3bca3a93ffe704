import { sessions } from "mailbearer";
for await (const connection of sessions({ protocol: "imap", user: "joe@gmail.com" })) {
    for await (const change of connection.idle({ poll: 30_000 })) {
        console.log(change.kind === "changed", change.exists);
    }
}
