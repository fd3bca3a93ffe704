import { connect } from "mailbearer";
await connect({ protocol: "imap", user: "joe@gmail.com", proxy: { host: "localhost", port: 1080 } }); // wrong
