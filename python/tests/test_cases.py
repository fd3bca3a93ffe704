"""The language-neutral cases, and that their runner can fail."""

from __future__ import annotations

import copy

import pytest

import account_cases
import cases_runner

ARGUED = cases_runner.exceptions()


@pytest.mark.parametrize("kind", ["account", "classify", "config", "discover", "negotiation", "session", "watch"])
def test_every_case_holds(kind: str) -> None:
    cases = [case for case in cases_runner.load() if case["kind"] == kind and case["id"] not in ARGUED]
    assert cases
    problems = {case["id"]: problem for case in cases if (problem := cases_runner.run(case))}
    assert problems == {}


def test_an_exception_that_is_no_longer_needed_is_found() -> None:
    by_id = {case["id"]: case for case in cases_runner.load()}
    assert all(cases_runner.run(by_id[one]) for one in ARGUED if one in by_id)


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "preauthenticated"},
        {"token_on_wire": "never"},
        {
            "steps": [
                {"server": "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n"},
                {"client": "^LOGIN"},
            ]
        },
    ],
)
def test_the_runner_sees_a_case_that_does_not_hold(change: dict[str, object]) -> None:
    case = next(copy.deepcopy(case) for case in cases_runner.load() if case["id"] == "imap-tamper-c01")
    assert cases_runner.run(case) is None
    assert cases_runner.run(case | change) is not None


@pytest.mark.parametrize("key", ["orders", "deliveries", "events", "standing", "wake"])
@pytest.mark.parametrize("way", [account_cases.BindingPlayer, account_cases.DriverPlayer])
def test_the_players_of_accounts_see_a_case_that_does_not_hold(way: type[account_cases.Player], key: str) -> None:
    case = next(copy.deepcopy(case) for case in cases_runner.load() if case["id"] == "account-login-imap")
    way(case, cases_runner.deal).play(None)
    wrong = {
        "orders": ["open 9 9"],
        "deliveries": [],
        "events": ["online"],
        "standing": {"1": "stopped"},
        "wake": [1, 2],
    }
    case["steps"][-1][key] = wrong[key]
    with pytest.raises(account_cases.CaseFailed):
        way(case, cases_runner.deal).play(None)


def test_the_check_for_leaks_sees_a_leak() -> None:
    token = cases_runner.a_token(100)
    for leak in [token, f"x {cases_runner.base64.b64encode(b'ab' + token.encode()).decode()}"]:
        with pytest.raises(cases_runner.CaseFailed):
            cases_runner.check_leak(leak, token)
