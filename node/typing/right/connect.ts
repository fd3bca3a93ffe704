import { connect } from "mailbearer";
const connection = await connect({ protocol: "imap", user: "joe@gmail.com", token: "abc" });
connection.socket.write("A1 NOOP\r\n");
await connection.close();
