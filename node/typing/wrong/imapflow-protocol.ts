import { connect } from "mailbearer/imapflow";
await connect({ protocol: "imap", user: "joe@gmail.com" }); // wrong
