/** What a user is told who has no client id: the same words in Node and Python. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { it } from "node:test";
import { Provider } from "mailbearer";
import { stepsTo } from "./inside.mjs";
import { ROOT } from "./places.mjs";

it("the steps to a client id are those of Python, for every provider", () => {
    const asked = [...Provider.names, null].flatMap((name) => [
        ["joe@example.com", name, null],
        ["joe@example.com", name, "https://issuer.example"],
    ]);
    const file = join(ROOT, "python/src/mailbearer/client_steps.py");
    const text =
        "import json, runpy, sys; steps = runpy.run_path(sys.argv[1])['steps']; " +
        "print(json.dumps([steps(*asked) for asked in json.loads(sys.argv[2])]))";
    const words = ["-c", text, file, JSON.stringify(asked)];
    const python = JSON.parse(execFileSync("python3", words, { encoding: "utf8" })) as string[];
    const node = asked.map(([user, provider, issuer]) =>
        stepsTo(user as string, provider ?? undefined, issuer ?? undefined),
    );
    assert.deepEqual(node, python);
    assert.ok(new Set(node).size > 8);
});
