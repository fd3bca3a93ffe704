"""The pages say what the code says: tables, pictures, names, and whatever a program can call has a text of its own."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import logging
import pathlib
import re
import tomllib
from typing import Any, get_args, get_origin

import links
import names
import pictures
import providers
import pytest
import swift
from pages import on_the_site

import mailbearer
import mailbearer.events
import mailbearer.options
import mailbearer.sending
import mailbearer.testing

DOCS = pathlib.Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
USER = "joe@gmail.com"


def block(page: str, name: str) -> str:
    found = re.search(rf"<!-- {name} -->(.*?)<!-- end of {name} -->", (DOCS / page).read_text(), re.DOTALL)
    assert found, f"{page} has no {name}"
    return found[1]


def table(page: str, name: str) -> dict[str, list[str]]:
    """Return the rows of a table of a page, by what its first cell names."""
    rows = [
        [cell.strip() for cell in line.strip("| \n").split(" | ")] for line in block(page, name).splitlines() if line
    ]
    return {word: row for row in rows[2:] for word in re.findall(r"`(\w+)`", row[0])}


def node_members(interface: str) -> set[str]:
    """Return the members of an interface of Node's, as Python would write them."""
    api = json.loads((ROOT / "target/node-api.json").read_text())
    (index,) = [module for module in api["children"] if module["name"] == "mailbearer"]
    (found,) = [one for one in index["children"] if one["name"] == interface]
    return {
        re.sub(r"(?<=[a-z])([A-Z])", lambda match: f"_{match[1].lower()}", one["name"]) for one in found["children"]
    }


def node_union(name: str) -> set[str]:
    """Return the words of a union of TypeScript's."""
    api = json.loads((ROOT / "target/node-api.json").read_text())
    (index,) = [module for module in api["children"] if module["name"] == "mailbearer"]
    (found,) = [one for one in index["children"] if one["name"] == name]
    return {one["value"] for one in found["type"]["types"]}


def test_the_pictures_are_of_today() -> None:
    assert pictures.main(["--check"]) == 0, "make pages"


def test_the_names_are_of_today_and_none_lacks_without_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert names.main(["--check"]) == 0, capsys.readouterr().err


def test_a_name_that_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = names.rows()
    rows["explain"].pop("swift")
    missing, _, _ = names.lacking(rows)
    assert missing == ["swift lacks explain"]


def test_the_providers_are_of_today() -> None:
    assert providers.main(["--check"]) == 0, "make pages"


def test_every_setting_is_told() -> None:
    told = set(table("reference/settings.md", "settings"))
    python = set(mailbearer.options.LoginOptions.__annotations__)
    node = node_members("LoginOptions") - {"user", "tls_options"}
    assert told == python | node


def test_every_policy_is_told_with_its_default() -> None:
    told = table("reference/policy.md", "policy")
    fields = {field.name: field.default for field in dataclasses.fields(mailbearer.SessionPolicy)}
    assert set(told) == set(fields) == node_members("SessionPolicy")
    for name, default in fields.items():
        if isinstance(default, float):
            assert told[name][1] == f"{default:,.0f} s", name
        elif default is not None:
            assert told[name][1].strip("`") == str(default).lower(), name


def test_every_event_is_told() -> None:
    told = set(table("reference/events.md", "events"))
    # What was discovered is the hosts' event, and not the machine's.
    assert told == set(get_args(mailbearer.events.EventKind)) == node_union("EventKind") | {"discovered"}


def test_every_phase_is_told() -> None:
    assert set(table("reference/phases.md", "phases")) == node_union("Phase")
    page = (DOCS / "reference/phases.md").read_text()
    assert {word for word in node_union("Standing") if f"| `{word}` |" not in page} == set()


def test_every_cause_and_advice_is_told() -> None:
    first_table = (DOCS / "diagnosis.md").read_text().split("<!-- examples -->")[0]
    told = {
        word for line in first_table.splitlines() if line.startswith("| `") for word in re.findall(r"`(\w+)`", line)
    }
    assert set(mailbearer.CAUSES) <= told
    assert re.findall(r"`(\w+)`", block("reference/errors.md", "advices")) == mailbearer.ADVICES


def public() -> list[tuple[str, Any]]:
    found = []
    for module in ("mailbearer", "mailbearer.aio", "mailbearer.testing"):
        loaded = importlib.import_module(module)
        found += [(f"{module}.{name}", getattr(loaded, name)) for name in loaded.__all__]
    return found


@pytest.mark.parametrize(("name", "value"), public())
def test_what_is_public_is_on_the_page_with_a_text(name: str, value: Any) -> None:
    page = (DOCS / "reference/python.md").read_text()
    short = name.rpartition(".")[2]
    if short == "__version__":
        return
    assert re.search(rf":: ({re.escape(name)}|{short})[(\n]", page), f"{name} is not in reference/python.md"
    # A type of many words says nothing of itself, and so the page does.
    if not callable(value) or get_origin(value) is not None:
        return
    text = inspect.getdoc(value) or ""
    assert text, f"{name} says nothing of itself"
    if not inspect.isclass(value):
        return
    for member, found in vars(value).items():
        is_own = not member.startswith("_") and (callable(found) or hasattr(found, "__get__"))
        if is_own and not inspect.getdoc(found):
            assert re.search(rf"(`{member}`|\b{member}[,:])", text), f"{name}.{member} says nothing of itself"


def test_a_link_that_leads_nowhere_is_told() -> None:
    text, missing = on_the_site("[a](nowhere.md) [b](../README.md#x) [c](index.md)\n", DOCS)
    assert missing == ["nowhere.md"]
    assert text == "[a](nowhere.md) [b](https://github.com/mailbearer/mailbearer/blob/main/README.md#x) [c](index.md)\n"


def test_a_line_about_a_page_that_is_not_there_is_left_out() -> None:
    text, _ = on_the_site("one\nno_such_page <!-- if no_such_page.md -->\nindex <!-- if index.md -->\n", DOCS)
    assert text == "one\nindex\n"


def test_the_readmes_lead_somewhere() -> None:
    """On PyPI, npm and GitHub: links within the repository exist, and those to its files on the web, too."""
    web = re.compile(r"https://github\.com/mailbearer/mailbearer/(?:blob|tree)/main/([^)#\s\"]+)")
    for page in (
        "README.md",
        "python/README.md",
        "node/README.md",
        "bindings/mobile/kotlin/README.md",
        "CONTRIBUTING.md",
    ):
        text = (ROOT / page).read_text()
        for path in re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", text) + re.findall(
            r'(?:src|srcset)="(?!http)([^"]+)"', text
        ):
            assert (ROOT / page).parent.joinpath(path).exists(), f"{page}: {path}"
        for path in web.findall(text):
            assert (ROOT / path).exists(), f"{page}: {path}"


def test_what_is_public_in_swift_says_something_of_itself() -> None:
    names_of = {one.name for one in swift.declarations()}
    assert {"Account", "sessions", "connect", "SessionPolicy"} <= names_of
    # Each opens one connection, as the protocol that they keep to says.
    assert swift.undocumented() == []
    # Whoever writes a connector of his own finds what it must have, and whom TLS may be told to trust.
    members = {one.name: {member.name for member in one.members} for one in swift.declarations()}
    assert {"read", "write", "startTls", "close", "abort"} <= members["Transport"]
    assert {"system", "file", "pem"} <= members["Trust"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('<a href="none.html">', "leads nowhere"),
        ('<a href="#none">', "no such place"),
        ('<script src="https://cdn.example.org/x.js"></script>', "loads https"),
    ],
)
def test_what_is_wrong_with_a_page_is_told(body: str, told: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "page.html").write_text("<p>" + "word " * 30 + body)
    (problem,) = links.problems(tmp_path)
    assert told in problem


@pytest.mark.parametrize(
    ("language", "readme"),
    [
        ("kotlin", "bindings/mobile/kotlin/README.md"),
        ("swift", "bindings/mobile/swift/README.md"),
        ("rust", "README.md"),
    ],
)
def test_what_is_shown_at_first_is_compiled(language: str, readme: str) -> None:
    """The tests of each language compile the examples of its README: the page on its start shows no others."""

    def plain(text: str) -> str:
        lines = [re.sub(r"\s*//.*", "", line).strip() for line in text.splitlines()]
        return "\n".join(line for line in lines if line and not line.startswith(("import ", "#")))

    known = plain((ROOT / readme).read_text())
    blocks = re.findall(rf"```{language}\n(.*?)```", (DOCS / f"start/{language}.md").read_text(), re.DOTALL)
    shown = [block for block in blocks if not block.startswith(("implementation(", ".package("))]
    assert shown
    for block in shown:
        assert plain(block) in known, block


def test_what_a_page_shows_of_a_file_has_a_link_before_it() -> None:
    """In the repository a page cannot show it: there, the link leads to it. In every language, by the same rule."""
    shown = 0
    for page in DOCS.rglob("*.md"):
        lines = [line for line in page.read_text().splitlines() if line]
        for at, line in enumerate(lines):
            if found := re.match(r"```\{literalinclude\} (\S+)", line):
                path = found[1]
                shown += 1
                assert (page.parent / path).exists(), f"{page.name}: {path}"
                assert lines[at - 1] == f"[{path.removeprefix('../../')}]({path})", f"{page.name}: {path}"
    assert shown > 30


def test_every_status_of_an_outcome_is_told() -> None:
    assert set(table("recipes/outbox.md", "statuses")) == set(get_args(mailbearer.SendStatus))


def test_every_option_of_a_sender_is_told_with_its_default() -> None:
    told = table("recipes/outbox.md", "sender")
    fields = {field.name: field.default for field in dataclasses.fields(mailbearer.sending.SenderSettings)}
    assert (
        set(told)
        == set(fields)
        == set(mailbearer.SenderOptions.__annotations__) - set(mailbearer.LoneOptions.__annotations__)
    )
    for name, default in fields.items():
        shown = f"{default:,.0f} s" if isinstance(default, float) else str(default or "none")
        assert told[name][1] == ("none" if default == () else shown), name


def test_every_extra_is_told() -> None:
    project = tomllib.loads((ROOT / "python/pyproject.toml").read_text())["project"]
    rows = block("start/python.md", "extras")
    assert re.findall(r"`mailbearer\[([a-z0-9-]+)\]`", rows) != []
    assert set(re.findall(r"`mailbearer\[([a-z0-9-]+)\]`", rows)) == set(project["optional-dependencies"])


def test_what_a_recipient_is_refused_with_is_told() -> None:
    """The words are those that the server says, and a row says of each whether it is for good."""
    told = table("recipes/tests.md", "recipients")
    assert set(told) == set(get_args(mailbearer.testing.RecipientRefusal))
    for column, flavour in enumerate(("gmail", "outlook", "dovecot"), 2):
        with mailbearer.testing.Server(flavour=flavour) as server:  # type: ignore[arg-type]
            token = server.issue_token(USER)
            with mailbearer.smtp(USER, token, **server.at("smtp")) as smtp:
                for why, row in told.items():
                    server.refuse_recipient("ann@example.org", why)  # type: ignore[arg-type]
                    smtp.mail(USER)
                    code, text = smtp.rcpt("ann@example.org")
                    smtp.rset()
                    assert row[1] == ("good" if code >= 500 else "now"), (flavour, why)
                    said = f"{code} {text.decode()}"
                    for words in re.findall(r"`([^`]+)`", row[column]):
                        assert words.replace(f"{code}-", f"{code} ") in said, (flavour, why, said)


def test_the_levels_of_the_log_are_told() -> None:
    rows = [line.split(" | ") for line in block("recipes/logs.md", "levels").splitlines() if line.startswith("| `")]
    told = {kind: row[0].strip("| `") for row in rows for kind in re.findall(r"`(\w+)`", row[1])}
    assert told == {kind: logging.getLevelName(level) for kind, level in mailbearer.log.LEVELS.items()}


def test_the_lines_of_the_log_are_those_that_are_written(caplog: pytest.LogCaptureFixture) -> None:
    def shape(line: str) -> str:
        return re.sub(r"\d+(\.\d+)?", "0", line.replace("imap.gmail.com", "localhost"))

    page = "".join(re.findall(r"```text\n(.*?)```", (DOCS / "recipes/logs.md").read_text(), re.DOTALL))
    shown = {shape(line.split(" mailbearer ", 1)[1]) for line in page.splitlines()}
    caplog.set_level("INFO", "mailbearer")
    with mailbearer.testing.Server(token_lifetime=1.0) as server:

        def token() -> tuple[str, float]:
            return server.issue_token(USER), 1.0

        with mailbearer.sessions("imap", USER, token, **server.at("imap")) as sessions, next(sessions) as connection:
            connection.wait()
        of_session = {shape(record.getMessage()) for record in caplog.records}
        with mailbearer.imap(USER, token, **server.at("imap")):
            pass
    written = {shape(record.getMessage()) for record in caplog.records}
    assert len(shown) == 4
    assert shown <= written
    # A session tells its events: how long a login took is told of one login.
    assert not any("round trip" in line for line in of_session)


def test_every_recipe_is_shown() -> None:
    pages = "".join(page.read_text() for page in (DOCS / "recipes").glob("*.md"))
    for recipe in (*(ROOT / "examples").glob("python/*.py"), *(ROOT / "examples").glob("node/*.mjs")):
        assert f"{{literalinclude}} ../../{recipe.relative_to(ROOT)}" in pages, recipe.name
