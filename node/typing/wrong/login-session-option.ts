import { login } from "mailbearer/nodemailer";
login({ user: "joe@gmail.com", policy: { lead: 5 } }); // wrong
