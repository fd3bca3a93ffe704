from google.oauth2.credentials import Credentials
from msal import ConfidentialClientApplication, PublicClientApplication  # pyright: ignore[reportMissingTypeStubs]

import mailbearer

mailbearer.imap("joe@gmail.com", Credentials("ya29.token"))  # type: ignore[no-untyped-call]
mailbearer.imap("joe@outlook.com", PublicClientApplication("client-id"))
mailbearer.smtp("joe@outlook.com", ConfidentialClientApplication("client-id"))
