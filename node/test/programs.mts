/** The command and programs of users, each a process with a data folder of its own. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { APP } from "./places.mjs";
import { until } from "./waiting.mjs";

const COMMAND = join(APP, "node_modules/mailbearer/dist/command.js");

/** A process, and all that it has said. */
export class Program {
    readonly child: ChildProcessWithoutNullStreams;
    /** Its exit status; 137 where it was killed. */
    readonly ended: Promise<number>;
    out = "";
    err = "";
    isOver = false;

    constructor(file: string, words: readonly string[], env: NodeJS.ProcessEnv) {
        this.child = spawn(file, words, { env, cwd: APP });
        this.child.stdout.on("data", (data: Buffer) => (this.out += data.toString()));
        this.child.stderr.on("data", (data: Buffer) => (this.err += data.toString()));
        this.child.stdin.on("error", () => undefined);
        this.ended = new Promise((resolve) => {
            this.child.on("close", (status, signal) => {
                this.isOver = true;
                resolve(signal === "SIGKILL" ? 137 : (status ?? -1));
            });
        });
    }

    /** The first part that matches of what it has said on standard output. */
    async said(pattern: RegExp): Promise<string> {
        await until(`${String(pattern)} is said`, () => pattern.test(this.out) || this.isOver);
        const found = pattern.exec(this.out);
        if (found === null) {
            throw new Error(`it has ended without ${String(pattern)}: ${this.out}${this.err}`);
        }
        return found[1] ?? found[0];
    }

    /** The address at which consent is asked for. */
    consentAddress(): Promise<string> {
        return this.said(/(https:\/\/\S+\/auth\?\S+)/);
    }
}

/** A data folder, and the certificate authorities that programs trust. */
export class Home {
    readonly folder = mkdtempSync(join(tmpdir(), "mb-home-"));
    readonly caFile = join(this.folder, "authorities.pem");
    /** The address of the bus on which a keyring is: whatever keyring the tester has is left alone. */
    bus = "unix:path=/nonexistent";

    constructor(...caFiles: readonly string[]) {
        writeFileSync(this.caFile, caFiles.map((file) => readFileSync(file, "utf8")).join("\n"));
    }

    get env(): NodeJS.ProcessEnv {
        const { NODE_TEST_CONTEXT: _, ...env } = process.env;
        return {
            ...env,
            MAILBEARER_HOME: join(this.folder, "data"),
            NODE_EXTRA_CA_CERTS: this.caFile,
            DBUS_SESSION_BUS_ADDRESS: this.bus,
            BROWSER: "true",
        };
    }

    /** Runs `mailbearer`, with a umask that takes nothing away. */
    command(...words: readonly string[]): Program {
        return new Program("sh", ["-c", 'umask 0; exec "$@"', "sh", process.execPath, COMMAND, ...words], this.env);
    }

    /** Runs a program in an ES module. */
    program(text: string, ...words: readonly string[]): Program {
        return new Program(process.execPath, ["--input-type=module", "--eval", text, "--", ...words], this.env);
    }

    /** The file of an account. */
    accountFile(name: string): string {
        return join(this.folder, "data", "accounts", `${name}.json`);
    }

    read(name: string): any {
        return JSON.parse(readFileSync(this.accountFile(name), "utf8"));
    }

    remove(): void {
        rmSync(this.folder, { recursive: true, force: true });
    }
}
