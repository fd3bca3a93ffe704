/** Loads the addon before anybody asks for it: where its package is missing, the error is the line that installs it. */

/** What is built, as napi names it. */
const BUILT = [
    "linux-x64-gnu",
    "linux-arm64-gnu",
    "linux-x64-musl",
    "linux-arm64-musl",
    "darwin-x64",
    "darwin-arm64",
    "win32-x64-msvc",
    "win32-arm64-msvc",
];

try {
    require("../native/binding.js");
} catch (error) {
    throw missing(error);
}

function missing(cause: unknown): Error {
    const platform = platformHere();
    const broken = brokenOf(cause);
    if (!BUILT.includes(platform)) {
        return coded(`mailbearer is not built for ${platform}: it is for ${BUILT.join(", ")}`, cause);
    }
    if (broken !== undefined) {
        return coded(`mailbearer's addon for ${platform} cannot be loaded: ${broken.message}`, cause);
    }
    const { version } = require("../package.json") as { version: string };
    return coded(
        `mailbearer's addon for ${platform} is not installed: npm install @mailbearer/native-${platform}@${version} ` +
            "(npm leaves it out with --omit=optional, and where node_modules comes from another system)",
        cause,
    );
}

function coded(message: string, cause: unknown): Error {
    // No class of mailbearer's is there before the addon is.
    return Object.assign(new Error(message, { cause }), { code: "ERR_MAILBEARER_ADDON" });
}

function platformHere(): string {
    const { platform, arch } = process;
    switch (platform) {
        case "linux": {
            const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
            return `linux-${arch}-${header.glibcVersionRuntime === undefined ? "musl" : "gnu"}`;
        }
        case "win32":
            return `win32-${arch}-msvc`;
        default:
            return `${platform}-${arch}`;
    }
}

/** One that was found, and could not be loaded: in the chain of what was tried. */
function brokenOf(error: unknown): Error | undefined {
    for (let one = (error as Error | undefined)?.cause; one instanceof Error; one = one.cause) {
        // Only the words are left of what was tried.
        if (!/^(Cannot find module|Unsupported)/.test(one.message)) {
            return one;
        }
    }
    return undefined;
}

export {};
