import { stored } from "mailbearer";
stored({ user: "joe@gmail.com" }); // wrong
