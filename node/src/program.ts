/** Programs that print an access token: no shell, a time limit, and errors without what may be secret. */
import { execFile, type ExecFileException } from "node:child_process";
import { promisify } from "node:util";
import { Transcript } from "./core";
import { ConfigError, TokenSourceFailed } from "./errors";
import { shown, standIn } from "./foreign";

/** Runs a program, and gives the one word that it prints. `name` is what errors call it. */
export async function tokenPrinted(
    words: readonly string[],
    name: string,
    timeout: number,
    signal?: AbortSignal,
): Promise<string> {
    const [program = "", ...parameters] = words;
    let output: string;
    try {
        const options = { timeout, windowsHide: true, ...(signal === undefined ? {} : { signal }) };
        ({ stdout: output } = await promisify(execFile)(program, parameters, options));
    } catch (error) {
        signal?.throwIfAborted();
        throw notPrinted(error, name, program);
    }
    const tokens = wordsOf(output);
    if (tokens.length !== 1) {
        throw new TokenSourceFailed(`${name} must print one token, and nothing else`);
    }
    return tokens[0] as string;
}

function notPrinted(error: unknown, name: string, program: string): TokenSourceFailed {
    const { code, killed, stdout, stderr } = error as Partial<ExecFileException & Record<"stdout" | "stderr", string>>;
    if (typeof code === "number") {
        const said = shown(withoutTokensOf(stdout ?? "", stderr ?? ""));
        const words = said === "" ? ", and said nothing on standard error" : `: ${said}`;
        return new TokenSourceFailed(`${name} failed with status ${code}${words}`, { cause: standIn(error, said) });
    }
    const why =
        typeof code === "string"
            ? notFound(code, program)
            : killed === true
              ? "it did not end in time"
              : "it was ended";
    // What it printed is not handed on.
    return new TokenSourceFailed(`${name} could not be run: ${why}`, { cause: standIn(error, why) });
}

/** A name without a slash is looked for in PATH. */
function notFound(code: string, program: string): string {
    return code !== "ENOENT" ? code : /[/\\]/.test(program) ? "there is no such file" : "it was not found in PATH";
}

function wordsOf(output: string): string[] {
    return output.split(/\s+/).filter((word) => word !== "");
}

/** What a command said beside its tokens, if it has printed any: it may have said them again. */
function withoutTokensOf(output: string, said: string): string {
    return wordsOf(output).slice(0, TOKENS_MAX).reduce(withoutToken, said);
}

const TOKENS_MAX = 8;

function withoutToken(said: string, word: string): string {
    try {
        const transcript = new Transcript(word);
        const lines = [...transcript.received(Buffer.from(said)), ...transcript.flush()];
        return lines.map(({ text }) => text).join("\n");
    } catch (error) {
        if (error instanceof ConfigError) {
            return said;
        }
        throw error;
    }
}

/** The words of a command, with quotes and backslashes as in a POSIX shell; nothing is expanded. */
export function wordsOfCommand(command: string): string[] {
    const found = command.matchAll(/(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+/g);
    return [...found].map(([word]) =>
        word.replace(/"((?:[^"\\]|\\.)*)"|'([^']*)'|\\(.)/g, (_, double?: string, single?: string, escaped?: string) =>
            double !== undefined ? double.replace(/\\(["\\$`])/g, "$1") : (single ?? escaped ?? ""),
        ),
    );
}
