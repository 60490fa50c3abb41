"""Small text files that people write: read without waiting, and parsed as TOML within bounds.

tomllib needs time that grows with the square of a key's parts (50,000 parts: 37 s), and one stack frame for each nested value.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ncs_cluster.errors import ConfigError

LARGEST = 1 << 20
DEEPEST = 16
"""Parts of a key, as in a.b.c: no setting has more than 5."""
_NOT_IN_A_KEY = re.compile(r"[,=\[\]{}#/:]")


def read(path: Path, largest: int = LARGEST, otherwise: str = "is it the right file?") -> bytes:
    """The content of a file. Raises ConfigError for a file over the limit, a folder, a FIFO or a device; OSError for a file that
    cannot be read."""
    # opening a FIFO would wait for its writer
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_size > largest:
        os.close(fd)
        what = f"larger than {largest >> 20} MB" if stat.S_ISREG(found.st_mode) else "not a file"
        raise ConfigError(f"{path}: is {what}; {otherwise}")
    with open(fd, "rb") as file:
        return file.read(largest + 1)


@contextmanager
def mapped(path: Path) -> Iterator[memoryview]:
    """The content of a large file, read as far as it is looked at. Raises as `read`, without a limit."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb"):
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"{path}: is not a file; is it the right file?")
        if not found.st_size:
            raise ConfigError(f"{path}: is empty; is it the right file?")
        # not closed by hand: slices of it may live on in an exception
        yield memoryview(mmap.mmap(fd, 0, prot=mmap.PROT_READ))


def parse(text: str) -> dict[str, Any]:
    """As tomllib.loads. Raises ValueError, one line, also for keys and values that are nested without end."""
    for number, line in enumerate(text.splitlines(), start=1):
        if max(part.count(".") for part in _NOT_IN_A_KEY.split(line)) >= DEEPEST:
            raise ValueError(f"line {number}: a key has more than {DEEPEST} parts; no setting has")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("values are nested too deeply; no setting is") from error
