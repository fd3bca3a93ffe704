import { discover } from "mailbearer";
await discover("joe@company.example", { timeOut: 5 }); // wrong
