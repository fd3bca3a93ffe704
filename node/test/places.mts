/** Where things are, for tests that run in `.cache/node`, where the package is installed. */
import { resolve } from "node:path";

/** The project in which the package is installed. */
export const APP = resolve(import.meta.dirname, "..");

/** The root of the repository. */
export const ROOT = resolve(APP, "../..");
