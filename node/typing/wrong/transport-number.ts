import { transport } from "mailbearer/nodemailer";
transport({ user: "joe@gmail.com", rateLimit: "20" }); // wrong
