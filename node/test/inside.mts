/** What is inside the package, and not for programs. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { APP } from "./places.mjs";

const require = createRequire(import.meta.url);
const inside = (name: string): unknown => require(join(APP, "node_modules", "mailbearer", "dist", name));

export const { Driver } = inside("driver.js") as typeof import("../dist/driver.js");
export const { nowMs, Sleep } = inside("clock.js") as typeof import("../dist/clock.js");
export const { enter } = inside("native.js") as typeof import("../dist/native.js");
export const { NoToken } = inside("answers.js") as typeof import("../dist/answers.js");
export const { failureOfConnect, failureOfHost, failureOfTls } = inside(
    "core/index.js",
) as typeof import("../dist/core/index.js");
export const { fileName, normalAddress, dataFolder } = inside(
    "login/folder.js",
) as typeof import("../dist/login/folder.js");
export const { canOpenBrowser } = inside("login/browser.js") as typeof import("../dist/login/browser.js");
export const { withIssuer } = inside("login/consent.js") as typeof import("../dist/login/consent.js");
export const { fetchWith } = inside("login/https.js") as typeof import("../dist/login/https.js");
export const { httpsOpener, isPublic, systemResolver } = inside("lookups.js") as typeof import("../dist/lookups.js");
export type { Given, Held, Reports, Wire, World } from "../dist/world.js";
