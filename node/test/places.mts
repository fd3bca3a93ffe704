/** Where things are, for tests that run where the package is installed. */

/** The root of the repository. */
export const ROOT = process.env["MAILBEARER_ROOT"] ?? missing();

function missing(): never {
    throw new Error("MAILBEARER_ROOT is not set: run the tests with `make test-node`");
}
