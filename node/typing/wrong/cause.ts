import { LoginFailed } from "mailbearer";
export const isOfToken = (error: Error): boolean => error instanceof LoginFailed && error.code === "token_rejectd"; // wrong
