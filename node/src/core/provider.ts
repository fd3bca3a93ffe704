/** What is known of mail providers. */
import { enter, native, text } from "../native";
import type { InitialResponse, MailProtocol, Mechanism, Tls } from "./login";

/** What a provider has of a protocol. */
export interface Service {
    readonly protocol: MailProtocol;
    readonly host: string;
    readonly port?: number | undefined;
    readonly tls?: Tls | undefined;
    readonly mechanisms?: readonly Mechanism[] | undefined;
    readonly scopes?: readonly string[] | undefined;
    readonly initialResponse?: InitialResponse | undefined;
    readonly assumedCapabilities?: readonly string[] | undefined;
    readonly sessionMs?: number | undefined;
    readonly endsWithToken?: boolean | undefined;
    readonly idleMs?: number | undefined;
    readonly connections?: number | undefined;
}

/** Where a provider's tokens come from: for OAuth libraries, as `mailbearer login` has one. Nothing else asks any of these. */
export interface OAuth {
    readonly issuer?: string | undefined;
    readonly authorizationEndpoint: string;
    readonly tokenEndpoint: string;
    readonly deviceAuthorizationEndpoint?: string | undefined;
    readonly revocationEndpoint?: string | undefined;
    readonly registrationEndpoint?: string | undefined;
    /** Whether it wants a secret from an app that cannot keep one. */
    readonly needsClientSecret: boolean;
    /** What an authorization request needs besides, as `access_type: "offline"`. */
    readonly parameters: Readonly<Record<string, string>>;
    /** Whether the request may name the user (`login_hint`). */
    readonly takesLoginHint: boolean;
}

/** What is known of a mail provider. A program may make its own: it is a plain object. */
export interface Provider {
    readonly name: string;
    readonly domains: readonly string[];
    readonly tokenLifetimeMs?: number | undefined;
    readonly services: readonly Service[];
    readonly oauth?: OAuth | undefined;
    /** What to do in place of OAuth, where it has none for mail. */
    readonly instead?: string | undefined;
}

/** The providers that mailbearer knows. */
export const Provider = {
    /** Their names. */
    get names(): string[] {
        return enter(() => native.providerNames());
    },

    /** The profile of a name. */
    named(name: string): Provider {
        const given = text(name, "provider");
        return enter(() => native.providerNamed(given)) as Provider;
    },

    /** The provider of a mail address, where that is certain. */
    ofAddress(address: string): Provider | undefined {
        const given = text(address, "address");
        return (enter(() => native.providerOfAddress(given)) ?? undefined) as Provider | undefined;
    },

    /** A server of which nothing is known but its host. */
    generic(host: string): Provider {
        const given = text(host, "host");
        return enter(() => native.providerGeneric(given)) as Provider;
    },
} as const;
