/** Orders that carry the token, kept out of logs. */
import { inspect } from "node:util";

/** Makes sure that `console.log` does not show what carries the token. */
export function masked<T extends { readonly sensitive: boolean }>(order: T): T {
    return order.sensitive ? Object.defineProperties(order, MASK) : order;
}

const hidden = { value: () => "<octets with the token>" };
const MASK = { [inspect.custom]: hidden, toJSON: hidden };
