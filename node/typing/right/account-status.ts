import { Account, type Standing } from "mailbearer";
const account = new Account({ user: "joe@gmail.com", snapshot: Buffer.alloc(0) });
const standings: Standing[] = account.status().sessions.map(({ standing }) => standing);
const snapshot: Uint8Array = account.snapshot();
account.networkLost();
account.networkBack();
export { standings, snapshot };
