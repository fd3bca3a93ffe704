import { subscribe } from "node:diagnostics_channel";
import { CHANNELS, type DialogueLine, type SessionEvent } from "mailbearer";
subscribe(CHANNELS.event, (event) => console.log((event as SessionEvent).message));
subscribe("mailbearer:dialogue", (line) => console.log((line as DialogueLine).line));
