import { discover } from "mailbearer";
(await discover("joe@company.example")).service("imaps"); // wrong
