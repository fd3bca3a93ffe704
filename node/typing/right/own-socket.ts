import * as net from "node:net";
import type { Duplex } from "node:stream";
import { connect, sessions, type SocketFunction } from "mailbearer";
const socket: SocketFunction = async ({ host, port, signal }): Promise<Duplex> => net.connect({ host, port, signal });
sessions({ protocol: "imap", user: "joe@gmail.com", socket });
await connect({ protocol: "imap", user: "joe@gmail.com", socket: net.connect(993, "imap.gmail.com") });
