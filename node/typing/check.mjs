// Holds the types of the installed package to programs: those in right/ pass, and each line of wrong/ that is marked is refused.
//
//     node check.mjs      where the package is installed, with right/ and wrong/ beside it
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import ts from "typescript";

const here = import.meta.dirname;
const programs = (folder) => readdirSync(join(here, folder)).map((name) => join(here, folder, name));
const [right, wrong] = [programs("right"), programs("wrong")];

// As strict as a program can be; `skipLibCheck` is off, so that our own declarations are read, too, and those of others are not judged.
const options = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noImplicitOverride: true,
    noEmit: true,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    lib: ["lib.es2022.d.ts", "lib.esnext.disposable.d.ts"],
    types: ["node"],
    esModuleInterop: true,
};
const program = ts.createProgram([...right, ...wrong], options);
const faults = [];
const refused = new Map(wrong.map((file) => [file, new Set()]));
for (const { file, start, messageText } of ts.getPreEmitDiagnostics(program)) {
    const words = ts.flattenDiagnosticMessageText(messageText, " ");
    const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start).line;
    const isOurs = file === undefined || file.fileName.startsWith(here) || file.fileName.includes("/mailbearer/dist/");
    if (file !== undefined && refused.has(file.fileName)) {
        refused.get(file.fileName).add(line);
    } else if (isOurs) {
        faults.push(`${file?.fileName ?? "options"}:${line + 1}: ${words}`);
    }
}
for (const [file, lines] of refused) {
    readFileSync(file, "utf8")
        .split("\n")
        .forEach((text, line) => {
            if (text.includes("// wrong") !== lines.has(line)) {
                const what = lines.has(line) ? "is refused, and not marked" : "is not refused";
                faults.push(`wrong/${basename(file)}:${line + 1}: ${what}: ${text.trim()}`);
            }
        });
    if (!readFileSync(file, "utf8").includes("// wrong")) {
        faults.push(`wrong/${basename(file)}: nothing is marked`);
    }
}
if (right.length < 30 || wrong.length < 30) {
    faults.push(`there are ${right.length} right and ${wrong.length} wrong programs: 30 of each are the least`);
}
faults.forEach((fault) => console.error(fault));
console.log(`types: ${right.length} right programs, ${wrong.length} wrong ones, ${faults.length} faults`);
process.exitCode = faults.length === 0 ? 0 : 1;
