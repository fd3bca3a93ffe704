"""``mailbearer completion SHELL``: a script that makes a shell complete the command, from its own description."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

_SHELLS = ("bash", "zsh", "fish")
_PROVIDERS = ("gmail", "microsoft", "yahoo", "aol", "fastmail", "yandex", "mailru", "icloud")


@dataclass(frozen=True)
class Option:
    """An option: its names, what it is for, and what its value may be."""

    names: tuple[str, ...]
    about: str
    takes_value: bool
    values: tuple[str, ...] = ()
    is_file: bool = False


@dataclass(frozen=True)
class Command:
    """One of the commands: its name, what it is for, its options and the words that it takes."""

    name: str
    about: str
    options: tuple[Option, ...]
    words: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument("shell", choices=_SHELLS, metavar="SHELL", help="bash, zsh or fish")
    parser.epilog = (
        'For bash, put `eval "$(mailbearer completion bash)"` into ~/.bashrc; for zsh, the same with zsh into '
        "~/.zshrc, behind compinit; for fish, `mailbearer completion fish | source` into ~/.config/fish/config.fish."
    )


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script of a shell."""
    writer = {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]
    return writer(described(parser))


def described(parser: argparse.ArgumentParser) -> list[Command]:
    """Read the commands out of their parsers."""
    commands = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            abouts = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, inner in action.choices.items():
                every = inner._actions
                shown = [one for one in every if one.option_strings and one.help != argparse.SUPPRESS]
                words = [one.choices or () for one in every if not one.option_strings]
                options = tuple(_option(one) for one in shown)
                given = tuple(str(word) for one in words for word in one)
                commands.append(Command(name, abouts[name], options, given))
    return commands


def _option(action: argparse.Action) -> Option:
    values = tuple(str(choice) for choice in action.choices or ())
    if action.metavar == "NAME" and "--provider" in action.option_strings:
        values = _PROVIDERS
    return Option(
        names=tuple(action.option_strings),
        about=action.help or "",
        takes_value=action.nargs != 0,
        values=values,
        is_file=action.metavar == "FILE",
    )


# ---- The shells --------------------------------------------------------------------------------------------------


def _bash(commands: list[Command]) -> str:
    lines = [
        "# Completion of mailbearer for bash.",
        "_mailbearer() {",
        '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"',
        "    COMPREPLY=()",
        "    if [ $COMP_CWORD -eq 1 ]; then",
        f'        COMPREPLY=($(compgen -W "{" ".join([one.name for one in commands])} --help --version" -- "$word"))',
        "        return",
        "    fi",
        '    case "${COMP_WORDS[1]} $before" in',
    ]
    for command in commands:
        for option in command.options:
            pattern = "|".join(f'"{command.name} {name}"' for name in option.names)
            if option.values:
                values = " ".join(option.values)
                lines.append(f'        {pattern}) COMPREPLY=($(compgen -W "{values}" -- "$word")); return;;')
            elif option.is_file:
                lines.append(f'        {pattern}) COMPREPLY=($(compgen -f -- "$word")); return;;')
            elif option.takes_value:
                lines.append(f"        {pattern}) return;;")
    lines += ["    esac", '    case "${COMP_WORDS[1]}" in']
    for command in commands:
        words = " ".join([*command.words, *(name for option in command.options for name in option.names)])
        lines.append(f'        {command.name}) COMPREPLY=($(compgen -W "{words}" -- "$word"));;')
    return "\n".join([*lines, "    esac", "}", "complete -o default -F _mailbearer mailbearer", ""])


def _zsh(commands: list[Command]) -> str:
    lines = [
        "#compdef mailbearer",
        "_mailbearer() {",
        "    local -a commands=(",
        *(f"        {_quoted(f'{one.name}:{one.about}')}" for one in commands),
        "    )",
        "    if (( CURRENT == 2 )); then",
        "        _describe command commands",
        "        return",
        "    fi",
        "    local command=$words[2]",
        "    shift words",
        "    (( CURRENT-- ))",
        "    case $command in",
    ]
    for command in commands:
        places = [_zsh_option(option, name) for option in command.options for name in option.names]
        places.append(_quoted(f"1:word:({' '.join(command.words)})" if command.words else "*:user: "))
        lines.append(f"        {command.name}) _arguments {' '.join(places)};;")
    return "\n".join([*lines, "    esac", "}", "compdef _mailbearer mailbearer", ""])


def _zsh_option(option: Option, name: str) -> str:
    about = option.about.replace("[", "(").replace("]", ")").replace(":", " ")
    value = ""
    if option.values:
        value = f":value:({' '.join(option.values)})"
    elif option.is_file:
        value = ":file:_files"
    elif option.takes_value:
        value = ":value: "
    return _quoted(f"{name}[{about}]{value}")


def _fish(commands: list[Command]) -> str:
    lines = ["# Completion of mailbearer for fish.", "complete -c mailbearer -f"]
    for command in commands:
        lines.append(f"complete -c mailbearer -n __fish_use_subcommand -a {command.name} -d {_quoted(command.about)}")
        seen = _quoted(f"__fish_seen_subcommand_from {command.name}")
        if command.words:
            lines.append(f"complete -c mailbearer -n {seen} -a {_quoted(' '.join(command.words))}")
        for option in command.options:
            names = " ".join(f"-l {one[2:]}" if one.startswith("--") else f"-s {one[1:]}" for one in option.names)
            value = ""
            if option.values:
                value = f" -x -a {_quoted(' '.join(option.values))}"
            elif option.is_file:
                value = " -r -F"
            elif option.takes_value:
                value = " -x"
            lines.append(f"complete -c mailbearer -n {seen} {names}{value} -d {_quoted(option.about)}")
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
