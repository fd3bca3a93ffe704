import { sessions } from "mailbearer";
for await (const connection of sessions({ protocol: "imap", user: "joe@gmail.com" })) {
    console.log(connection.verdict?.cause === "expired"); // wrong
}
