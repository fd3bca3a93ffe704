import { ADVICES, type Advice, CAUSES, type Cause, explain } from "mailbearer";
const counts = new Map<Cause, number>(CAUSES.map((cause) => [cause, 0]));
const { cause, advice, certainty, message } = explain(new Error("whatever"));
counts.set(cause, 1);
export const all: readonly Advice[] = ADVICES;
export const words: string = `${advice} ${certainty} ${message}`;
