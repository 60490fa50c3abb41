"""A parser that names the nearest command or flag for one that it does not know, in one line."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any, NoReturn

from ncs_cluster.errors import did_you_mean

WRONG_USAGE = 2
_CHOICE = re.compile(r"argument (?P<what>[^:]+): invalid choice: (?P<word>'(?:[^'\\]|\\.)*'|\"[^\"]*\") \(choose from ")


class Parser(argparse.ArgumentParser):
    """As argparse's, but for errors: one line and the exit code 2."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._words: list[str] = []

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._words = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Exits with code 2."""
        help_line = f"; {self.prog} --help says how"
        if (wrong := _CHOICE.match(message)) is not None:
            word = wrong["word"][1:-1]
            choices, noun = self._choices(wrong["what"]), _noun(wrong["what"])
            # a help of many lines tells no more than the values of a flag; commands are explained there
            values = f"; it takes {' or '.join(choices)}" if noun.startswith("value") and choices else ""
            message = f"{word}: is no {noun}{did_you_mean(word, choices) or values or help_line}"
        elif message.startswith("unrecognized arguments: "):
            word = message.removeprefix("unrecognized arguments: ").split()[0]
            message = self._unknown_flag(word) or f"{word}: is one word too many{help_line}"
        elif message.startswith("the following arguments are required: "):
            # a misspelt flag is the likelier fault
            misspelt = (self._unknown_flag(word) for word in self._words)
            message = next((each for each in misspelt if each and "mean" in each), message + help_line)
        else:
            message += help_line
        line = "".join(c if c.isprintable() else "?" for c in message)
        self.exit(WRONG_USAGE, f"{self.prog}: {line}\n")

    def _unknown_flag(self, word: str) -> str | None:
        """What is wrong with a word that is no flag of these parsers; None where it is one, or no flag at all."""
        flag = word.split("=")[0]
        flags = [each for parser in self._parsers() for action in parser._actions for each in action.option_strings]
        if not word.startswith("-") or flag in flags:
            return None
        return f"{flag}: unknown flag{did_you_mean(flag, flags) or f'; {self.prog} --help says how'}"

    def _parsers(self) -> list[argparse.ArgumentParser]:
        """This one, and those of the commands on the command line: errors about flags come to the outermost."""
        found: list[argparse.ArgumentParser] = [self]
        for word in self._words:
            for action in found[-1]._actions:
                if isinstance(action, argparse._SubParsersAction) and word in action.choices:
                    found.append(action.choices[word])
                    break
        return found

    def _choices(self, what: str) -> list[str]:
        for action in self._actions:
            if action.choices is not None and what in (action.metavar, action.dest, "/".join(action.option_strings)):
                return listed(action) if isinstance(action, argparse._SubParsersAction) else [str(each) for each in action.choices]
        return []


def listed(commands: argparse._SubParsersAction[Any]) -> list[str]:
    """The commands that help lists: those with a `help`. The others are spellings of earlier versions."""
    return [str(each.dest) for each in commands._choices_actions]


def _noun(what: str) -> str:
    return {"COMMAND": "command", "WHAT": "command"}.get(what, f"value of {what}")
