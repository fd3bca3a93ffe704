import { connect } from "mailbearer";
await connect({ protocol: "imap", user: "joe@gmail.com", mechanisms: ["PLAIN"] }); // wrong
