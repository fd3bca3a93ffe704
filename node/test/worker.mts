/** What a worker thread of the tests does: it loads the package, logs in some times, and ends. */
import { connect } from "mailbearer";
import { Server } from "mailbearer/testing";

const USER = "joe@gmail.com";
const server = await Server.start();
for (let count = 0; count < 3; count += 1) {
    const token = server.issueToken(USER);
    const connection = await connect({ protocol: "imap", user: USER, token, ...server.at("imap") });
    await connection.close();
}
await server.stop();
