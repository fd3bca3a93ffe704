import { type Logger, sessions } from "mailbearer";
const logger: Logger = {
    debug: () => undefined,
    info: (fields, line) => console.log(fields, line),
    warn: console.warn,
};
sessions({ protocol: "imap", user: "joe@gmail.com", logger });
sessions({ protocol: "imap", user: "joe@gmail.com", logger: console });
sessions({ protocol: "imap", user: "joe@gmail.com", trace: (side, line) => console.log(side === "C", line.length) });
