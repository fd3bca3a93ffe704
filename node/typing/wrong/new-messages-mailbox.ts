import { sessions } from "mailbearer/imapflow";
for await (const connection of sessions({ user: "joe@gmail.com" })) {
    connection.newMessages({ since: "cursor" }); // wrong
}
