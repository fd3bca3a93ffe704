"""How to make a client id, by provider: what a user is told who has none.

It is what the providers publish, as far as that is certain; where it is not, it says where to ask.
"""

from __future__ import annotations

# https://developers.google.com/identity/protocols/oauth2/native-app and .../oauth2#expiration
_GOOGLE = """\
1. Open https://console.cloud.google.com/ and make a project; any name will do.
2. In "Google Auth Platform" (https://console.cloud.google.com/auth/overview), press "Get started".
   The audience is "Internal" in a Workspace of your own, else "External".
3. In "Audience", add {user} to the test users. While the project is in testing, each login ends after seven days:
   "Publish app" ends that. For yourself, Google need not verify it: go on at "unverified app" in the browser.
4. In "Data Access", add the scope https://mail.google.com/
5. In "Clients", press "Create client", choose "Desktop app", and download its JSON.
6. mailbearer login {user} --client-file client_secret_….json

In a Workspace, the administrator may have to allow the application: Admin console, Security, API controls."""

# https://learn.microsoft.com/entra/identity-platform/quickstart-register-app and
# https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth
_MICROSOFT = """\
1. Open https://entra.microsoft.com/, "App registrations", "New registration".
   (A personal account needs a directory first, such as comes with a free account of Azure.)
2. Supported account types: with personal accounts, where {user} is one of Outlook.com.
3. Redirect URI: the platform "Public client/native (mobile & desktop)", and http://localhost
4. In "Authentication", allow public client flows, if you want to use --device.
5. In "API permissions", add the delegated permissions IMAP.AccessAsUser.All, POP.AccessAsUser.All, SMTP.Send and
   offline_access. An organisation may want its administrator to consent.
6. mailbearer login {user} --client-id APPLICATION-ID

There is no client secret. An organisation may have switched IMAP, POP or authenticated SMTP off for the mailbox."""

_YAHOO = """\
1. Access to mail is given only to who asked for it:
   https://senders.yahooinc.com/developer/developer-access-mail-form/
2. After that, make an application at https://developer.yahoo.com/apps/ with the mail permissions that you were given,
   and with an https:// redirect URI, such as https://localhost:8443/
3. mailbearer login {user} --client-id ID --client-secret-file FILE --redirect-uri https://localhost:8443/
   The browser ends at an address that it cannot open: paste that address into the terminal.

For a mailbox of your own, an app password (in the security settings of the account) is the short way, without
mailbearer."""

# https://www.fastmail.com/for-developers/oauth/
_FASTMAIL = """\
1. Fastmail registers clients by hand: https://www.fastmail.com/for-developers/oauth/ says what it wants to know.
   The redirect URI is http://localhost/
2. mailbearer login {user} --client-id ID

For a mailbox of your own, an app password (Settings, Privacy & Security, Integrations) is the short way, without
mailbearer."""

# https://yandex.ru/support/yandex-360/business/mail/ru/web/security/oauth and https://yandex.com/dev/id/doc/
_YANDEX = """\
1. Make an application at https://oauth.yandex.com/client/new with the permissions of Yandex Mail: reading and
   deleting messages (mail:imap_full), and sending over SMTP (mail:smtp). The redirect URI that it proposes will do.
2. mailbearer login {user} --client-id ID --client-secret-file FILE --device

Mail programs must be allowed in the settings of the mailbox, too."""

# https://help.mail.ru/developers/oauth/about
_MAILRU = """\
1. Make an application at https://o2.mail.ru/app/ with an https:// redirect URI, such as https://localhost:8443/
2. mailbearer login {user} --client-id ID --client-secret-file FILE --redirect-uri https://localhost:8443/
   The browser ends at an address that it cannot open: paste that address into the terminal.

Who may have access to mail is for Mail.ru to say: https://help.mail.ru/developers/oauth/about"""

_COMCAST = """\
Comcast says nowhere in public how to have a client id: ask its support. What it offers for a mailbox of your own is
at https://www.xfinity.com/support/articles/third-party-email-access"""

_OTHER = """\
Ask who runs the authorization server{issuer} for a native, public client (RFC 8252) with PKCE and with the redirect
URI http://127.0.0.1/ at any port. Then: mailbearer login {user} --client-id ID"""

_STEPS = {
    "gmail": _GOOGLE,
    "microsoft": _MICROSOFT,
    "yahoo": _YAHOO,
    "aol": _YAHOO,
    "fastmail": _FASTMAIL,
    "yandex": _YANDEX,
    "mailru": _MAILRU,
    "comcast": _COMCAST,
}


def steps(user: str, provider: str | None, issuer: str | None = None) -> str:
    """Return what to do to have a client id.

    >>> steps("joe@example.com", None, "https://id.example.com").splitlines()[-1]
    'URI http://127.0.0.1/ at any port. Then: mailbearer login joe@example.com --client-id ID'
    """
    # The national clouds differ in their addresses only.
    name = (provider or "").partition("-")[0]
    return _STEPS.get(name, _OTHER).format(user=user, issuer=f" {issuer}" if issuer else "")
