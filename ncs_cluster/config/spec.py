"""From the SPEC of a source (`usb:0`, `rtsp://...`, a file, a folder) to the source and its options."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple, Optional

from ncs_cluster.errors import ConfigError, one_line
from ncs_cluster.plugins import call
from ncs_cluster.provision.places import expanded
from ncs_cluster.sources import SOURCES
from ncs_cluster.sources._secret import redacted
from ncs_cluster.sources.base import Parsed, SourcePlugin

NAME = re.compile(r"(?!\.+$)[a-z0-9._-]{1,64}")
_TYPED = re.compile(r"([A-Za-z]+)(?:[:;]?/|:[^/]*@)")
"""How an address with a typo begins: "rtsp//", "rtsp:/", "rtsp:user:password@"."""
NAME_RULE = "a name is made of a-z, 0-9, dot, dash and underscore, at most 64"


class Spec(NamedTuple):
    """The source of a SPEC, and the options it means."""

    plugin: SourcePlugin
    parsed: Parsed


def split_name(text: str, base: Path) -> tuple[Optional[str], str]:
    """NAME=SPEC -> (name, spec). A file called a=b is a file. Raises ValueError for an invalid name."""
    name, equals, rest = text.partition("=")
    if not equals or re.search(r"[/:]", name) or os.path.exists(_at(text, base)):
        return None, text
    if not NAME.fullmatch(name):
        raise ValueError(f'camera name "{name}": {NAME_RULE}')
    return name, rest


def parse(text: str, base: Path) -> Spec:
    """`base` is what relative paths are relative to. Raises ValueError with one line for people."""
    plugin = _plugin(text, base)
    try:
        parsed = call(plugin.parse, text, lambda path: _existing(path, base))
        return Spec(plugin, parsed._replace(shown=one_line(parsed.shown)))
    except ConfigError as error:
        raise ValueError(str(error)) from error


def forms() -> str:
    """All kinds of SPEC, for people."""
    return ", ".join([*(plugin.form for plugin in SOURCES.builtin.values() if plugin.form), *SOURCES.offered()])


def _plugin(text: str, base: Path) -> SourcePlugin:
    word, plugins = text.partition(":")[0], SOURCES.builtin.values()
    for plugin in plugins:
        if word in plugin.words or (text.startswith(tuple(plugin.prefixes)) and not _is_stored(text)):
            return plugin
        if "://" in text and word.lower() in plugin.addresses:
            return plugin
    if "://" not in text and os.path.exists(_at(text or "?", base)):
        return _of_file(_existing(text, base))
    if word in SOURCES.offered():
        return SOURCES.get(word)
    if "://" in text:
        known = ", ".join(f"{address}://" for plugin in plugins for address in plugin.addresses)
        raise ValueError(f'"{_quoted(text)}" is no address of a camera; known are {known}')
    scheme = _TYPED.match(text)
    if scheme is not None and any(scheme[1].lower() in plugin.addresses for plugin in plugins):
        raise ValueError(f'"{_quoted(text)}" is no address of a camera: it begins with {scheme[1].lower()}://')
    return _of_file(_existing(text, base))


def _of_file(path: Path) -> SourcePlugin:
    """The source that reads a file or folder."""
    plugins, suffix = SOURCES.builtin.values(), path.suffix.lower()
    if path.is_dir():
        return next(plugin for plugin in plugins if plugin.folders)
    own = (plugin for plugin in plugins if suffix in plugin.suffixes)
    return next(own, next(plugin for plugin in plugins if plugin.files))


def _is_stored(text: str) -> bool:
    """A file or folder where devices are, as in /dev/shm."""
    return text.startswith("/dev/shm/") or os.path.isfile(text) or os.path.isdir(text)


def _existing(text: str, base: Path) -> Path:
    path = _at(text or "?", base)
    try:
        path.stat()
    except PermissionError as error:
        raise ValueError(
            f'"{_quoted(text)}": cannot be looked for: {error.strerror}; choose a place this user can reach'
        ) from error
    except (OSError, ValueError):
        raise ValueError(f'"{_quoted(text)}": there is no such file or folder; a source is {forms()}') from None
    return path.absolute()


def _quoted(text: str) -> str:
    return one_line(redacted(text))


def _at(text: str, base: Path) -> Path:
    try:
        return base / expanded(text)
    except ConfigError as error:
        raise ValueError(str(error)) from error
