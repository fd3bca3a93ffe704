import { transport } from "mailbearer/nodemailer";
transport({ user: "joe@gmail.com", maxConnection: 3 }); // wrong
