/** What the kinds of cases have in common: server messages that arrive in pieces. */

/** A case does not hold. */
export class CaseFailed extends Error {}

/** Whole, octet by octet, or one server message in two pieces. */
export type Cut = "whole" | "every octet" | { step: number; at: number };

/** A step in which the server says something. */
export interface ServerStep {
    server?: string;
    repeat?: number;
    split?: number | "every";
}

/** The server's message in the pieces in which it arrives. */
export function* deal(data: Buffer, step: ServerStep, index: number, cut: Cut): Iterable<Buffer> {
    const repeat = step.repeat ?? 1;
    if (repeat > 1) {
        const perPiece = Math.max(1, Math.min(repeat, Math.floor(65_536 / Math.max(1, data.length))));
        const piece = Buffer.concat(Array<Buffer>(perPiece).fill(data));
        for (let done = 0; done < repeat; done += perPiece) {
            yield piece;
        }
        return;
    }
    let [rest, size] = [data, typeof step.split === "number" ? step.split : data.length];
    if (cut === "every octet") {
        size = 1;
    } else if (cut !== "whole" && cut.step === index) {
        yield data.subarray(0, cut.at);
        rest = data.subarray(cut.at);
        size = rest.length;
    }
    for (let at = 0; at < rest.length; at += Math.max(1, size)) {
        yield rest.subarray(at, at + Math.max(1, size));
    }
}
