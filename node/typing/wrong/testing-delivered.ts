import { Server } from "mailbearer/testing";
(await Server.start()).deliver("joe@gmail.com", { subject: "hello" }); // wrong
