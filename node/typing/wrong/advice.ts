import { LoginFailed } from "mailbearer";
export const isLater = (error: Error): boolean => error instanceof LoginFailed && error.advice === "backoff"; // wrong
