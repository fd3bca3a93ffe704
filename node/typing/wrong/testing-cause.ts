import { Server } from "mailbearer/testing";
(await Server.start()).refuse("token_expird"); // wrong
