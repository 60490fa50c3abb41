"""What keeps `ncsctl status` cheap: monitoring calls it every few seconds on a Raspberry Pi."""

from __future__ import annotations


def read_plain(argv: list[str], flags: dict[str, tuple[str, ...]]) -> tuple[str, str | None, dict[str, bool]] | None:
    """A command line in its plain form as (command, --runtime-dir, flags), read without argparse; None where argparse must read it.

    `flags`: the flags of each command, without their dashes. Plain is `[--runtime-dir DIR] COMMAND [--FLAG | --runtime-dir DIR]...`
    with at most one flag, all written out.
    """
    command: str | None = None
    runtime_dir: str | None = None
    given: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--runtime-dir":
            runtime_dir = next(words, "-")
            if runtime_dir.startswith("-"):
                return None
        elif command is None and word in flags:
            command = word
        elif command is not None and word.startswith("--") and word[2:] in flags[command] and not given:
            given.append(word[2:])
        else:
            return None
    return None if command is None else (command, runtime_dir, {flag: flag in given for flag in flags[command]})
