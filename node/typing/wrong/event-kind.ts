import { sessions } from "mailbearer";
const onEvent = { onEvent: (event: import("mailbearer").SessionEvent) => event.kind === "on_line" }; // wrong
sessions({ protocol: "imap", user: "joe@gmail.com", ...onEvent });
