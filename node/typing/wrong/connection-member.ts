import { connect } from "mailbearer";
const connection = await connect({ protocol: "imap", user: "joe@gmail.com" });
connection.sock.write("A1 NOOP"); // wrong
