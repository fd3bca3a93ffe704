import {
    ConfigError,
    GaveUp,
    LoginFailed,
    MailbearerError,
    NeedsUser,
    SessionEnded,
    TokenSourceFailed,
} from "mailbearer";
export function told(error: unknown): string {
    if (error instanceof NeedsUser || error instanceof GaveUp) {
        return error.failure.url ?? error.failure.sentence;
    }
    if (error instanceof LoginFailed && error.code === "token_rejected") {
        return error.advice;
    }
    if (error instanceof SessionEnded) {
        return error.verdict.rule;
    }
    if (error instanceof TokenSourceFailed && error.permanent) {
        return String(error.cause);
    }
    return error instanceof ConfigError || error instanceof MailbearerError ? error.message : "another";
}
