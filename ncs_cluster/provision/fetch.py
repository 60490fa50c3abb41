"""Fetches one file of known size and SHA-256 over HTTP: afterwards the verified file exists, or none.

FILE.part holds the bytes received so far. A Range request continues it: at once after a lost connection, with the next call after
Ctrl-C or a power cut. The file gets its name only after it was read back and verified. Every wait and every length is bounded, also
for a server that sends slowly or without end. Redirects stay on https. Proxies are those of the environment (HTTPS_PROXY,
NO_PROXY).
"""

from __future__ import annotations

import base64
import errno
import fcntl
import hashlib
import http.client
import os
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

import ncs_cluster
from ncs_cluster.errors import NcsClusterError
from ncs_cluster.provision.files import sha256

SILENCE_S = 30.0
"""Seconds after which a silent connection counts as lost."""
WHOLE_S = 3600.0
"""Seconds for a file; the next call continues it."""
TRIES = 5
"""Consecutive connections without a byte."""
PAUSE_S = 1.0
CHUNK = 1 << 16
MOST_REDIRECTS = 5


class FetchError(NcsClusterError):
    """The message is one line: the file, the fault, and the remedy where there is one."""


class Pinned(NamedTuple):
    """The expected file."""

    url: str
    size: int
    sha256: str


class _Cut(Exception):
    """The connection ended early; a new one may continue."""


Progress = Callable[[int, int], None]
"""Called with (bytes received, bytes in all) as they arrive."""


def fetch(wanted: Pinned, path: Path, *, plain: bool = False, progress: Progress | None = None, pause_s: float = PAUSE_S) -> None:
    """Fetch `wanted` to `path` unless it is there. `plain`: allow http, as for a private mirror.

    Raises FetchError.
    """
    try:
        if path.is_file() and path.stat().st_size == wanted.size and sha256(path) == wanted.sha256:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        with (path.parent / f"{path.name}.part").open("a+b") as part:
            try:
                fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FetchError(f"{path.name} another process is fetching it: wait for that to end") from None
            if _renamed(part):
                # another call finished it between open and lock
                return fetch(wanted, path, plain=plain, progress=progress, pause_s=pause_s)
            _whole(wanted, part, plain, progress, pause_s)
            os.fsync(part.fileno())
            os.replace(part.name, path)
    except OSError as error:
        raise FetchError(_disk(path, error)) from error


def _renamed(part: IO[bytes]) -> bool:
    try:
        return not os.path.samestat(os.fstat(part.fileno()), os.stat(part.name))
    except FileNotFoundError:
        return True


def page(url: str, most: int, *, plain: bool = False) -> tuple[str, bytes]:
    """A document of at most `most` bytes, and its address after redirects. Raises FetchError."""
    try:
        with _open(url, 0, plain) as answer:
            data = answer.read(most + 1)
            came_from = answer.geturl()
    except (http.client.HTTPException, OSError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise FetchError(f"{shown(url)}: {_reason(error)}") from error
    if len(data) > most:
        raise FetchError(f"{shown(url)}: is longer than {most} bytes; is it the right address?")
    return came_from, data


def shown(url: str) -> str:
    """The address without its password."""
    cut = urlsplit(url)
    return urlunsplit((cut.scheme, cut.netloc.rpartition("@")[2], cut.path, "", ""))


def _whole(wanted: Pinned, part: IO[bytes], plain: bool, progress: Progress | None, pause_s: float) -> None:
    """Complete the part and verify it; a part from an earlier call that turns out wrong is fetched again once."""
    name = os.path.basename(part.name).removesuffix(".part")
    inherited = part.seek(0, os.SEEK_END)
    if inherited > wanted.size:
        inherited = part.truncate(0)
    while True:
        _rest(wanted, name, part, plain, progress, pause_s)
        part.seek(0)
        found = hashlib.file_digest(part, "sha256").hexdigest()  # type: ignore[arg-type]
        if found == wanted.sha256:
            return
        part.truncate(0)
        if not inherited:
            said = f"SHA-256 {found}, wanted {wanted.sha256}; it was deleted"
            raise FetchError(f"{name} from {shown(wanted.url)} is not the expected file: {said}")
        inherited = 0


def _rest(wanted: Pinned, name: str, part: IO[bytes], plain: bool, progress: Progress | None, pause_s: float) -> None:
    until_s, fruitless = time.monotonic() + WHOLE_S, 0
    while (have := part.seek(0, os.SEEK_END)) < wanted.size:
        try:
            _one_connection(wanted, name, part, plain, progress, until_s)
        except (_Cut, http.client.HTTPException, OSError, ValueError) as error:
            if isinstance(error, OSError) and _is_disk(error):
                raise
            if isinstance(error, urllib.error.HTTPError):
                error.close()
                if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                    part.truncate(0)
            fruitless = fruitless + 1 if part.seek(0, os.SEEK_END) <= have else 0
            if fruitless >= TRIES or time.monotonic() > until_s or not _may_pass(error):
                raise FetchError(f"{name}: {shown(wanted.url)}: {_reason(error)}") from error
            time.sleep(pause_s)


def _one_connection(wanted: Pinned, name: str, part: IO[bytes], plain: bool, progress: Progress | None, until_s: float) -> None:
    have = part.seek(0, os.SEEK_END)
    with _open(wanted.url, have, plain) as answer:
        if have and not _goes_on(answer, have):
            # the whole file again: the server has no Range, or another file now
            have = part.truncate(0)
            if answer.status == http.client.PARTIAL_CONTENT:
                raise _Cut("the server sent another range than requested")
        said = answer.headers.get("Content-Length", "")
        if said.isdigit() and have + int(said) != wanted.size:
            raise FetchError(
                f"{name}: {shown(wanted.url)} has {have + int(said)} bytes, expected {wanted.size}: it is another file"
            )
        part.seek(have)
        while have < wanted.size:
            data = answer.read1(CHUNK)
            if not data:
                raise _Cut("the connection was cut")
            if have + len(data) > wanted.size:
                part.truncate(0)
                raise FetchError(
                    f"{name}: {shown(wanted.url)} sends more than the expected {wanted.size} bytes: it is another file"
                )
            part.write(data)
            have += len(data)
            if progress is not None:
                progress(have, wanted.size)
            if time.monotonic() > until_s:
                raise _Cut(f"not complete after {WHOLE_S:.0f} s; call again to continue")
    part.flush()


def _goes_on(answer: Any, have: int) -> bool:
    return bool(answer.status == http.client.PARTIAL_CONTENT) and str(answer.headers.get("Content-Range", "")).startswith(
        f"bytes {have}-"
    )


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = MOST_REDIRECTS

    def __init__(self, plain: bool) -> None:
        self._plain = plain

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        _judge(newurl, self._plain)
        onward = super().redirect_request(req, fp, code, msg, headers, newurl)
        if onward is not None and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            # a password is sent only to the host it was given for
            onward.headers.pop("Authorization", None)
        return onward


def _judge(url: str, plain: bool) -> None:
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise FetchError(f"{url!r} is not a URL: {error}") from error
    if not url.isascii():
        raise FetchError(f"{shown(url)}: is not a URL: write non-ASCII characters percent-encoded")
    if scheme != "https" and not (plain and scheme == "http"):
        raise FetchError(f"{shown(url)}: is not an https URL, and only https is used")


def _open(url: str, have: int, plain: bool) -> Any:
    _judge(url, plain)
    headers = {"User-Agent": f"ncs-cluster/{ncs_cluster.__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    cut = urlsplit(url)
    who, at, host = cut.netloc.rpartition("@")
    if at:
        headers["Authorization"] = "Basic " + base64.b64encode(unquote(who).encode()).decode()
        url = urlunsplit(cut._replace(netloc=host))
    opener = urllib.request.build_opener(_Redirects(plain))
    return opener.open(urllib.request.Request(url, headers=headers), timeout=SILENCE_S)


def _is_disk(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)


def _may_pass(error: Exception) -> bool:
    """True for lost connections and server errors, False for errors a retry cannot mend."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code in (408, 416, 425, 429) or error.code >= 500
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return not isinstance(cause, (ValueError, socket.gaierror, ssl.SSLCertVerificationError, ConnectionRefusedError))


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        if error.code == 404:
            return "the server no longer has the file (404)"
        return f"the server answered {error.code} {_line(error.reason)}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, socket.gaierror):
        return "the host cannot be found; is this machine online (or is HTTPS_PROXY wanted)?"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    if isinstance(cause, TimeoutError):
        return f"no byte for {SILENCE_S:.0f} s"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return _line(str(cause)) or type(cause).__name__


def _line(text: object) -> str:
    """The first line of a server's text, bounded."""
    return "".join(c if c.isprintable() else " " for c in str(text).strip().partition("\n")[0])[:200]


def _disk(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{path.parent}: no space left for {path.name}; free some and call again to continue"
    return f"{error.filename or path}: {error.strerror or error}"
