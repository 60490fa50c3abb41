"""A stick's firmware: one data file of the last OpenVINO that drives sticks, fetched because it may not be redistributed.

The wheel comes from the Python package index or from a file, on any processor. The firmware, which must have the pinned SHA-256,
and its licence are extracted. No path of the archive is used.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit, urlunsplit

from ncs_cluster.errors import NcsClusterError
from ncs_cluster.provision import places
from ncs_cluster.provision.fetch import FetchError, Pinned, Progress, fetch, page, shown
from ncs_cluster.provision.files import sha256, write
from ncs_cluster.xlink.firmware import SHA256, SIZE

VERSION = "2021.4.2"
INDEX = "https://pypi.org/simple"
WHEEL = Pinned(
    "openvino-2021.4.2-3976-cp39-cp39-manylinux2014_x86_64.whl",
    28_896_050,
    "2260ac472b2834d520789dd29e15eaeeae62eba8c1867159efbda82940d2012f",
)
"""`url` is the wheel's name on the index's project page."""
MEMBER = "openvino/libs/usb-ma2x8x.mvcmd"
LICENCE = "Intel(R) OpenVINO(TM) Distribution License (Version May 2021)"
LICENCE_MEMBER = f"openvino-{VERSION}.dist-info/EULA.txt"
LICENCE_ONLINE = "https://pypi.org/project/openvino/2021.4.2/#files"
LARGEST_WHEEL, LARGEST_LICENCE, LARGEST_PAGE = 256 << 20, 64 << 10, 16 << 20


class FirmwareError(NcsClusterError):
    """The message is one line: the fault and the remedy."""


def check(state: Path) -> Path:
    """Path of the verified firmware. Raises FirmwareError."""
    path, how = places.firmware(state), f"ncsctl firmware install{places.option(state)}"
    try:
        if not path.is_file():
            raise FirmwareError(f"there is no firmware {path}; get it with: {how}")
        if path.stat().st_size != SIZE or sha256(path) != SHA256:
            raise FirmwareError(f"{path} is not the firmware of OpenVINO {VERSION}; get it again with: {how}")
    except OSError as error:
        raise FirmwareError(f"{path}: cannot be read: {error.strerror}") from error
    return path


def licence(state: Path) -> Path:
    """Path of the licence text from the wheel."""
    return places.firmware(state).with_name("EULA.txt")


def install(
    state: Path,
    wheel: Path | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    say: Callable[[str], None] = print,
    progress: Progress | None = None,
) -> Path:
    """Install the firmware unless it is installed. Raises FirmwareError or FetchError."""
    target = places.firmware(state)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if wheel is not None:
            _extract(wheel, target)
            return target
        fetched = target.with_name(WHEEL.url)
        say(f"The firmware is part of OpenVINO {VERSION} and is under the {LICENCE}: by installing it you accept that licence.")
        index = environ.get("PIP_INDEX_URL") or INDEX
        where = _on_the_index(index)
        say(f"fetching {WHEEL.url} ({WHEEL.size / 1e6:.0f} MB) from {shown(where)}")
        fetch(WHEEL._replace(url=where), fetched, plain=index.startswith("http:"), progress=progress)
        try:
            _extract(fetched, target)
        except FileNotFoundError:
            # another process may have installed it; else this raises
            return check(state)
        fetched.unlink(missing_ok=True)
    except OSError as error:
        raise FirmwareError(f"{error.filename or target}: {error.strerror or error}") from error
    return target


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def _on_the_index(index: str) -> str:
    """The wheel's URL on the index's project page (PEP 503)."""
    try:
        came_from, data = page(f"{index.rstrip('/')}/openvino/", LARGEST_PAGE, plain=index.startswith("http:"))
    except FetchError as error:
        raise FetchError(f"{error}; without a network name a copy of the wheel with --wheel FILE") from error
    links = _Links()
    links.feed(data.decode("utf-8", "replace"))
    for link in links.found:
        try:
            where = urlsplit(urljoin(came_from, link).partition("#")[0])
        except ValueError:
            continue
        if where.path.rpartition("/")[2] == WHEEL.url:
            who, at, host = urlsplit(index).netloc.rpartition("@")
            # a private index needs its password for files too; other hosts do not get it
            return urlunsplit(where._replace(netloc=f"{who}{at}{host}")) if where.netloc == host else urlunsplit(where)
    raise FirmwareError(
        f"{shown(came_from)} does not list {WHEEL.url}; set PIP_INDEX_URL to an index that does, or give --wheel FILE"
    )


def _extract(wheel: Path, target: Path) -> None:
    """Firmware and licence of a wheel, which is untrusted."""
    try:
        if wheel.stat().st_size > LARGEST_WHEEL:
            raise FirmwareError(f"{wheel}: is larger than any wheel of OpenVINO {VERSION}")
        with zipfile.ZipFile(wheel) as archive:
            data = _member(archive, MEMBER, SIZE)
            terms = _member(archive, LICENCE_MEMBER, LARGEST_LICENCE)
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError) as error:
        raise FirmwareError(f"{wheel}: is not a wheel, or is damaged: {error}") from error
    if data is None or hashlib.sha256(data).hexdigest() != SHA256:
        raise FirmwareError(f"{wheel}: has no firmware of a stick; needed is an x86-64 wheel of openvino {VERSION}")
    if terms is not None:
        write(target.with_name("EULA.txt"), terms)
    write(target, data)


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes | None:
    try:
        if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return None
        with archive.open(name) as file:
            data = file.read(most + 1)
    except KeyError:
        return None
    return data if len(data) <= most else None
