"""What a sink sees of its daemon, over the control socket and the web page: see sinks.base.Observer.

Pictures come from the page, which counts the sink among a camera's viewers and encodes each picture once for all of them.
"""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Callable
from typing import Deque, List, Optional, Tuple, TypeVar

import msgspec

from ncs_cluster.client import Client, Refused
from ncs_cluster.errors import NcsClusterError, NotRunning, one_line
from ncs_cluster.plugins import reason
from ncs_cluster.specs import GraphSpec, JobSpec
from ncs_cluster.status import Event, Status

T = TypeVar("T")

ANSWER_S = 3.0
AGAIN_S = 1.0
"""Between two connections that follow events."""
MOST_EVENTS = 256
"""That wait to be read; older ones are dropped."""
LARGEST_PICTURE, LONGEST_REASON = 16 << 20, 200
"""Bytes."""


class NoPicture(NcsClusterError):
    """The page gave none; the message is one line."""


class SocketObserver:
    """See sinks.base.JobObserver and EventObserver."""

    def __init__(self, runtime_dir: str) -> None:
        self._runtime_dir = runtime_dir
        self._client: Optional[Client] = None
        self._asking = threading.Lock()
        self._happened = threading.Event()
        self._follower: Optional[threading.Thread] = None
        self._events: Deque[Event] = deque(maxlen=MOST_EVENTS)
        self._newest = 0

    def status(self) -> Status:
        return self._ask(lambda client: client.status())

    def switch(self) -> str:
        try:
            return self._ask(lambda client: client.switch())
        except Refused as error:
            return str(error)

    def graphs(self) -> List[GraphSpec]:
        return msgspec.msgpack.decode(self._ask(lambda client: client.graphs()), type=List[GraphSpec])

    def begin_job(self, job: JobSpec) -> str:
        return self._ask(lambda client: client.begin_job(msgspec.msgpack.encode(job)))

    def cancel_job(self, id: str) -> None:
        self._ask(lambda client: client.change_job(id, "cancel"))

    def change_guests(self, guests: List[Tuple[str, str]]) -> None:
        # the daemon tries them, for minutes perhaps, in which other threads have questions
        with Client(self._runtime_dir) as client:
            client.change_guests(guests)

    def wait(self, timeout_s: float) -> None:
        if self._follower is None:
            self._follower = threading.Thread(target=self._follow, name="events", daemon=True)
            self._follower.start()
        self._happened.wait(timeout_s)
        self._happened.clear()

    def wake(self) -> None:
        self._happened.set()

    def events(self) -> List[Event]:
        found = []
        while self._events:
            found.append(self._events.popleft())
        return found

    def picture(self, camera: str) -> bytes:
        return page_picture(self._ask(lambda client: client.url()), camera, ANSWER_S)

    def _ask(self, question: Callable[[Client], T]) -> T:
        """One attempt; after a failure the next call connects again."""
        with self._asking:
            try:
                if self._client is None:
                    self._client = Client(self._runtime_dir, timeout_s=ANSWER_S)
                return question(self._client)
            except Refused:
                raise
            except NcsClusterError:
                self._drop()
                raise
            except OSError as error:
                self._drop()
                raise NotRunning(reason(error)) from error

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _follow(self) -> None:
        """The thread that hears of events."""
        while True:
            try:
                with Client(self._runtime_dir, timeout_s=ANSWER_S) as client:
                    for several in client.follow(self._newest):
                        self._events.extend(several)
                        self._newest = max([self._newest, *(each.id for each in several)])
                        self._happened.set()
            except (NcsClusterError, OSError):
                pass
            time.sleep(AGAIN_S)


def page_picture(url: str, camera: str, timeout_s: float) -> bytes:
    """The newest drawn picture of a camera, a JPEG, from the page at `url`, which may hold the token. Raises NoPicture."""
    page = urllib.parse.urlsplit(url)
    token = urllib.parse.parse_qs(page.query).get("token") or urllib.parse.parse_qs(page.fragment).get("token")
    request = urllib.request.Request(f"http://{page.netloc}/cameras/{urllib.parse.quote(camera, safe='')}.jpg")
    if token:
        request.add_header("Authorization", f"Bearer {token[0]}")
    # no proxy of the environment lies between two processes of one machine
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            return bytes(answer.read(LARGEST_PICTURE))
    except urllib.error.HTTPError as error:
        with error:
            said = one_line(error.read(LONGEST_REASON).decode(errors="replace").strip())
        raise NoPicture(f"the page answers {error.code}{f': {said}' if said else ''}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NoPicture(reason(error)) from error
