import { SendFailed } from "mailbearer";
export const isLost = (error: Error): boolean => error instanceof SendFailed && error.outcome === "lost"; // wrong
