import { sessions } from "mailbearer/imapflow";
for await (const connection of sessions({ user: "joe@gmail.com", imapflow: { qresync: true } })) {
    await connection.use(async ({ client }) => {
        for await (const message of client.fetch("1:*", { envelope: true })) {
            console.log(message.uid);
        }
    });
}
