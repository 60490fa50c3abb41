"""Turns what the user names into a job's items: files, folders with all below them, patterns, list files, standard input.

Nothing is held whole: entries are sorted folder by folder, lists are read line by line. Names of files in a folder are relative to
it; lines of a list stay as they are.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch
from typing import BinaryIO, NamedTuple

from ncs_cluster.errors import ConfigError, format_os_error
from ncs_cluster.jobs.ledger import Root

STDIN = "-"
LISTS = (".txt", ".lst", ".list")
"""Endings of files with one path a line."""
LONGEST_LINE = 4096
"""PATH_MAX of Linux."""


class Named(NamedTuple):
    """One SOURCE of the command line."""

    text: str
    root: Root
    names: Callable[[], Iterator[bytes]]


def named(sources: Sequence[str], stdin: BinaryIO, wanted: tuple[str, ...]) -> list[Named]:
    """`wanted`: endings of the files that are taken from folders. Raises ConfigError for a source that is not there."""
    prefixes = _prefixes(sources)
    return [_named(text, prefix, stdin, wanted) for text, prefix in zip(sources, prefixes, strict=True)]


class Items:
    """(index of the source, name) of every item; of `parts` shards, those of number `part`, from 1."""

    def __init__(self, sources: Sequence[Named], part: int = 1, parts: int = 1) -> None:
        self._sources, self._part, self._parts = sources, part, parts
        self._names = hashlib.sha256()
        self.count = 0
        """Items passed so far, of all parts."""

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for index, source in enumerate(self._sources):
            prefix = os.fsencode(source.root.prefix)
            for name in source.names():
                self._names.update(os.path.join(prefix, name) + b"\0")
                mine = self.count % self._parts == self._part - 1
                self.count += 1
                if mine:
                    yield index, name

    @property
    def sha256(self) -> str:
        """Of the names of all items passed so far, as records show them: the same on machines whose folders lie elsewhere."""
        return self._names.hexdigest()


def _prefixes(sources: Sequence[str]) -> list[str]:
    """Before the names of each source: nothing for a single one, else the folder's own path as it was named, so that equal names of
    two folders stay apart."""
    return [""] * len(sources) if len(sources) == 1 else [os.path.normpath(text) if os.path.isdir(text) else "" for text in sources]


def _named(text: str, prefix: str, stdin: BinaryIO, wanted: tuple[str, ...]) -> Named:
    here = os.getcwd()
    if text == STDIN:
        return Named(text, Root(here, "", confined=False), lambda: _lines(stdin, "standard input"))
    if "://" in text:
        raise ConfigError(f"{text.partition('://')[0]}://...: a stream has no end; ncs-clusterd --source takes it")
    if os.path.isdir(text):
        return Named(text, Root(os.path.abspath(text), prefix, confined=True), lambda: _below(os.path.abspath(text), "", wanted))
    if os.path.exists(text):
        if not os.path.isfile(text):
            raise ConfigError(f"{text}: is neither a file nor a folder")
        if text.lower().endswith(LISTS):
            folder = os.path.dirname(os.path.abspath(text))
            return Named(text, Root(folder, "", confined=False), lambda: _list_file(text))
        return Named(text, Root(here, "", confined=False), lambda: iter([os.fsencode(text)]))
    if glob.has_magic(text):
        return Named(text, Root(here, "", confined=False), lambda: _matching(text))
    raise ConfigError(f"{text}: there is no such file or folder")


def _list_file(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        yield from _lines(file, path)


def _lines(file: BinaryIO, what: str) -> Iterator[bytes]:
    first = True
    while line := file.readline(LONGEST_LINE + 2):
        name = line.removeprefix(b"\xef\xbb\xbf") if first else line
        first, name = False, name.rstrip(b"\r\n")
        if len(name) > LONGEST_LINE or b"\0" in name:
            raise ConfigError(f"{what}: is no list of paths, one a line: a line is too long or holds a zero byte")
        if name.strip():
            yield name


def _below(folder: str, within: str, wanted: tuple[str, ...]) -> Iterator[bytes]:
    """Files in and below a folder, in natural order (2 before 10); hidden ones and links to folders are left out."""
    try:
        with os.scandir(os.path.join(folder, within)) as entries:
            found = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: _natural(entry.name))
    except OSError as error:
        if not within:
            raise ConfigError(f"{format_os_error(error)}: give this user access, or leave the folder out") from error
        # a folder that may not be listed is an item, which fails when it is read: the other items go on
        yield os.fsencode(within)
        return
    for entry in found:
        name = os.path.join(within, entry.name)
        if entry.is_dir(follow_symlinks=False):
            yield from _below(folder, name, wanted)
        elif entry.name.lower().endswith(wanted):
            yield os.fsencode(name)


def _matching(pattern: str) -> Iterator[bytes]:
    """Files that match, folder by folder, each once; ** is any number of folders."""
    head, *rest = pattern.split(os.sep)
    parts = rest if not head else [head, *rest]
    parts = [part for at, part in enumerate(parts) if part != "**" or at == 0 or parts[at - 1] != "**"]
    found = _matched("" if head else os.sep, parts)
    # two ** may stand for the folders above a file in several ways
    yield from dict.fromkeys(found) if parts.count("**") > 1 else found


def _matched(base: str, parts: Sequence[str]) -> Iterator[bytes]:
    if not parts:
        if _is_file(base):
            yield os.fsencode(base)
        return
    part, rest = parts[0], parts[1:]
    if part in ("", ".", ".."):
        yield from _matched(os.path.join(base, part) if part else base, rest)
        return
    if part == "**":
        yield from _matched(base, rest or ["*"])
    if not glob.has_magic(part):
        if os.path.lexists(path := os.path.join(base, part)):
            yield from _matched(path, rest)
        return
    try:
        with os.scandir(base or os.curdir) as entries:
            found = sorted(((e.name, e.is_dir(follow_symlinks=False)) for e in entries), key=lambda each: _natural(each[0]))
    except OSError:
        return
    for name, is_folder in found:
        if name.startswith(".") and not part.startswith("."):
            continue
        if part == "**":
            if is_folder:
                yield from _matched(os.path.join(base, name), parts)
        elif fnmatch(name, part):
            yield from _matched(os.path.join(base, name), rest)


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name.lower())
    return [(0, int(part), "") if at % 2 else (1, 0, part) for at, part in enumerate(parts)] + [(2, 0, name)]
