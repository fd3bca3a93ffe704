"""The message of SASL, for programs that keep a mail library of their own."""

from __future__ import annotations

from . import _core
from ._core import AccessToken
from .answers import read_answer
from .front_door import front_door
from .hiding import Hidden, hidden
from .kinds_of_source import TokenAnswer
from .words import Mechanism


@front_door("mailbearer.initial_response")
def initial_response(
    mechanism: Mechanism,
    user: str,
    token: TokenAnswer,
    *,
    host: str = "",
    port: int | None = None,
    authzid: str | None = None,
) -> bytes:
    r"""Return the one SASL message of a login, before base64.

    Args:
        mechanism: ``XOAUTH2`` or ``OAUTHBEARER``.
        user: the login's user name, as a rule the mail address.
        token: a token, or whatever a token source returned: ``(token, seconds)`` or an OAuth response, whose seconds do
            not matter here.
        host: the server, which OAUTHBEARER names.
        port: its port; so.
        authzid: the mailbox to act for, where it is not the user's own.

    Raises:
        ConfigError: something in it cannot be sent.
        TokenSourceMistake: the answer of a source has no token in it.

    >>> import mailbearer
    >>> mailbearer.initial_response("XOAUTH2", "joe@gmail.com", ("a-token", 3600.0))
    b'user=joe@gmail.com\x01auth=Bearer a-token\x01\x01'

    """
    answer = hidden(token)
    token = ""
    given = answer.reveal() if isinstance(answer, Hidden) else answer
    try:
        # What is neither is named by its type.
        is_one = isinstance(given, str | bytes | AccessToken | None)
        one = given if is_one else read_answer(given).token
        return _core.initial_response(mechanism, user, one, host=host, port=port, authzid=authzid)
    finally:
        # A traceback may show the locals.
        given = one = None
