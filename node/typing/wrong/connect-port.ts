import { connect } from "mailbearer";
await connect({ protocol: "imap", user: "joe@gmail.com", port: "993" }); // wrong
