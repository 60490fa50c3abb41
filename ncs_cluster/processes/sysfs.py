"""Files of numbers below a sysfs root: hwmon chips by name, reading and writing one number.

Every path is resolved and must lie inside the root; only regular files are opened, none is made, and no call waits for a reader or
writer. Each error is an OSError with one line for people.

Source: the kernel's Documentation/ABI/testing/sysfs-class-hwmon.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from ncs_cluster.errors import one_line

LONGEST = 64
"""Bytes read of a file: numbers and names are shorter."""
_NUMBER = re.compile(rb"[+-]?\d{1,9}")


class SysfsError(OSError):
    """A file of the root cannot be used; the message names it and what to do."""


def chip_file(root: Path, chip: str, file: str) -> Path:
    """The file of the hwmon chip of this name. Raises SysfsError where no chip or more than one has the name."""
    found, names = [], set()
    for folder in sorted(root.glob("class/hwmon/hwmon*")):
        try:
            name = _read(inside(root, folder / "name")).decode("ascii", "replace").strip()
        except OSError:
            continue
        names.add(one_line(name))
        if name == chip:
            found.append(folder)
    if not found:
        known = f"there are {', '.join(sorted(names))}" if names else "there is none at all"
        raise SysfsError(f"no hwmon chip below {root} is called {one_line(chip)}: {known}")
    if len(found) > 1:
        raise SysfsError(f"several hwmon chips are called {one_line(chip)}: {', '.join(map(str, found))}")
    return inside(root, found[0] / file)


def inside(root: Path, path: Path) -> Path:
    """The path with all links followed. Raises SysfsError where it is not inside the root, or not there."""
    try:
        resolved, base = path.resolve(strict=True), root.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise SysfsError(f"{one_line(str(path))} is not there ({_reason(error)})") from error
    if not resolved.is_relative_to(base):
        raise SysfsError(f"{one_line(str(path))} leads out of {base}; it is not touched")
    return resolved


def read_number(path: Path) -> int:
    """The number in a resolved file. Raises SysfsError."""
    try:
        text = _read(path).strip()
    except OSError as error:
        raise SysfsError(f"{path} cannot be read ({_reason(error)})") from error
    if not _NUMBER.fullmatch(text):
        raise SysfsError(f"{path} holds no whole number: {one_line(text[:20].decode('ascii', 'replace'))!r}")
    return int(text)


def write_number(path: Path, number: int) -> None:
    """Write into a resolved file that is there. Raises SysfsError."""
    try:
        descriptor = _open(path, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(descriptor, b"%d\n" % number)
        finally:
            os.close(descriptor)
    except OSError as error:
        remedy = "; give the daemon's user the right to" if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) else ""
        raise SysfsError(f"{path} cannot be written ({_reason(error)}){remedy}") from error


def _read(path: Path) -> bytes:
    descriptor = _open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, LONGEST)
    finally:
        os.close(descriptor)


def _open(path: Path, flags: int) -> int:
    # a pipe or device in its place is neither waited for nor written to
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise SysfsError(f"{path} is not a regular file")
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)
