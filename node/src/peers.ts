/** Libraries that a program installs by itself, where it wants what they do. */
import { ConfigError } from "./errors";

/** Loads one; where it is missing, the error is the line that mends it. */
export function installed<T>(name: string, load: () => T): T {
    try {
        return load();
    } catch (error) {
        throw isMissing(error) ? notInstalled(name, error) : error;
    }
}

/** The same where it is loaded later: what is there, and has no part for CommonJS, is not missing. */
export function required(name: string): void {
    try {
        require.resolve(name);
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND") {
            throw notInstalled(name, error);
        }
    }
}

/** Says how to install a library. */
export function notInstalled(name: string, cause: unknown): ConfigError {
    return new ConfigError(`${name} is not installed: npm install ${name}`, { cause });
}

/** Whether a module was not found: CommonJS and ES modules have a code each, and older versions of a library lack the path. */
export function isMissing(error: unknown): boolean {
    const code = String((error as NodeJS.ErrnoException | null)?.code);
    return /^(ERR_)?MODULE_NOT_FOUND$/.test(code) || code === "ERR_PACKAGE_PATH_NOT_EXPORTED";
}
