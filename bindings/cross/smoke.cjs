// Logs in over IMAP, POP3 and SMTP with the npm package in FOLDER, over real TLS on loopback: node smoke.cjs FOLDER
const { join, resolve } = require("node:path");
const folder = resolve(process.argv[2]);
const { connect, LoginFailed } = require(folder);
const { Server } = require(join(folder, "dist/testing.js"));

async function main() {
    const server = await Server.start({ flavour: "outlook" });
    for (const protocol of ["imap", "pop3", "smtp"]) {
        const token = server.issueToken("joe@outlook.com");
        const connection = await connect({ protocol, user: "joe@outlook.com", token, ...server.at(protocol) });
        console.log(`${protocol}: logged in`);
        await connection.close();
    }
    const old = server.issueToken("joe@outlook.com", { lifetime: 0 });
    const refused = await connect({ protocol: "imap", user: "joe@outlook.com", token: old, ...server.at("imap") }).then(
        () => new Error("an expired token was taken"),
        (error) => error,
    );
    if (!(refused instanceof LoginFailed)) throw refused;
    console.log(`an expired token: ${refused.message.slice(0, 80)}`);
    await server.stop();
    console.log(`${process.platform} ${process.arch}, Node ${process.version}: passed`);
    process.exit(0);
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
