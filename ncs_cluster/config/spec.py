"""What a source's SPEC means: `usb:0`, `rtsp://...`, a file, a folder, ... -> a key of `SOURCES` and its options."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple, Optional
from urllib.parse import urlsplit

from ncs_cluster.errors import ConfigError
from ncs_cluster.provision.places import expanded
from ncs_cluster.sources._secret import redacted

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
RECORDINGS = (".bag", ".db3")
NAME = re.compile(r"(?!\.+$)[a-z0-9._-]{1,64}")
NAME_RULE = "a name is made of a-z, 0-9, dot, dash and underscore, at most 64"
FORMS = "synthetic, realsense, usb:N, rtsp://..., http://..., a video file, a picture or a folder"


class Spec(NamedTuple):
    """One SPEC, understood."""

    source: str
    options: dict[str, Any]
    shown: str
    """For people: passwords taken out."""


def split_name(text: str, base: Path) -> tuple[Optional[str], str]:
    """NAME=SPEC -> (name, spec). A file called a=b is a file. Raises ValueError for a name that is none."""
    name, equals, rest = text.partition("=")
    if not equals or re.search(r"[/:]", name) or os.path.exists(_at(text, base)):
        return None, text
    if not NAME.fullmatch(name):
        raise ValueError(f'camera name "{name}": {NAME_RULE}')
    return name, rest


def parse(text: str, base: Path) -> Spec:
    """`base` is what relative paths are relative to. Raises ValueError with one line for people."""
    word, colon, rest = text.partition(":")
    if text == "synthetic":
        return Spec("synthetic", {}, text)
    if word == "realsense":
        if not colon:
            return Spec("realsense", {}, text)
        if rest.lower().endswith(RECORDINGS):
            return Spec("realsense", {"recording": str(_existing(rest, base))}, text)
        if not rest.isalnum():
            raise ValueError(f'"{rest}" is neither a serial number nor a recording (.bag, .db3)')
        return Spec("realsense", {"serial": rest}, text)
    if word == "usb":
        if not (rest.isascii() and rest.isdigit()):
            raise ValueError(f'"{text}": wants a number, as in usb:0')
        return Spec("v4l2", {"device": str(int(rest))}, text)
    if text.startswith("/dev/"):
        return Spec("v4l2", {"device": text}, text)
    if "://" in text:
        if word not in ("rtsp", "rtsps", "http", "https") or not _has_host(text):
            raise ValueError(f'"{redacted(text)}" is no address of a camera; known are rtsp://, rtsps://, http:// and https://')
        return Spec("rtsp", {"url": text}, redacted(text))
    path = _existing(text, base)
    if path.is_dir() or path.suffix.lower() in PICTURES:
        return Spec("images", {"path": str(path)}, text)
    if path.suffix.lower() in RECORDINGS:
        return Spec("realsense", {"recording": str(path)}, text)
    return Spec("video", {"path": str(path)}, text)


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0) and url.isprintable()
    except ValueError:
        return False


def _existing(text: str, base: Path) -> Path:
    path = _at(text or "?", base)
    try:
        path.stat()
    except PermissionError as error:
        raise ValueError(f'"{text}": cannot be looked for: {error.strerror}; choose a place this user can reach') from error
    except (OSError, ValueError):
        raise ValueError(f'"{text}": there is no such file or folder; a source is {FORMS}') from None
    return path.absolute()


def _at(text: str, base: Path) -> Path:
    try:
        return base / expanded(text)
    except ConfigError as error:
        raise ValueError(str(error)) from error
