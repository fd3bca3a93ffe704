import { pino } from "pino";
import { connect, sessions } from "mailbearer";
const logger = pino({ level: "debug" });
sessions({ protocol: "imap", user: "joe@gmail.com", logger });
sessions({ protocol: "imap", user: "joe@gmail.com", logger: logger.child({ service: "mail" }) });
await connect({ protocol: "imap", user: "joe@gmail.com", logger });
