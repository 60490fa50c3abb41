"""The error tree. The class tells who must act; the text says in one line what is wrong and what to do.

    NcsClusterError
      ConfigError          the operator: a setting, a path or a graph is wrong. Exit code 78.
      NotRunning           the operator: no daemon answers on the control socket. Exit code 3.
        Starting           the operator: wait; a daemon is about to listen. Exit code 1.
      StickError           none: the stick is opened again in place, or its process restarts. `reason` tells which fault it was.
      SourceError          none: the source is opened again with backoff. `permanent` ends the camera process instead.
        SourceResized      none: the source is opened again at once, with larger slots.
      ProtocolError        the developers: an invalid message. The channel on which it arrived is closed.
      ClusterClosed        the program: its Cluster was closed, or the processes behind it have ended; make another.
      ForkedCluster        the program: a Cluster belongs to the process that made it; make one in this process.
      ImageRefused         the program: not an image as Cluster takes them. Also a ValueError.
      InferenceFailed      the program: there is no result for this image; the text says why.
      ResultTimeout        the program: no result within the given time. Also a TimeoutError.

Backends, sources and other plugins raise only these, with `raise ... from`.
"""

from __future__ import annotations

import errno
from typing import Iterable

EX_CONFIG = 78
EX_NOT_RUNNING = 3


class NcsClusterError(Exception):
    """Base of every error this package raises on purpose."""


PERMANENT_ERRNOS = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG})
"""Errors of a path that a retry cannot cure. Any other may be temporary, as with a share that is not mounted yet."""


def format_os_error(error: OSError) -> str:
    """The file, where known, and the reason, in one line."""
    return f"{error.filename}: {error.strerror}" if error.filename is not None else str(error.strerror or error)


def one_line(text: str) -> str:
    """The text with every character that is not printable written as an escape: a file's name may hold a newline."""
    return text if text.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ "; did you mean status?" for a word that is nearly a known one; else empty."""
    import difflib

    names = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), list(names), 1, 0.6)
    return f"; did you mean {names[near[0]]}?" if near else ""


class ConfigError(NcsClusterError):
    """A setting is wrong; the message names the file or flag, the key and the remedy."""


class WrongUsage(NcsClusterError):
    """A command line that its command cannot use; ncsctl exits with code 2."""


class NotRunning(NcsClusterError):
    """No daemon listens on the control socket."""


class Starting(NotRunning):
    """A daemon reads its settings or tries its graphs, and does not listen yet. Exit code 1."""


class StickError(NcsClusterError):
    """A stick, or the library driving it, failed.

    `reason` is machine-readable: "open", "graph", "gone", "hang", "link", "infer", "protocol", "wrong".
    After "hang" and "link" (the stick does not answer) a backend with the capability Reopening opens it in place.
    After "wrong" (the stick computes wrongly) it is quarantined: opened again once a minute, and checked each time.
    A "graph" failure is permanent: the graph itself is refused, and a retry would fail too.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class SourceError(NcsClusterError):
    """A source could not be opened, or delivers no more frames."""

    def __init__(self, detail: str, *, permanent: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.permanent = permanent


class SourceResized(SourceError):
    """The source's next frame is larger than its slots: it is opened again at once, and says its new size."""


class ProtocolError(NcsClusterError):
    """A peer sent bytes that are not a message of this channel."""


class ClusterClosed(NcsClusterError):
    """The Cluster was closed, or the processes behind it have ended. The text says which, and the last line of their log."""


class ForkedCluster(NcsClusterError):
    """A Cluster is used in another process than the one that made it."""


class ImageRefused(NcsClusterError, ValueError):
    """An image has another type or shape than Cluster takes."""


class InferenceFailed(NcsClusterError):
    """There is no result for an image."""


class ResultTimeout(NcsClusterError, TimeoutError):
    """A result has not come within the time that the caller gave."""
