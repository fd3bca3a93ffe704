import { login } from "mailbearer/nodemailer";
login({ user: "joe@gmail.com", loger: console }); // wrong
