/** Which program it is that asks for consent: the client id is the user's own. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../errors";
import { dataFolder, readPrivate, systemWords } from "./folder";
import type { Client } from "./server";

/** Where a client id may come from. */
export interface ClientOptions {
    readonly id?: string | undefined;
    readonly secretFile?: string | undefined;
    /** As Google's console gives it. */
    readonly file?: string | undefined;
}

/** The client id that was given, else the one of the file `clients.json`; `names` are the provider's and the issuer. */
export function clientOf(given: ClientOptions, names: ReadonlyArray<string | undefined>): Client | undefined {
    const secret = given.secretFile === undefined ? undefined : { secret: secretIn(given.secretFile) };
    if (given.id !== undefined && given.file !== undefined) {
        throw new ConfigError("--client-file has a client id: leave --client-id out");
    }
    if (given.id !== undefined) {
        return { id: given.id, ...secret };
    }
    const found = given.file === undefined ? ofConfiguration(names) : ofGoogle(given.file);
    if (found === undefined && secret !== undefined) {
        throw new ConfigError("--client-secret-file needs --client-id");
    }
    return found === undefined ? undefined : { ...found, ...secret };
}

function secretIn(path: string): string {
    const words = textOf(path).trim().split(/\s+/);
    if (words.length !== 1 || words[0] === "") {
        throw new ConfigError(`${path} must hold one client secret, and nothing else`);
    }
    return words[0] as string;
}

function textOf(path: string): string {
    try {
        return readFileSync(path, "utf8");
    } catch (error) {
        throw new ConfigError(`${path} cannot be read: ${systemWords(error)}`, { cause: error });
    }
}

/** Google's console gives `{"installed": {"client_id": …}}`, or `web` in place of `installed`. */
function ofGoogle(path: string): Client {
    const content = object(textOf(path), path);
    const client = clientIn(content["installed"] ?? content["web"] ?? content);
    if (client === undefined) {
        throw new ConfigError(`${path} holds no client_id: it is the file that Google's console gives for a client`);
    }
    return client;
}

function ofConfiguration(names: ReadonlyArray<string | undefined>): Client | undefined {
    const path = join(dataFolder(), "clients.json");
    const text = readPrivate(path);
    if (text === undefined) {
        return undefined;
    }
    const content = object(text, path);
    const name = names.find((one) => one !== undefined && content[one] !== undefined);
    if (name === undefined) {
        return undefined;
    }
    const client = clientIn(content[name]);
    if (client === undefined) {
        throw new ConfigError(`${path} has no client_id for ${name}`);
    }
    return client;
}

function object(text: string, path: string): Record<string, unknown> {
    try {
        const content = JSON.parse(text) as unknown;
        if (typeof content === "object" && content !== null && !Array.isArray(content)) {
            return content as Record<string, unknown>;
        }
    } catch {
        // What is wrong with it may be a secret.
    }
    throw new ConfigError(`${path} is no JSON object`);
}

function clientIn(value: unknown): Client | undefined {
    const { client_id: id, client_secret: secret } = (value ?? {}) as { client_id?: unknown; client_secret?: unknown };
    if (typeof id !== "string" || id === "") {
        return undefined;
    }
    return typeof secret === "string" && secret !== "" ? { id, secret } : { id };
}
