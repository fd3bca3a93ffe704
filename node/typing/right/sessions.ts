import { sessions } from "mailbearer";
for await (const connection of sessions({ protocol: "imap", user: "joe@gmail.com", token: "abc" })) {
    const answer: number | undefined = await connection.use(async ({ socket, resumed, generation }) => {
        socket.write(resumed?.protocol === "imap" && resumed.idling ? "A1 NOOP\r\n" : "A1 CHECK\r\n");
        await connection.wait(60_000);
        return generation;
    });
    console.log(answer, connection.verdict?.cause, connection.renewBy?.toISOString());
}
