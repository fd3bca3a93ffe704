import { connect } from "mailbearer";
await connect({ protocol: "imap4", user: "joe@gmail.com" }); // wrong
