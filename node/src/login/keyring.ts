/** The system's keyring, through `@napi-rs/keyring`: Keychain, Credential Manager, Secret Service. */
import { randomBytes } from "node:crypto";
import { ConfigError } from "../errors";
import { shown, standIn } from "../foreign";
import { isMissing } from "../peers";

const SERVICE = "mailbearer";
const FILE_INSTEAD = "--store file keeps the login in a file that only you can read";

/** A password of the keyring, under the address of its account. */
interface Entry {
    getPassword(): Promise<string | null>;
    setPassword(password: string): Promise<void>;
    deletePassword(): Promise<boolean>;
}

/** What the keyring has of an account. */
export async function recall(user: string): Promise<string | undefined> {
    const entry = await entryOf(user);
    return (await asked(() => entry.getPassword())) ?? undefined;
}

/** Keeps a text of an account, in place of the one before. */
export async function keep(user: string, secret: string): Promise<void> {
    const entry = await entryOf(user);
    await asked(() => entry.setPassword(secret));
}

/** Removes what the keyring has of an account. */
export async function forget(user: string): Promise<void> {
    const entry = await entryOf(user);
    await asked(() => entry.deletePassword());
}

/** Sees whether it keeps what it is given, before a login whose grant would be lost. */
export async function checkKeyring(): Promise<void> {
    const [probe, value] = ["a probe of mailbearer", randomBytes(8).toString("hex")];
    await keep(probe, value);
    if ((await recall(probe)) !== value) {
        throw new ConfigError(`the system's keyring keeps nothing: ${FILE_INSTEAD}`);
    }
    await forget(probe);
}

async function entryOf(user: string): Promise<Entry> {
    const { AsyncEntry } = await library();
    // The kernel's keyring, which it would fall back to on Linux, forgets all when the machine starts again.
    const options = { linux: { store: "secret-service" } } as const;
    return asked(() =>
        // The name under which Python's keyring finds it on Windows.
        process.platform === "win32"
            ? AsyncEntry.withTarget(`${user}@${SERVICE}`, SERVICE, user, options)
            : new AsyncEntry(SERVICE, user, options),
    );
}

async function library(): Promise<typeof import("@napi-rs/keyring")> {
    try {
        return await import("@napi-rs/keyring");
    } catch (error) {
        throw noKeyring(error);
    }
}

async function asked<T>(ask: () => T | Promise<T>): Promise<T> {
    try {
        return await ask();
    } catch (error) {
        throw noKeyring(error);
    }
}

/** npm leaves it out with `--omit=optional`. */
const LIBRARY = "@napi-rs/keyring";

function noKeyring(error: unknown): ConfigError {
    const said = shown(error instanceof Error ? error.message : String(error));
    const cause = standIn(error);
    return isMissing(error)
        ? new ConfigError(`${LIBRARY} is not installed: npm install ${LIBRARY}; or ${FILE_INSTEAD}`, { cause })
        : new ConfigError(`the system's keyring cannot be used (${said}): unlock it; or ${FILE_INSTEAD}`, { cause });
}
