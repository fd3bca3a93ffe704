"""What the commands have in common: output that never ends in a traceback, its width, its colours, and hidden input."""

from __future__ import annotations

import argparse
import contextlib
import errno
import getpass
import os
import shutil
import sys
import textwrap
from collections.abc import Callable
from typing import Any, NoReturn, TextIO

from .hiding import looks_like_token, without_tokens

# What a shell reports of a program that SIGPIPE has ended.
_PIPE_CLOSED = 141
_WIDTH_MIN = 40


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviation of an option for it, and hides no fault of its output."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options["allow_abbrev"] = False
        super().__init__(*arguments, **options)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, without what looks like a token, and end."""
        super().error(without_tokens(message))

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            (file or sys.stderr).write(message)


def user_name(text: str) -> str:
    """Read the argument that says whose mailbox it is: what looks like a token is refused, and not repeated.

    Raises:
        argparse.ArgumentTypeError: it looks like one.

    """
    if looks_like_token(text):
        raise argparse.ArgumentTypeError(
            "this looks like an access token: give the mail address. Others on this machine can read arguments"
        )
    return text


def guarded(run: Callable[[], int]) -> int:
    """Run a command and return its exit status: 1 where its output cannot be written, 141 where nobody reads it."""
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal does not have is written as its number.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    try:
        try:
            status = run()
        except SystemExit as end:
            # --help and --version end so, and have written what is still to be flushed.
            status = end.code if isinstance(end.code, int) else 1
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        _drop_output()
        if error.errno == errno.EPIPE:
            return _PIPE_CLOSED
        with contextlib.suppress(OSError):
            print(f"mailbearer: the output cannot be written: {error.strerror}", file=sys.stderr, flush=True)
        return 1
    return status


def _drop_output() -> None:
    """Let the interpreter's own flush at its end go nowhere."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def has_colours(stream: TextIO) -> bool:
    """Whether a stream is a terminal that takes colours, and nobody asked for none (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Columns of the output: COLUMNS, else the terminal's, else 80."""
    return max(_WIDTH_MIN, shutil.get_terminal_size((80, 24)).columns)


def wrapped(text: str, indent: str = "", hanging: str | None = None) -> str:
    """Break a line at the width, and nothing within its words: an address stays whole."""
    return textwrap.fill(
        text,
        width(),
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def secret_line(prompt: str) -> str:
    """Read a line of standard input; from a terminal, without showing it."""
    if not sys.stdin.isatty():
        return sys.stdin.readline()
    try:
        return getpass.getpass(prompt, stream=sys.stderr)
    except EOFError:
        return ""
