"""The package as a whole: stubs, exports, errors."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

import mailbearer


def test_the_stubs_are_those_of_the_module() -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "mailbearer._core", "--ignore-disjoint-bases"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_all_that_is_exported_is_there() -> None:
    assert sorted(mailbearer.__all__) == sorted(set(mailbearer.__all__))
    for name in mailbearer.__all__:
        assert hasattr(mailbearer, name), name


def test_every_error_is_an_error_of_the_package() -> None:
    for name in ("ConfigError", "InternalError", "LoginFailed", "Misuse", "TokenSourceFailed"):
        assert issubclass(getattr(mailbearer, name), mailbearer.Error)
    with pytest.raises(ValueError, match="token"):
        mailbearer.AccessToken("")
    again = pickle.loads(pickle.dumps(mailbearer.ConfigError("text")))
    assert str(again) == "text"


def test_a_profile_says_what_is_known() -> None:
    gmail = mailbearer.Provider.named("gmail")
    imap = gmail.service("imap")
    assert imap is not None
    assert (imap["host"], imap["port"], imap["session_ms"]) == ("imap.gmail.com", 993, 86_400_000)
    assert mailbearer.Provider.named("icloud").service("pop3") is None
    assert mailbearer.Provider.of_address("joe@example.org") is None
    assert mailbearer.Provider.of_address("joe@hotmail.com") == mailbearer.Provider.named("microsoft")


def test_a_program_gives_a_profile_of_its_own() -> None:
    mine = mailbearer.Provider("mine", {"imap": {"host": "mail.example.org", "mechanisms": ["OAUTHBEARER"], "port": 9}})
    service = mine.service("imap")
    assert service is not None
    assert (service["host"], service["port"], service["mechanisms"]) == ("mail.example.org", 9, ["OAUTHBEARER"])
    gmail = mailbearer.Provider.named("gmail").service("imap")
    assert gmail is not None
    assert mailbearer.Provider("again", {"imap": gmail}).service("imap") == gmail
    with pytest.raises(ValueError, match="no fact colour"):
        mailbearer.Provider("x", {"imap": {"host": "h", "colour": 1}})
    with pytest.raises(ValueError, match="host"):
        mailbearer.Provider("x", {"imap": {}})


def test_a_failure_goes_to_another_process() -> None:
    with pytest.raises(mailbearer.LoginFailed) as caught:
        mailbearer.connect("imap", "joe@example.org", "abc", host="127.0.0.1", port=1)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.failure == caught.value.failure


def test_a_token_that_comes_back_is_masked_in_a_trace() -> None:
    machine = mailbearer.Negotiation("imap", "joe", "CanaryCanaryCanary", host="a.example")
    assert machine.redact("BAD unknown CanaryCanaryCanary") == "BAD unknown <token>"


def test_the_pure_functions() -> None:
    message = mailbearer.initial_response("XOAUTH2", "joe@gmail.com", "abc")
    assert message == b"user=joe@gmail.com\x01auth=Bearer abc\x01\x01"
    message = mailbearer.initial_response("OAUTHBEARER", "a,b=c", "abc", host="h.example", port=993)
    assert message == b"n,a=a=2Cb=3Dc,\x01host=h.example\x01port=993\x01auth=Bearer abc\x01\x01"
    assert mailbearer.acknowledgement("OAUTHBEARER") == b"\x01"
    rejection = mailbearer.read_rejection("+ eyJzdGF0dXMiOiI0MDAifQ==")
    assert rejection.status == "400"
    verdict = mailbearer.classify("smtp", "auth_fail", ["535 5.7.8 no"])
    assert (verdict.cause, verdict.advice) == ("token_rejected", "refresh_token")


def test_the_session_machine_can_be_driven() -> None:
    session = mailbearer.Session(
        "imap", "joe@gmail.com", host="imap.gmail.com", seed=1, policy={"ends_with_token": True}
    )
    (action,) = session.start(0).actions
    assert (action.kind, action.request, action.force_refresh) == ("fetch_token", 1, False)
    (action,) = session.token(1, 1, "abc", 3_600_000).actions
    assert (action.kind, action.ticket) == ("connect", 1)
    assert session.status()["phase"] == "connecting"
    with pytest.raises(mailbearer.Misuse):
        session.connected(2, 9)
    with pytest.raises(ValueError, match="no setting"):
        mailbearer.Session("imap", "joe", host="h.example", seed=1, policy={"wish": 1})


SUB_INTERPRETER = """
import importlib.util
name = "_interpreters" if importlib.util.find_spec("_interpreters") else "_xxsubinterpreters"
interpreters = importlib.import_module(name)
import mailbearer
run = getattr(interpreters, "run_string")
script = '''
try:
    import mailbearer
except ImportError as error:
    print(error)
'''
run(interpreters.create(), script)
print(mailbearer.AccessToken("still-usable-here"))
"""


def test_a_second_import_in_a_sub_interpreter_says_that_it_is_not_supported() -> None:
    run = subprocess.run([sys.executable, "-c", SUB_INTERPRETER], capture_output=True, text=True, check=False)
    assert "mailbearer does not support sub-interpreters" in run.stdout
    # And the first one goes on to work.
    assert run.stdout.endswith("<token>\n"), run.stderr
