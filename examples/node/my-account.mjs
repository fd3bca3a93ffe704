// Who you are and where your tokens come from: the one file that is yours. Every other example imports it.
import { command, stored } from "mailbearer";

export const user = process.env.MAIL_USER ?? "joe@gmail.com";

// After `mailbearer login joe@gmail.com` it is what that stored, and mailbearer renews it by itself. Else a command that
// prints a token, as in MAIL_TOKEN_COMMAND="gcloud auth print-access-token"; or a function of your own.
const words = process.env.MAIL_TOKEN_COMMAND;
export const token = words === undefined ? stored(user) : command(words);
