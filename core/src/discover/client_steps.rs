//! How to make a client id, by provider: what a user is told who has none.
//!
//! It is what the providers publish, as far as that is certain; where it is not, it says where to ask. Read in 2026.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Returns what to do to have a client id: lines for a person, which name the command `mailbearer login`.
///
/// `provider` is a name of [`Provider::named`](crate::Provider::named), `issuer` the authorization server where that is known.
///
/// ```
/// let steps = mailbearer::discover::client_steps("joe@example.com", None, Some("https://id.example.com"));
/// assert!(steps.starts_with("Ask who runs the authorization server https://id.example.com for"));
/// ```
#[must_use]
pub fn client_steps(user: &str, provider: Option<&str>, issuer: Option<&str>) -> String {
    // The national clouds differ in their addresses only.
    let name = provider.unwrap_or_default().split('-').next().unwrap_or_default();
    let text = STEPS.iter().find(|(known, _)| *known == name).map_or(OTHER, |(_, text)| *text);
    // The issuer first: what an issuer says about itself is not read for `{user}`.
    let issuer = issuer.map(|issuer| format!(" {issuer}")).unwrap_or_default();
    let parts: Vec<String> =
        text.split("{user}").map(|part| part.replace("{issuer}", &issuer)).collect();
    parts.join(user)
}

const STEPS: [(&str, &str); 8] = [
    ("gmail", GOOGLE),
    ("microsoft", MICROSOFT),
    ("yahoo", YAHOO),
    ("aol", YAHOO),
    ("fastmail", FASTMAIL),
    ("yandex", YANDEX),
    ("mailru", MAILRU),
    ("comcast", COMCAST),
];

// https://developers.google.com/identity/protocols/oauth2/native-app and .../oauth2#expiration
const GOOGLE: &str = r#"1. Open https://console.cloud.google.com/ and make a project; any name will do.
2. In "Google Auth Platform" (https://console.cloud.google.com/auth/overview), press "Get started".
   The audience is "Internal" in a Workspace of your own, else "External".
3. In "Audience", add {user} to the test users. While the project is in testing, each login ends after seven days:
   "Publish app" ends that. For yourself, Google need not verify it: go on at "unverified app" in the browser.
4. In "Data Access", add the scope https://mail.google.com/
5. In "Clients", press "Create client", choose "Desktop app", and download its JSON.
6. mailbearer login {user} --client-file client_secret_….json

In a Workspace, the administrator may have to allow the application: Admin console, Security, API controls."#;

// https://learn.microsoft.com/entra/identity-platform/quickstart-register-app and
// https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth
const MICROSOFT: &str = r#"1. Open https://entra.microsoft.com/, "App registrations", "New registration".
   (A personal account needs a directory first, such as comes with a free account of Azure.)
2. Supported account types: with personal accounts, where {user} is one of Outlook.com.
3. Redirect URI: the platform "Public client/native (mobile & desktop)", and http://localhost
4. In "Authentication", allow public client flows, if you want to use --device.
5. In "API permissions", add the delegated permissions IMAP.AccessAsUser.All, POP.AccessAsUser.All, SMTP.Send and
   offline_access. An organisation may want its administrator to consent.
6. mailbearer login {user} --client-id APPLICATION-ID

There is no client secret. An organisation may have switched IMAP, POP or authenticated SMTP off for the mailbox."#;

const YAHOO: &str = "1. Access to mail is given only to who asked for it:
   https://senders.yahooinc.com/developer/developer-access-mail-form/
2. After that, make an application at https://developer.yahoo.com/apps/ with the mail permissions that you were given,
   and with an https:// redirect URI, such as https://localhost:8443/
3. mailbearer login {user} --client-id ID --client-secret-file FILE --redirect-uri https://localhost:8443/
   The browser ends at an address that it cannot open: paste that address into the terminal.

For a mailbox of your own, an app password (in the security settings of the account) is the short way, without
mailbearer.";

// https://www.fastmail.com/for-developers/oauth/
const FASTMAIL: &str = "1. Fastmail registers clients by hand: https://www.fastmail.com/for-developers/oauth/ says what it wants to know.
   The redirect URI is http://localhost/
2. mailbearer login {user} --client-id ID

For a mailbox of your own, an app password (Settings, Privacy & Security, Integrations) is the short way, without
mailbearer.";

// https://yandex.ru/support/yandex-360/business/mail/ru/web/security/oauth and https://yandex.com/dev/id/doc/
const YANDEX: &str = "1. Make an application at https://oauth.yandex.com/client/new with the permissions of Yandex Mail: reading and
   deleting messages (mail:imap_full), and sending over SMTP (mail:smtp). The redirect URI that it proposes will do.
2. mailbearer login {user} --client-id ID --client-secret-file FILE --device

Mail programs must be allowed in the settings of the mailbox, too.";

// https://help.mail.ru/developers/oauth/about
const MAILRU: &str = "1. Make an application at https://o2.mail.ru/app/ with an https:// redirect URI, such as https://localhost:8443/
2. mailbearer login {user} --client-id ID --client-secret-file FILE --redirect-uri https://localhost:8443/
   The browser ends at an address that it cannot open: paste that address into the terminal.

Who may have access to mail is for Mail.ru to say: https://help.mail.ru/developers/oauth/about";

const COMCAST: &str = "Comcast says nowhere in public how to have a client id: ask its support. What it offers for a mailbox of your own is
at https://www.xfinity.com/support/articles/third-party-email-access";

const OTHER: &str = "Ask who runs the authorization server{issuer} for a native, public client (RFC 8252) with PKCE and with the redirect
URI http://127.0.0.1/ at any port. Then: mailbearer login {user} --client-id ID";

#[cfg(test)]
mod tests {
    use super::client_steps;
    use crate::provider::Provider;

    #[test]
    fn each_provider_that_lets_clients_register_has_steps_of_its_own() {
        for (known, _) in super::STEPS {
            assert!(Provider::NAMES.contains(&known), "{known} is no provider");
            let steps = client_steps("joe@example.com", Some(known), None);
            assert_ne!(steps, client_steps("joe@example.com", None, None));
            assert!(!steps.contains('{'), "{steps}");
        }
        let china = client_steps("joe@example.com", Some("microsoft-china"), None);
        assert_eq!(china, client_steps("joe@example.com", Some("microsoft"), None));
    }

    #[test]
    fn names_are_put_in_as_they_are() {
        let steps = client_steps("{issuer}", None, Some("{user}"));
        assert!(
            steps.contains("server {user} for") && steps.ends_with("login {issuer} --client-id ID")
        );
    }
}
