/** The machines and pure functions of the core, with exact types. */
export * from "./account";
export * from "./discover";
export * from "./follow";
export * from "./host";
export * from "./login";
export * from "./negotiation";
export * from "./provider";
export * from "./replies";
export * from "./session";
export * from "./token";
export * from "./transcript";
export * from "./verdict";
export * from "./watch";
