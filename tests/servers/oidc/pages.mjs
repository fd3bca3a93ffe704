/** The pages that a user sees: without scripts, and with nothing from elsewhere. */

function escaped(text) {
    const names = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
    return String(text).replace(/[&<>"]/g, (one) => names[one]);
}

function page(title, body) {
    return `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head><body>
<h1>${title}</h1>
${body}
</body></html>`;
}

/** One page for both: who it is, and whether the program may. There are no passwords here. */
export function consent(uid, { client_id: client, scope, login_hint: hint }) {
    return page(
        "Sign in",
        `<p>${escaped(client)} asks for: ${escaped(scope ?? "nothing")}</p>
<form method="post" action="/interaction/${uid}">
<input name="user" id="user" value="${escaped(hint ?? "")}" autofocus>
<button name="answer" value="allow" id="allow">Allow</button>
<button name="answer" value="deny" id="deny">Deny</button>
</form>`,
    );
}

export function enterCode(form, error) {
    const said = error ? "<p>The code is wrong. Try again.</p>" : "<p>Enter the code that your device shows.</p>";
    return page("Connect a device", `${said}${form}<button form="op.deviceInputForm" id="continue">Continue</button>`);
}

export function confirmCode(form, userCode) {
    const button = '<button form="op.deviceConfirmForm" id="continue">Continue</button>';
    return page("Is this your device?", `<p>It shows <code>${escaped(userCode)}</code></p>${form}${button}`);
}

export function connected() {
    return page("The device is connected", "<p>You may close this window.</p>");
}

export function failed(error) {
    return page("Error", `<pre>${escaped(error.error)}: ${escaped(error.error_description ?? "")}</pre>`);
}
