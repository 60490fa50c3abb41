"""A file that holds a token, as settings name it and as the gateway reads it again when it changes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

SHORTEST_TOKEN, LONGEST_TOKEN = 16, 4096


def read_token(path: Path) -> str:
    """The token in a file. Raises ValueError, one line without a part of the token, when there is none that may be used."""
    try:
        token = _read(path).decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: a token is made of ASCII letters and digits") from error
    if not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN or not all("!" <= c <= "~" for c in token):
        raise ValueError(
            f"{path}: a token is {SHORTEST_TOKEN} characters or more on one line; "
            "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token


def read_password(path: Path) -> str:
    """The password in a file, without the end of its line. Raises ValueError, one line without a part of it."""
    try:
        password = _read(path).decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: a password is text in UTF-8") from error
    if not 1 <= len(password) <= LONGEST_TOKEN or not password.isprintable():
        raise ValueError(f"{path}: must hold the password alone, on one line")
    return password


def read_secret(path: Path, most: int) -> str:
    """The text of a file that not everybody can read, of `most` bytes at most. Raises ValueError, one line without a part of it."""
    try:
        found = _read(path, most + 1)
        text = found.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: must be text in UTF-8") from error
    if len(found) > most:
        raise ValueError(f"{path}: has more than {most} bytes")
    return text


def _read(path: Path, most: int = LONGEST_TOKEN + 2) -> bytes:
    """The first `most` bytes. Raises ValueError, one line."""
    try:
        # a FIFO without a writer would be waited for
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise ValueError(f"{path} is not a file")
            if mode & stat.S_IROTH:
                raise ValueError(f"{path} can be read by everybody; chmod o-rwx {path}")
            return file.read(most)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error


class TokenFile:
    """A token file that is looked at again and again."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._seen: tuple[int, ...] | None = None

    def changed(self) -> str | None:
        """The token, when the file is not the one of the last call; else None. Raises ValueError as `read_token`, once for each
        change."""
        try:
            found = self.path.stat()
            now: tuple[int, ...] = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
        except OSError:
            now = ()
        if now == self._seen:
            return None
        self._seen = now
        return read_token(self.path)
