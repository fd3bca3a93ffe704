import { Server } from "mailbearer/testing";
await Server.start({ flavor: "gmail" }); // wrong
