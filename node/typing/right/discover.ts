import { discover, LookupFailed, type Opener, type Resolver } from "mailbearer";
const resolver: Resolver = { mx: async () => [], srv: async () => Promise.reject(new LookupFailed("timed_out")) };
const opener: Opener = async () => ({ status: 404, body: new Uint8Array() });
const found = await discover("joe@company.example", { resolver, opener, signal: AbortSignal.timeout(1) });
export const sentence: string = found.sentence;
