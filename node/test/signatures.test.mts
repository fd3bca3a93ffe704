/** The tables of `docs/reference/node.md` say of each call what the types say. */
import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import ts from "typescript";
import { ROOT } from "./places.mjs";

/** What the page calls the objects, as types; `M` is the module. */
const OBJECTS: Readonly<Record<string, string>> = {
    account: "M.Account",
    sessions: "M.Sessions<Client>",
    connection: "M.SessionConnection<Client>",
};

const PAGE = readFileSync(join(ROOT, "docs/reference/node.md"), "utf8");

/** The codes of the first cells of a table. */
function cells(name: string): string[][] {
    const [, block] = new RegExp(`<!-- ${name} -->([^]*?)<!-- end of ${name} -->`).exec(PAGE) ?? [];
    const rows = (block ?? "").split("\n").filter((line) => line.startsWith("| `"));
    return rows.map((row) =>
        [...row.matchAll(/`([^`]+)`/g)].map(([, code]) => (code as string).replaceAll("\\|", "|")),
    );
}

/** Types of the installed package. */
function compiled(types: readonly string[]): [ts.SourceFile, ts.TypeChecker] {
    // In the project, so that its packages are found from there.
    const file = join(import.meta.dirname, "signatures.mts");
    writeFileSync(file, [`import type * as M from "mailbearer";`, ...types].join("\n"));
    const program = ts.createProgram([file], {
        strict: true,
        module: ts.ModuleKind.NodeNext,
        moduleResolution: ts.ModuleResolutionKind.NodeNext,
        types: ["node"],
        skipLibCheck: true,
    });
    const source = program.getSourceFile(file) as ts.SourceFile;
    const checker = program.getTypeChecker();
    rmSync(file);
    return [source, checker];
}

/** The signature, or the type of what is read, of each call. */
function signatures(calls: readonly string[]): Map<string, string> {
    const types = calls.map((call, at) => {
        const [object, member] = call.split(".") as [string, string | undefined];
        const path = member === undefined ? `typeof M.${object}` : `${OBJECTS[object] as string}["${member}"]`;
        return `export type C${at}<Client> = ${path};`;
    });
    const [source, checker] = compiled(types);
    return new Map(
        source.statements.filter(ts.isTypeAliasDeclaration).map((alias, at) => {
            const type = checker.getTypeAtLocation(alias.type);
            const [signature] = type.getCallSignatures();
            const said = signature === undefined ? `: ${checker.typeToString(type)}` : declared(signature);
            return [calls[at] as string, said.replace(/\s+/g, " ").replaceAll("; }", " }")];
        }),
    );
}

/** The names that types are unions of. */
function unions(types: readonly string[]): string[][] {
    const [source, checker] = compiled(types.map((type, at) => `export type U${at} = ${type};`));
    return source.statements.filter(ts.isTypeAliasDeclaration).map((alias) => {
        const type = checker.getTypeAtLocation(alias);
        const all = type.isUnion() ? type.types : [type];
        return all.map((one) => (one as ts.StringLiteralType).value).sort();
    });
}

/** As it is written in the declarations. */
function declared({ declaration }: ts.Signature): string {
    const { typeParameters = [], parameters, type } = declaration as ts.MethodDeclaration;
    const names = [...typeParameters].map((one) => one.getText()).join(", ");
    const taken = [...parameters].map((one) => one.getText()).join(", ");
    return `${names && `<${names}>`}(${taken}): ${type?.getText() ?? "void"}`;
}

describe("the tables of the reference", () => {
    const rows = cells("calls").map(([code]) => code as string);
    const nameOf = (code: string): string => /^[\w.]+/.exec(code)?.[0] ?? "";
    let all: Map<string, string>;
    before(() => (all = signatures(rows.map(nameOf))));

    it("list the options of each type", () => {
        const types = cells("options of calls");
        assert.ok(types.length >= 5);
        const listed = types.map(([name]) => `keyof M.${name}`);
        const known = unions(listed);
        types.forEach(([name, ...options], at) => assert.deepEqual(options.sort(), known[at], name));
    });

    it("have calls", () => assert.ok(rows.length > 20, String(rows.length)));

    for (const code of rows) {
        it(`say what the types say of ${nameOf(code)}`, () => {
            assert.equal(code, nameOf(code) + (all.get(nameOf(code)) ?? ""));
        });
    }
});
