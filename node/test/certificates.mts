/** Certificates for tests, made with the `openssl` command: of any issuer, for any name, for any time. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What `tls.createServer` takes, and the authority that signed it. */
export interface Identity {
    key: Buffer;
    cert: Buffer;
    ca: Buffer;
}

/** A certificate for some names, by an authority with this subject. A negative number of days is over. */
export function certificate(
    issuer = "/O=Example Inc/CN=Example Shield",
    names = "DNS:localhost,IP:127.0.0.1",
    days = 2,
    subject = "/CN=a server",
): Identity {
    const folder = mkdtempSync(join(tmpdir(), "mb-certificate-"));
    const openssl = (...words: string[]) => execFileSync("openssl", words, { cwd: folder, stdio: "ignore" });
    const key = (name: string) => [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        `${name}.key`,
    ];
    try {
        openssl("req", "-x509", ...key("ca"), "-out", "ca.pem", "-subj", issuer, "-days", "2");
        writeFileSync(join(folder, "ext"), `subjectAltName=${names}\nextendedKeyUsage=serverAuth\n`);
        openssl("req", "-new", ...key("server"), "-out", "server.csr", "-subj", subject);
        const signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", String(days)];
        openssl("x509", "-req", "-in", "server.csr", ...signed, "-extfile", "ext", "-out", "server.pem");
        const [own, cert, ca] = ["server.key", "server.pem", "ca.pem"].map((name) => readFileSync(join(folder, name)));
        return { key: own as Buffer, cert: cert as Buffer, ca: ca as Buffer };
    } finally {
        rmSync(folder, { recursive: true });
    }
}
