/** The folder in which logins are kept, and its files: nobody else's to read, and whole after every crash. */
import { randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { mkdir, open, readdir, rename, unlink } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ConfigError } from "../errors";

const IS_WINDOWS = process.platform === "win32";

/** Where logins are kept, as Python's platformdirs says it: both languages share it. `MAILBEARER_HOME` names another. */
export function dataFolder(): string {
    const own = process.env["MAILBEARER_HOME"];
    if (own !== undefined && own !== "") {
        return own;
    }
    switch (process.platform) {
        case "win32":
            return join(process.env["LOCALAPPDATA"] ?? join(homedir(), "AppData", "Local"), "mailbearer");
        case "darwin":
            return join(homedir(), "Library", "Application Support", "mailbearer");
        default: {
            const data = process.env["XDG_DATA_HOME"]?.trim();
            return join(data === undefined || data === "" ? join(homedir(), ".local", "share") : data, "mailbearer");
        }
    }
}

/** A mail address as a store knows it: domains are the same in any case (RFC 1035 section 2.3.3). */
export function normalAddress(user: string): string {
    if (user === "" || user.length > 254 || /\p{C}/u.test(user)) {
        throw new ConfigError("user must be a mail address or a name of at most 254 characters");
    }
    const at = user.lastIndexOf("@");
    return at < 0 ? user : user.slice(0, at) + user.slice(at).toLowerCase();
}

/** The name of an address's files: also where file systems know no case, and no slash in a name. */
export function fileName(user: string): string {
    return [...Buffer.from(normalAddress(user))]
        .map((octet) => {
            const character = String.fromCharCode(octet);
            return PLAIN.test(character) ? character : `%${octet.toString(16).toUpperCase().padStart(2, "0")}`;
        })
        .join("");
}

const PLAIN = /^[a-z0-9@._+-]$/;

/** Reads a file with secrets in it; `undefined` where it is missing. One that others may read is refused. */
export function readPrivate(path: string): string | undefined {
    try {
        const { mode } = statSync(path);
        if (!IS_WINDOWS && (mode & 0o077) !== 0) {
            throw new ConfigError(`${path} may be read by others: run chmod 600 ${quoted(path)}`);
        }
        return readFileSync(path, "utf8");
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") {
            return undefined;
        }
        throw error instanceof ConfigError
            ? error
            : new ConfigError(`${path} cannot be read: ${systemWords(error)}`, { cause: error });
    }
}

/** As a shell takes it. */
export function quoted(text: string): string {
    return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, `'\\''`)}'`;
}

/** What the system says, as in `EACCES: permission denied`: its messages name the path again. */
export function systemWords(error: unknown): string {
    const { code, message } = error as NodeJS.ErrnoException;
    return message.split(",")[0] ?? code ?? "";
}

/** Makes a folder that nobody else can look into. */
export async function makeFolder(path: string): Promise<void> {
    await mkdir(path, { recursive: true, mode: 0o700 });
}

/**
 * Writes a file with secrets in it: after a crash the old one is there, or the new one, and whole. Call it under the lock of
 * the file: what writers of before have left behind is removed.
 */
export async function writePrivate(path: string, text: string): Promise<void> {
    const [folder, name] = [dirname(path), basename(path)];
    const temporary = join(folder, `.${name}.${randomBytes(6).toString("hex")}.tmp`);
    try {
        await makeFolder(folder);
        await removeLeftovers(folder, name);
        await writeNew(temporary, text);
        await replace(temporary, path);
        await syncFolder(folder);
    } catch (error) {
        await unlink(temporary).catch(() => undefined);
        throw new ConfigError(`${path} cannot be written: ${systemWords(error)}`, { cause: error });
    }
}

async function writeNew(path: string, text: string): Promise<void> {
    const file = await open(path, "wx", 0o600);
    try {
        // The umask may have taken away more.
        await file.chmod(0o600);
        await file.writeFile(text);
        await file.sync();
    } finally {
        await file.close();
    }
}

/** Removes a file, where it is there, and what writers of before have left behind; it stays removed after a crash. */
export async function removeFile(path: string): Promise<void> {
    try {
        await removeLeftovers(dirname(path), basename(path));
        await unlink(path).catch(unlessMissing);
        await syncFolder(dirname(path));
    } catch (error) {
        throw new ConfigError(`${path} cannot be removed: ${systemWords(error)}`);
    }
}

function unlessMissing(error: unknown): void {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
        throw error;
    }
}

async function removeLeftovers(folder: string, name: string): Promise<void> {
    const left = (await readdir(folder)).filter((one) => one.startsWith(`.${name}.`) && one.endsWith(".tmp"));
    await Promise.all(left.map((one) => unlink(join(folder, one)).catch(unlessMissing)));
}

/** Windows does not replace a file while a program reads it. */
const REPLACE_TRIES = 50;
const REPLACE_MS = 20;

async function replace(temporary: string, path: string): Promise<void> {
    for (let tries = 1; ; tries += 1) {
        try {
            await rename(temporary, path);
            return;
        } catch (error) {
            if (!IS_WINDOWS || tries === REPLACE_TRIES) {
                throw error;
            }
            await delay(REPLACE_MS);
        }
    }
}

/** The new name is on the disk, too. */
async function syncFolder(folder: string): Promise<void> {
    if (IS_WINDOWS) {
        return;
    }
    const handle = await open(folder, "r");
    try {
        await handle.sync();
    } finally {
        await handle.close();
    }
}
