"""``mailbearer login USER``: gets the first token with a browser, keeps the login, and tries it."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import webbrowser

from . import check, oauth, store, system_keyring
from .code_login import CodeLogin, parameters_of
from .errors import ConfigError, Error, TokenSourceFailed
from .grant import Grant, Tokens
from .login_plan import Missing, Plan, make_plan
from .loopback import Loopback, wait_for_code
from .oauth_http import Https
from .proxy import hidden_proxy
from .terminal import user_name

# Their consoles take no address with numbers for a native client.
_WANT_LOCALHOST = {"microsoft": "", "microsoft-us": "", "microsoft-china": "", "fastmail": "/"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument("user", type=user_name, metavar="USER", help="the mail address")
    parser.add_argument("--issuer", metavar="URL", help="the authorization server, where the address does not tell it")
    parser.add_argument("--client-id", metavar="ID", help="your OAuth client; without one you are told how to make it")
    parser.add_argument("--client-secret-file", metavar="FILE", help="a file that holds the client's secret")
    parser.add_argument("--client-file", metavar="FILE", help="the client as Google's console gives it, as JSON")
    # A secret in it is not to be taken for anything, and not to be shown.
    parser.add_argument("--client-secret", nargs="?", action=_NoSecret, help=argparse.SUPPRESS)
    parser.add_argument(
        "--device", action="store_true", help="enter a code in a browser anywhere, where that is allowed"
    )
    parser.add_argument("--no-browser", action="store_true", help="open no browser: the address is printed")
    parser.add_argument(
        "--redirect-uri", metavar="URL", help="what is registered for the client, where that is not this machine"
    )
    parser.add_argument(
        "--store",
        choices=["keyring", "file"],
        help="where the login is kept: in the system's keyring (default), or in a file that only you can read",
    )
    parser.add_argument("--scope", action="append", metavar="SCOPE", help="in place of the provider's; may be repeated")
    parser.add_argument("--no-check", action="store_true", help="do not try the login at the mail servers")
    check.add_places(parser)
    parser.epilog = (
        "A login that was stored before is replaced only when the new one works. Exit status: 0, the login is stored; "
        "1, it did not work; 2, something is missing, as a client id."
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    try:
        return _login(arguments)
    except Missing as error:
        print(error, file=sys.stderr)
        return 2
    except (ConfigError, check.ArgumentError) as error:
        print(f"mailbearer: {error}", file=sys.stderr)
        return 2
    except Error as error:
        print(f"mailbearer: the login did not work: {error}", file=sys.stderr)
        return 1


def _login(arguments: argparse.Namespace) -> int:
    check.refuse_mistakes(arguments)
    user = store.canonical(arguments.user)
    trusting = check.trusting(arguments.ca_file) if arguments.ca_file else None
    https = Https(trusting, proxy=hidden_proxy(arguments.proxy))
    plan = make_plan(arguments, user, https)
    if plan.store == "keyring":
        system_keyring.check()
    tokens = _by_device(plan, https) if arguments.device else _by_browser(plan, https, arguments)
    if tokens.refresh_token is None:
        raise TokenSourceFailed(
            "the provider gave no refresh token, and the login would end with the hour: "
            "its scope for that (as offline_access) may be missing, or the client may not have it"
        )
    grant = Grant(tokens.refresh_token, tokens.access_token, tokens.expires_at, plan.client.secret)
    account = store.StoredAccount(
        user=user,
        store=plan.store,
        client_id=plan.client.client_id,
        authorization=plan.authorization,
        provider=plan.profile.name if plan.profile else None,
        scopes=plan.scopes,
        services=plan.services or None,
    )
    return _keep(account, grant, arguments)


# ---- The ways ----------------------------------------------------------------------------------------------------


def _by_device(plan: Plan, https: Https) -> Tokens:
    if not plan.authorization.get("device_authorization_endpoint"):
        raise ConfigError("this provider does not allow --device for mail: leave it out")
    device = oauth.begin_device_login(https, plan.authorization, plan.client, plan.scopes)
    print(f"Open {device.verification_uri} in a browser, on any machine, log in as {plan.user}, and enter the code\n")
    print(f"    {device.user_code}\n")
    if device.verification_uri_complete:
        print(f"or open {device.verification_uri_complete}\n")
    print("Waiting …", flush=True)
    return oauth.wait_for_device(https, plan.authorization, plan.client, device)


def _by_browser(plan: Plan, https: Https, arguments: argparse.Namespace) -> Tokens:
    if not plan.authorization.get("authorization_endpoint"):
        raise ConfigError("this authorization server has no page for browsers: try --device")
    loopback = None if arguments.redirect_uri else _loopback(plan)
    if loopback is None and not arguments.redirect_uri:
        return _by_device(plan, https)
    redirect_uri = arguments.redirect_uri or (loopback.redirect_uri if loopback else "")
    login = CodeLogin(
        plan.client,
        plan.authorization,
        redirect_uri,
        plan.scopes,
        parameters_of(plan.oauth, plan.user, plan.scopes),
        iss_required=plan.iss_required,
    )
    opens = not arguments.no_browser and can_open_browser()
    pasted = loopback is None or not opens or sys.stdin.isatty()
    try:
        _show(login, plan.user, opens, pasted)
        code = wait_for_code(login, loopback, pasted=pasted, say=lambda text: print(text, flush=True))
        return login.tokens(https, code)
    finally:
        if loopback is not None:
            loopback.close()


def _loopback(plan: Plan) -> Loopback | None:
    """Listen on this machine; ``None``: that cannot be done, and the device grant can."""
    name = plan.profile.name if plan.oauth is not None and plan.profile is not None else ""
    try:
        if name in _WANT_LOCALHOST:
            return Loopback("localhost", _WANT_LOCALHOST[name])
        return Loopback()
    except OSError as error:
        if plan.authorization.get("device_authorization_endpoint"):
            return None
        raise ConfigError(f"no port of this machine can be listened at: {error.strerror or error}") from None


def _show(login: CodeLogin, user: str, opens: bool, pasted: bool) -> None:
    if opens:
        print(f"A browser is opened for {user}. If none comes, open this address in one:\n")
        # It may be one of the terminal, which ends when its user is done.
        threading.Thread(target=_open, args=(login.url,), name="mailbearer-browser", daemon=True).start()
    else:
        print(f"Open this address in a browser, and log in as {user}:\n")
    print(f"    {login.url}\n")
    if pasted:
        print("If the browser is on another machine, it ends at an address that it cannot open, which begins with")
        print(f"{login.redirect_uri} Paste that address here, and press Enter:")
    sys.stdout.flush()


def _open(url: str) -> None:
    with contextlib.suppress(OSError, webbrowser.Error):
        webbrowser.open(url)


def can_open_browser() -> bool:
    """Whether a browser would show itself: not on a machine that one has come to with SSH, without a display."""
    if os.environ.get("BROWSER"):
        return True
    if "SSH_CONNECTION" in os.environ:
        return False
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


# ---- After it ----------------------------------------------------------------------------------------------------


def _keep(account: store.StoredAccount, grant: Grant, arguments: argparse.Namespace) -> int:
    """Try the login at the mail servers, and store it. One that was there is replaced only by one that works."""
    print(f"\n{account.user} is logged in.", flush=True)
    arguments.profile = account.profile()
    token = grant.token()
    results = [] if arguments.no_check or token is None else check.check_all(arguments, token)
    works = any(result.ok for result in results)
    with store.locked(account.user):
        if not works and results and _is_stored(account.user):
            print("No mail server lets it in: the login that was stored before is kept.", file=sys.stderr)
            return 1
        store.save(account, grant)
    place = "the system's keyring" if account.store == "keyring" else "a file that only you can read"
    print(f'The login is stored in {place}. In a program: mailbearer.sessions("imap", "{account.user}")')
    if results and not works:
        print(f"But no mail server lets it in; see above, and try `mailbearer check {account.user}`.", file=sys.stderr)
        return 1
    return 0


def _is_stored(user: str) -> bool:
    try:
        return store.find(user) is not None
    except ConfigError:
        # What cannot be read is no loss.
        return False


class _NoSecret(argparse.Action):
    """Refuses ``--client-secret``, with or without one, and does not repeat it."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
        parser.error("there is no --client-secret: others on this machine can read arguments. Use --client-secret-file")
