"""URLs for logs and status, without passwords."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "***"
_WORDS = (
    "amp asp audio auto av avstream axis bin cam camera cameras cgi ch chan channel channels defaultprimary faststream feed "
    "flv h264preview h265preview hd high hls hosts ii image images img index ipcam isapi jpe jpeg jpg live livestream low "
    "ma main mainstream media medium mjpeg mjpg mp mpeg multicast nph onvif out page picture play playlist png preview "
    "primary profile realmonitor rtsp sd sdp secondary server shot snap snapshot snapshots stream streaming streams sub "
    "substream tcp tmpfs track trackid ts udp unicast vid video videos view webcam www"
)
_PLAIN = re.compile(rf"(?:{'|'.join(sorted(_WORDS.split(), key=len, reverse=True))}|[a-z])?\d{{0,3}}", re.IGNORECASE)
"""A part of a path that is no secret: a common word of camera addresses, a letter, a number below 1000."""
_TYPED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,9}[:;]?/{1,3}|/*")
"""What stands before user and password, however it was typed: "rtsp://", "rtsp:/", "rtsp//"."""


def redacted(url: str) -> str:
    """The URL with user, password and whatever may be a secret in its path or query replaced by ***; other texts as they are.

    Many cameras take the password as /user=admin_password=1234, ?pwd=1234 or /live/1234.
    """
    scheme, slashes, rest = url.partition("://")
    if not slashes:
        return _without_user(url)
    if "@" in rest:
        # a password may contain "/" or "@": the last @ counts
        url = f"{scheme}://{HIDDEN}@{rest.rpartition('@')[2]}"
    try:
        parts = urlsplit(url)
        _, at, host = parts.netloc.rpartition("@")
    except ValueError:
        return HIDDEN
    pairs = [pair.partition("=") for pair in parts.query.split("&")] if parts.query else []
    query = "&".join(f"{key}={HIDDEN}" if equals else HIDDEN for key, equals, _ in pairs)
    path = "/".join(_segment(segment) for segment in parts.path.split("/"))
    return urlunsplit((parts.scheme, f"{HIDDEN}@{host}" if at else host, path, query, ""))


def _segment(segment: str) -> str:
    name, equals, _ = segment.partition("=")
    if equals:
        return f"{name}={HIDDEN}"
    return segment if all(_PLAIN.fullmatch(part) for part in re.split(r"[-_.]", segment)) else HIDDEN


def _without_user(text: str) -> str:
    """A text that is no URL: an address with a typo has a user, a colon and a password before its last @."""
    before, at, rest = text.rpartition("@")
    typed = _TYPED.match(before)
    if not at or typed is None or (":" not in before[typed.end() :] and not typed.group().strip("/")):
        return text
    shown = redacted(f"x://{HIDDEN}@{rest}").partition("://")[2]
    return typed.group() + shown
