/** What a login is told, and how far TLS goes. */
import { enter, native, optionalNumeric, optionalText, optionalTexts, text } from "../native";
import type { OptionsOf } from "../options";

/** What is spoken. */
export type MailProtocol = "imap" | "pop3" | "smtp";
/** When TLS begins: with the first octet, or by STARTTLS. */
export type Tls = "implicit" | "starttls";
/** The SASL mechanisms that take a token. */
export type Mechanism = "XOAUTH2" | "OAUTHBEARER";
/** Whether the token goes with the `AUTH` line: where it is allowed and fits, never, or always. */
export type InitialResponse = "auto" | "never" | "always";

/** The settings of a login, for the machines. */
export interface LoginSettings {
    readonly protocol: MailProtocol;
    readonly user: string;
    readonly host: string;
    readonly port?: number | undefined;
    readonly tls?: Tls | undefined;
    readonly authzid?: string | undefined;
    readonly mechanisms?: readonly Mechanism[] | undefined;
    readonly initialResponse?: InitialResponse | undefined;
    readonly ehloName?: string | undefined;
    readonly assumedCapabilities?: readonly string[] | undefined;
}

/** @internal */
export const LOGIN_SETTINGS: OptionsOf<LoginSettings> = {
    protocol: "string",
    user: "string",
    host: "string",
    port: "number",
    tls: "string",
    authzid: "string",
    mechanisms: "own",
    initialResponse: "string",
    ehloName: "string",
    assumedCapabilities: "own",
};

/** Checks the types, before napi does. @internal */
export function checked(settings: LoginSettings): native.JsSettings {
    return {
        protocol: text(settings.protocol, "protocol"),
        user: text(settings.user, "user"),
        host: text(settings.host, "host"),
        port: optionalNumeric(settings.port, "port"),
        tls: optionalText(settings.tls, "tls"),
        authzid: optionalText(settings.authzid, "authzid"),
        mechanisms: optionalTexts(settings.mechanisms, "mechanisms"),
        initialResponse: optionalText(settings.initialResponse, "initialResponse"),
        ehloName: optionalText(settings.ehloName, "ehloName"),
        assumedCapabilities: optionalTexts(settings.assumedCapabilities, "assumedCapabilities"),
    };
}

/** Checks the settings of a login, and gives the name that EHLO gives with them. */
export function checkedEhloName(settings: LoginSettings): string {
    const given = checked(settings);
    return enter(() => native.checkedEhloName(given));
}

/** How TLS begins at a port: as asked, else as the port is registered. */
export function tlsAtPort(protocol: MailProtocol, port: number, asked: Tls | undefined, unusualPort: boolean): Tls {
    return enter(() => native.tlsAtPort(protocol, port, asked, unusualPort)) as Tls;
}
