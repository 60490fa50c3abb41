"""The two ways of a notification: a program, and an HTTP request. Both are limited in time and in what they may say. Runs on
CPython 3.9.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from typing import List, Optional, Protocol, Sequence

from ncs_cluster.errors import one_line
from ncs_cluster.plugins import reason
from ncs_cluster.sinks._notify_edges import Notification

LONGEST_ANSWER = 200
"""Bytes that are read of an answer, and characters of a failure that are shown."""
KILLED_S = 1.0


class NotSent(Exception):
    """The notification has not arrived; the message is one line, without the address."""


class Way(Protocol):
    """Sends notifications: the command or the webhook."""

    name: str

    def send(self, notification: Notification) -> None:
        """Returns within some seconds. Raises NotSent."""


class Program:
    """Runs a program, without a shell: the text on its standard input, the rest in NCS_... of its environment."""

    name = "command"

    def __init__(self, words: Sequence[str], timeout_s: float) -> None:
        self._words, self._timeout_s = list(words), timeout_s

    def send(self, notification: Notification) -> None:
        told = {
            "NCS_EVENT": notification.event,
            "NCS_STATE": notification.state,
            "NCS_BEFORE": notification.before,
            "NCS_HOST": notification.host,
            "NCS_TITLE": notification.title,
            "NCS_REASONS": "\n".join(notification.reasons),
            "NCS_AT": f"{notification.at:.3f}",
        }
        told = {name: value.replace("\0", " ") for name, value in told.items()}
        # a file and no pipe: a program that does not read is not waited for. What it says is in the daemon's log
        given = os.memfd_create("notification")
        try:
            os.write(given, notification.text.encode(errors="replace") + b"\n")
            os.lseek(given, 0, os.SEEK_SET)
            process = subprocess.Popen(
                self._words, stdin=given, stdout=subprocess.DEVNULL, env={**os.environ, **told}, start_new_session=True
            )
        except (OSError, ValueError) as error:
            raise NotSent(f"the command cannot be started: {reason(error)}") from error
        finally:
            os.close(given)
        try:
            code = process.wait(self._timeout_s)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise NotSent(f"the command has not ended within {self._timeout_s:g} s") from None
        if code:
            raise NotSent(f"the command failed with exit code {code}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the program and those it has started; one that may not be killed is left alone."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(KILLED_S)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the operator has named one address."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


class Webhook:
    """POSTs JSON. The address may hold a secret, so it is in no message."""

    name = "webhook"

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url, self._timeout_s = url, timeout_s
        self._opener = urllib.request.build_opener(_NoRedirect())
        self._thread: Optional[threading.Thread] = None
        self._late = f"the webhook has not answered within {timeout_s:g} s"

    def send(self, notification: Notification) -> None:
        if self._thread is not None and self._thread.is_alive():
            raise NotSent("the webhook still does not answer")
        failed: List[str] = []
        body = json.dumps(notification.document(), ensure_ascii=False).encode("utf-8", "replace")
        # a server that answers byte by byte would keep a request alive for hours, whatever the time-out of its socket
        thread = self._thread = threading.Thread(target=self._post, args=(body, failed), name="webhook", daemon=True)
        thread.start()
        thread.join(self._timeout_s)
        if thread.is_alive():
            raise NotSent(self._late)
        if failed:
            raise NotSent(failed[0])

    def _post(self, body: bytes, failed: List[str]) -> None:
        try:
            request = urllib.request.Request(self._url, body, {"Content-Type": "application/json", "User-Agent": "ncs_cluster"})
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                answer.read(LONGEST_ANSWER)
        except urllib.error.HTTPError as error:
            with error:
                failed.append(f"the webhook answers {error.code}")
        except (TimeoutError, socket.timeout):
            failed.append(self._late)
        except urllib.error.URLError as error:
            if isinstance(error.reason, (TimeoutError, socket.timeout)):
                failed.append(self._late)
                return
            # its reason is an exception of the socket, mostly
            failed.append(
                f"the webhook cannot be reached: {self._plain(getattr(error.reason, 'strerror', None) or str(error.reason))}"
            )
        except (OSError, ValueError, http.client.HTTPException) as error:
            failed.append(f"the webhook cannot be reached: {self._plain(reason(error))}")

    def _plain(self, text: str) -> str:
        return one_line(text.replace(self._url, "***"))[:LONGEST_ANSWER]
