"""One file over HTTP, known beforehand by size and SHA-256: it is there whole and right, or not at all.

What has come so far lies in FILE.part and is gone on with (a Range request), after a cut connection at once, after Ctrl-C or a
power cut by the next call. Only a file that has been read back and verified gets its name. Every wait and every length has a
bound: a server that drips, or never ends, is left. Redirects stay on https. Proxies are those of the environment (HTTPS_PROXY,
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
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

import ncs_cluster
from ncs_cluster.errors import NcsClusterError

SILENCE_S = 30.0
"""A connection that says nothing for so long is taken for cut."""
WHOLE_S = 3600.0
"""A file that takes longer is given up; the next call goes on with it."""
TRIES = 5
"""Connections in a row that bring nothing."""
PAUSE_S = 1.0
CHUNK = 1 << 16
MOST_REDIRECTS = 5


class FetchError(NcsClusterError):
    """One line: what could not be fetched, why, and what to do where something can be done."""


class Pinned(NamedTuple):
    """A file as it must be."""

    url: str
    size: int
    sha256: str


class _Cut(Exception):
    """The connection ended early; another may bring the rest."""


Progress = Callable[[int, int], None]
"""Told (bytes there, bytes in all) as they come."""


def fetch(wanted: Pinned, path: Path, *, plain: bool = False, progress: Progress | None = None, pause_s: float = PAUSE_S) -> None:
    """Have `wanted` at `path`; where it is already, nothing is asked for. `plain`: http will do, as to a mirror of one's own.

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
                raise FetchError(f"{path.name} is being fetched by somebody else: wait for that to end") from None
            if _renamed(part):
                # by another call, between opening and locking
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
    """A small document, at most `most` bytes, and the address it came from in the end. Raises FetchError."""
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


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(path: Path, data: bytes) -> None:
    """A file appears at once or not at all. Raises OSError."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def shown(url: str) -> str:
    """An address for people: no password in it."""
    cut = urlsplit(url)
    return urlunsplit((cut.scheme, cut.netloc.rpartition("@")[2], cut.path, "", ""))


def _whole(wanted: Pinned, part: IO[bytes], plain: bool, progress: Progress | None, pause_s: float) -> None:
    """Bring the part to its end and verify it; what was there before is given one chance only to be right."""
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
            raise FetchError(f"{name} from {shown(wanted.url)} is not the file it should be: {said}")
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
            # the whole file again: a server without Range, or one that has another file now
            have = part.truncate(0)
            if answer.status == http.client.PARTIAL_CONTENT:
                raise _Cut("it answered with another part of the file than was asked for")
        said = answer.headers.get("Content-Length", "")
        if said.isdigit() and have + int(said) != wanted.size:
            raise FetchError(
                f"{name}: {shown(wanted.url)} offers {have + int(said)} bytes where {wanted.size} are wanted: it is another file"
            )
        part.seek(have)
        while have < wanted.size:
            data = answer.read1(CHUNK)
            if not data:
                raise _Cut("the connection was cut")
            if have + len(data) > wanted.size:
                part.truncate(0)
                raise FetchError(
                    f"{name}: {shown(wanted.url)} sends more than the {wanted.size} bytes that are wanted: it is another file"
                )
            part.write(data)
            have += len(data)
            if progress is not None:
                progress(have, wanted.size)
            if time.monotonic() > until_s:
                raise _Cut(f"it was not done after {WHOLE_S:.0f} s; call again to go on")
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
            # a password is for the host it was given for
            onward.headers.pop("Authorization", None)
        return onward


def _judge(url: str, plain: bool) -> None:
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise FetchError(f"{url!r} is no address: {error}") from error
    if not url.isascii():
        raise FetchError(f"{shown(url)}: is no address as it stands; write what is not ASCII in it percent-encoded")
    if scheme != "https" and not (plain and scheme == "http"):
        raise FetchError(f"{shown(url)}: is no https address, and nothing is fetched by other ways")


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
    """Cut connections and servers out of breath; an address that is wrong stays wrong."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code in (408, 416, 425, 429) or error.code >= 500
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return not isinstance(cause, (ValueError, socket.gaierror, ssl.SSLCertVerificationError, ConnectionRefusedError))


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        if error.code == 404:
            return "there is no such file any more (404)"
        return f"the server answered {error.code} {_line(error.reason)}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, socket.gaierror):
        return "the host cannot be found; is this machine online (or is HTTPS_PROXY wanted)?"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    if isinstance(cause, TimeoutError):
        return f"it said nothing for {SILENCE_S:.0f} s"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return _line(str(cause)) or type(cause).__name__


def _line(text: object) -> str:
    """Of what a server said."""
    return "".join(c if c.isprintable() else " " for c in str(text).strip().partition("\n")[0])[:200]


def _disk(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{path.parent}: there is no room left for {path.name}; make some and call again, it goes on where it was"
    return f"{error.filename or path}: {error.strerror or error}"
