import { Account } from "mailbearer";
new Account("joe@gmail.com"); // wrong
