import { connect } from "mailbearer";
await connect({ protocol: "imap", user: "joe@gmail.com", trace: (side: "client", line: string) => void [side, line] }); // wrong
