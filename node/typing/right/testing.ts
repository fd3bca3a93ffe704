import { connect } from "mailbearer";
import { Server } from "mailbearer/testing";
const server = await Server.start({ flavour: "outlook", tokenLifetime: 5_000, cut: "silent" });
const token = server.issueToken("joe@outlook.com", { lifetime: 1_000 });
await connect({ protocol: "imap", user: "joe@outlook.com", token, ...server.at("imap", "starttls") });
server.refuse("insufficient_scope");
server.setFault("after_dot", "drop");
await server.stop();
