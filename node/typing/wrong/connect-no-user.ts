import { connect } from "mailbearer";
await connect({ protocol: "imap" }); // wrong
