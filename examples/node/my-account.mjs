// Who you are and how you get a token: the one file that is yours. Every other example imports it.
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const shell = promisify(execFile);

export const user = process.env.MAIL_USER ?? "joe@gmail.com";

// Asked at every login, and with `forceRefresh` once the server has refused what it gave last:
// MAIL_TOKEN_COMMAND="gcloud auth print-access-token" asks a command.
export async function token({ forceRefresh }) {
    const refresh = forceRefresh ? (process.env.MAIL_REFRESH_OPTION ?? "") : "";
    const { stdout } = await shell("sh", ["-c", process.env.MAIL_TOKEN_COMMAND + refresh]);
    return stdout.trim();
}
