"""A session whose servers are looked up before its first connection: a constructor cannot wait."""

from __future__ import annotations

from .. import tokens
from .._core import Provider
from ..account_settings import AccountSettings
from ..kinds_of_source import AsyncTokenSource
from ..options import SessionOptions
from ..words import MailProtocol
from .discovery import for_login
from .tasks import TaskDriver

# For what can be checked before anything is looked up.
_STAND_IN = Provider.generic("stand-in.invalid")


class Later:
    """What is left to do: to look up, and to add the session."""

    def __init__(
        self,
        driver: TaskDriver,
        account: AccountSettings,
        token: AsyncTokenSource,
        protocol: MailProtocol,
        options: SessionOptions,
    ) -> None:
        account.session(protocol, {**options, "provider": _STAND_IN})
        self._driver = driver
        self._account = account
        self._token = token
        self._protocol = protocol
        self._options = options

    async def add(self) -> int | None:
        """Do it: the number of the session; ``None``: the account was closed meanwhile."""
        account, options = self._account, self._options
        discovered = await for_login(
            account.user, {"ssl_context": options.get("ssl_context"), "proxy": options.get("proxy")}
        )
        settings, policy = account.session(self._protocol, options, discovered)
        if self._driver.is_closed:
            return None
        scopes = account.knowing(discovered).scopes
        self._driver.source = tokens.source(self._token, user=account.user, scopes=scopes)
        return self._driver.add(settings, policy)
