/** What the commands have in common: output that never ends in a stack trace, its width, its colours, and hidden input. */
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import type { ReadStream, WriteStream } from "node:tty";

/** What a shell reports of a program that SIGPIPE has ended. */
const PIPE_CLOSED = 141;
const INTERRUPTED = 130;
const WIDTH_MIN = 40;

/** Ends the command where its output cannot be written: with 1 and a line, or with 141 where nobody reads it. */
export function guardOutput(name: string): void {
    process.stdout.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "EPIPE") {
            process.exit(PIPE_CLOSED);
        }
        try {
            const reason = error.code === "ENOSPC" ? "No space left on device" : (error.code ?? "it is closed");
            writeSync(2, `${name}: the output cannot be written: ${reason}\n`);
        } finally {
            process.exit(1);
        }
    });
    // There is no place left to complain at.
    process.stderr.on("error", () => undefined);
}

/** Whether a stream is a terminal that takes colours, and nobody asked for none (https://no-color.org). */
export function hasColours(stream: WriteStream): boolean {
    return stream.isTTY && (process.env["NO_COLOR"] ?? "") === "" && process.env["TERM"] !== "dumb";
}

/** Columns of the output: COLUMNS, else the terminal's, else 80. */
export function width(): number {
    const given = Number(process.env["COLUMNS"]);
    const columns = given > 0 ? given : process.stdout.isTTY ? process.stdout.columns : 80;
    return Math.max(WIDTH_MIN, columns || 80);
}

/** Breaks a line at the width, and nothing within its words: an address stays whole. */
export function wrapped(text: string, indent = "", hanging = indent): string {
    const lines: string[] = [];
    let line = indent;
    // What stands in front of a word stays with it: columns are kept.
    for (const [word] of text.matchAll(/\s*\S+/g)) {
        const isFirst = line === indent || line === hanging;
        if (!isFirst && line.length + word.length > width()) {
            lines.push(line);
            line = hanging + word.trimStart();
        } else {
            line += word;
        }
    }
    return [...lines, line].join("\n");
}

/** A help text at the width of the terminal: rows of options keep their columns, other lines are paragraphs. */
export function fitted(help: string): string {
    const blocks: Array<{ text: string; hanging: string }> = [];
    for (const line of help.split("\n")) {
        const last = blocks.at(-1);
        const continues = last !== undefined && last.text !== "" && line.trim() !== "" && !/^ {2}\S/.test(line);
        const isParagraph = continues && last.hanging === "" && !line.startsWith(" ") && !last.text.endsWith(":");
        if (continues && last.hanging !== "" && line.startsWith(`${last.hanging.slice(1)}`)) {
            last.text += ` ${line.trim()}`;
        } else if (isParagraph) {
            last.text += ` ${line}`;
        } else {
            const column = /^ {2}\S.*? {2,}(?=\S)/.exec(line)?.[0].length ?? 0;
            blocks.push({ text: line, hanging: " ".repeat(column) });
        }
    }
    return blocks.map(({ text, hanging }) => wrapped(text, "", hanging)).join("\n");
}

/** A line of standard input; from a terminal, without showing it. */
export async function secretLine(prompt: string): Promise<string> {
    const input = process.stdin;
    if (!input.isTTY) {
        for await (const line of createInterface({ input })) {
            return line;
        }
        return "";
    }
    try {
        return await hidden(input, prompt);
    } finally {
        process.stderr.write("\n");
    }
}

function hidden(input: ReadStream, prompt: string): Promise<string> {
    // Before it is asked for: what is pasted at once would be shown.
    input.setRawMode(true);
    process.stderr.write(prompt);
    input.setEncoding("utf8");
    return new Promise((resolve, reject) => {
        let line = "";
        const end = (act: () => void): void => {
            input.off("data", read);
            input.off("end", ended);
            input.setRawMode(false);
            input.pause();
            act();
        };
        const ended = (): void => end(() => resolve(line));
        const read = (typed: string): void => {
            for (const key of typed) {
                if (key === "\r" || key === "\n" || key === "\u0004") {
                    return end(() => resolve(line));
                } else if (key === "\u0003") {
                    return end(() => reject(new Interrupted()));
                } else if (key === "\u007f" || key === "\b") {
                    line = line.slice(0, -1);
                } else {
                    line += key;
                }
            }
        };
        input.on("data", read);
        input.on("end", ended);
        input.resume();
    });
}

/** ^C was typed while a secret was read. */
export class Interrupted extends Error {
    readonly status = INTERRUPTED;
}
