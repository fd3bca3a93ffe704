/**
 * The accounts that are logged in: one file for each, which Python and Node share. The grant is in the system's keyring, or
 * in the file where the user wanted that.
 */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Tls } from "../core";
import { ConfigError } from "../errors";
import { standIn } from "../foreign";
import { checkName } from "../misplaced";
import { dataFolder, fileName, normalAddress, readPrivate, removeFile, writePrivate } from "./folder";
import { forget, keep, recall } from "./keyring";
import { withLock } from "./lock";

/** Where grants are kept. */
export type Store = "keyring" | "file";

/** What a login gave. */
export interface Grant {
    readonly refresh_token: string;
    readonly access_token?: string | undefined;
    /** Whole seconds since 1970; `null`: the provider did not say. */
    readonly expires_at?: number | null | undefined;
    readonly client_secret?: string | undefined;
}

/** The authorization server of an account. */
export interface Authorization {
    readonly issuer?: string | null | undefined;
    readonly authorization_endpoint?: string | null | undefined;
    readonly token_endpoint: string;
    readonly device_authorization_endpoint?: string | null | undefined;
    readonly revocation_endpoint?: string | null | undefined;
}

/** Where a protocol of an account is. */
export interface ServicePlace {
    readonly host: string;
    readonly port?: number | null | undefined;
    readonly tls?: Tls | null | undefined;
}

/** What the file of an account says; members that are not known here are kept. */
export interface StoredAccount {
    readonly version: number;
    readonly user: string;
    readonly provider?: string | null | undefined;
    readonly store: Store;
    readonly client_id: string;
    readonly authorization: Authorization;
    readonly scopes: readonly string[];
    readonly services?: Readonly<Record<string, ServicePlace | undefined>> | null | undefined;
    readonly grant?: Grant | undefined;
}

const VERSION = 1;

/** The file of an account, and its lock. */
export class AccountFile {
    readonly user: string;
    readonly path: string;
    readonly #lock: string;

    constructor(user: string, folder: string = dataFolder()) {
        checkName("user", user);
        this.user = normalAddress(user);
        const name = join(folder, "accounts", fileName(user));
        this.path = `${name}.json`;
        this.#lock = `${name}.lock`;
    }

    /** What it says; `undefined` where the account is not logged in. It needs no lock: a file is written whole. */
    read(): StoredAccount | undefined {
        const text = readPrivate(this.path);
        return text === undefined ? undefined : parsed(text, this.path, this.user);
    }

    /** Whether there is a file, of whatever kind. */
    get isThere(): boolean {
        return existsSync(this.path);
    }

    /** The same, of an account that must be there. */
    required(): StoredAccount {
        const account = this.read();
        if (account === undefined) {
            throw new ConfigError(
                `${this.user} is not stored on this machine: run \`${loginCommand(this.user)}\`, or give a token`,
            );
        }
        return account;
    }

    /** The grant of the account, wherever it is. */
    async grant(account: StoredAccount): Promise<Grant> {
        const grant = account.store === "file" ? account.grant : await recalled(account.user);
        if (grant === undefined || typeof grant.refresh_token !== "string" || grant.refresh_token === "") {
            throw new ConfigError(
                `what is stored for ${this.user} has no grant that can be used: run \`${loginCommand(this.user)}\``,
            );
        }
        return grant;
    }

    /** Writes an account and its grant. Call it under the lock. */
    async write(account: StoredAccount, grant: Grant): Promise<void> {
        const { grant: _, ...bare } = account;
        if (account.store === "keyring") {
            // First the grant: a file without one would be of no use.
            await keepGrant(account.user, grant);
            await this.#write(bare);
        } else {
            await this.#write({ ...bare, grant });
            // The account may have been in the keyring before.
            await forget(account.user).catch(unlessConfigError);
        }
    }

    /** Writes a newer grant of an account. Call it under the lock. */
    async writeGrant(account: StoredAccount, grant: Grant): Promise<void> {
        if (account.store === "keyring") {
            await keepGrant(account.user, grant);
        } else {
            await this.#write({ ...account, grant });
        }
    }

    async #write(content: StoredAccount): Promise<void> {
        await writePrivate(this.path, `${JSON.stringify(content, undefined, 2)}\n`);
    }

    /** Forgets the account, also one whose file cannot be read. Call it under the lock, whose file stays. */
    async remove(account: StoredAccount | undefined): Promise<void> {
        if (account === undefined) {
            await forget(this.user).catch(unlessConfigError);
        } else if (account.store === "keyring") {
            await forget(account.user);
        }
        await removeFile(this.path);
    }

    /** Does some work that nobody else does at the same time to this account: no thread, no process, no language. */
    locked<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
        return withLock(this.#lock, signal, work);
    }
}

async function keepGrant(user: string, grant: Grant): Promise<void> {
    try {
        await keep(user, JSON.stringify(grant));
    } catch {
        // Windows' keyring takes 2560 octets: it is the refresh token that must not be lost.
        await keep(user, JSON.stringify({ ...grant, access_token: "" }));
    }
}

function unlessConfigError(error: unknown): void {
    if (!(error instanceof ConfigError)) {
        throw error;
    }
}

/** What logs an account in. */
export function loginCommand(user: string): string {
    return `mailbearer login ${user}`;
}

/** All accounts, by their addresses; with the reason of each that cannot be read. */
export async function storedAccounts(): Promise<Array<StoredAccount | ConfigError>> {
    const folder = join(dataFolder(), "accounts");
    const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") {
            return [];
        }
        throw error;
    });
    const files = names.filter((name) => name.endsWith(".json") && !name.startsWith(".")).sort();
    return files.flatMap((name) => readable(join(folder, name)) ?? []);
}

function readable(path: string): StoredAccount | ConfigError | undefined {
    try {
        const text = readPrivate(path);
        return text === undefined ? undefined : parsed(text, path, basename(path, ".json"));
    } catch (error) {
        if (error instanceof ConfigError) {
            return error;
        }
        throw error;
    }
}

async function recalled(user: string): Promise<Grant | undefined> {
    const text = await recall(user);
    if (text === undefined) {
        return undefined;
    }
    try {
        return JSON.parse(text) as Grant;
    } catch (error) {
        // Its words show what was read.
        const cause = standIn(error, "it is no JSON");
        throw new ConfigError(`what the keyring has of ${user} cannot be read: run \`${loginCommand(user)}\``, {
            cause,
        });
    }
}

/** Reads the file of an account. Its text is never shown: it may hold tokens. */
function parsed(text: string, path: string, user: string): StoredAccount {
    const damaged = (cause?: Error): ConfigError =>
        new ConfigError(`${path} is damaged: run \`${loginCommand(user)}\``, { cause });
    let content: unknown;
    try {
        content = JSON.parse(text);
    } catch (error) {
        throw damaged(standIn(error, "it is no JSON"));
    }
    const account = content as Partial<StoredAccount> | null;
    if (typeof account === "object" && typeof account?.version === "number" && account.version > VERSION) {
        throw new ConfigError(`${path} was written by a newer mailbearer: update this one`);
    }
    if (!isAccount(account)) {
        throw damaged();
    }
    return account;
}

function isAccount(account: Partial<StoredAccount> | null): account is StoredAccount {
    return (
        typeof account === "object" &&
        account !== null &&
        account.version === VERSION &&
        typeof account.user === "string" &&
        typeof account.client_id === "string" &&
        (account.store === "file" || account.store === "keyring") &&
        typeof account.authorization === "object" &&
        typeof account.authorization?.token_endpoint === "string" &&
        Array.isArray(account.scopes)
    );
}
