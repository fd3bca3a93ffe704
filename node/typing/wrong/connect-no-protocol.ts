import { connect } from "mailbearer";
await connect({ user: "joe@gmail.com" }); // wrong
