/** The user's browser. */
import { execFile } from "node:child_process";

/** Whether a browser would show itself: not on a machine that one has come to with SSH, without a display. */
export function canOpenBrowser(env: NodeJS.ProcessEnv = process.env, platform: string = process.platform): boolean {
    if (isSet(env["BROWSER"])) {
        return true;
    }
    if (platform === "win32" || platform === "darwin") {
        return env["SSH_CONNECTION"] === undefined;
    }
    return isSet(env["DISPLAY"]) || isSet(env["WAYLAND_DISPLAY"]);
}

function isSet(value: string | undefined): boolean {
    return value !== undefined && value !== "";
}

/** Opens an address. Where that does not work nothing happens: the address is shown, too. */
export function openBrowser(address: string): void {
    const [program, ...parameters] = browser();
    const child = execFile(program as string, [...parameters, address], () => undefined);
    child.unref();
    child.on("error", () => undefined);
}

function browser(): string[] {
    const own = process.env["BROWSER"];
    if (own !== undefined && own !== "") {
        return [own];
    }
    switch (process.platform) {
        case "win32":
            return ["rundll32", "url.dll,FileProtocolHandler"];
        case "darwin":
            return ["open"];
        default:
            return ["xdg-open"];
    }
}
