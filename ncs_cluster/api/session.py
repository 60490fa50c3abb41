"""Everything behind one Cluster: its folder, its host, its exchange, its feeds, and the sources it follows."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from typing import IO

from msgspec import structs

from ncs_cluster.api import reading
from ncs_cluster.api.exchange import Exchange
from ncs_cluster.api.feed import Feed
from ncs_cluster.api.following import Following
from ncs_cluster.api.hosting import Hosting
from ncs_cluster.client import Client
from ncs_cluster.errors import ClusterClosed, ConfigError, ForkedCluster, NcsClusterError, NotRunning
from ncs_cluster.feeding.link import SOCKET
from ncs_cluster.specs import CameraSpec, Settings, SinkSpec
from ncs_cluster.status import Status
from ncs_cluster.types import CameraName, GraphName

START_S = 60.0
AHEAD = 8
"""Slots granted in advance: thousands of small images per second would wait for the supervisor's next turn otherwise."""
SETTLE_S = 0.05
"""Pause between two looks at the status while the last results of a live source are awaited."""
_open: weakref.WeakSet[Session] = weakref.WeakSet()


class Session:
    """Started by its constructor. Every method raises ForkedCluster in a forked process, ClusterClosed after `close`."""

    def __init__(self, argv: Sequence[str], log: str | os.PathLike[str] | None) -> None:
        """Raises ConfigError, ClusterClosed."""
        self._pid = os.getpid()
        self._argv = list(argv)
        self._lock = threading.RLock()
        """Of settings and feeds."""
        self._feeds: dict[str, Feed] = {}
        self._streams = 0
        self._exchange: Exchange | None = None
        self._closed = False
        self._log = _log(log)
        home = os.environ.get("XDG_RUNTIME_DIR")
        self.folder = tempfile.mkdtemp(prefix="ncs-lib-", dir=home if home and os.access(home, os.W_OK) else None)
        try:
            # it imports what it needs while the settings are read
            self._host = Hosting(self._log)
        except OSError as error:
            self._clear()
            raise ClusterClosed(f"no process can be started: {error.strerror}") from error
        _open.add(self)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        settings = reading.read(self._flags("synthetic"), self._log)
        self.graphs = [str(graph.name) for graph in settings.graphs]
        self._socket = os.path.join(self.folder, SOCKET)
        self._exchange = Exchange(self._socket, self._host.pidfd, self._host.ended)
        sink = SinkSpec("feed", {"socket": self._socket}, "the program")
        self._settings = structs.replace(settings, cameras=[], sinks=[sink], gateway=None)
        first = self._new_feed(self.graphs[0] if self.graphs else None)
        if not self._exchange.wait_open(first.name, START_S):
            raise ClusterClosed(f"the host of this Cluster has not started within {START_S:.0f} s")

    # -- for Cluster

    def check(self) -> None:
        if os.getpid() != self._pid:
            raise ForkedCluster(f"this Cluster belongs to process {self._pid}; make one in this process")
        if self._closed:
            raise ClusterClosed("this Cluster is closed; make another")

    @property
    def pid(self) -> int:
        """Of the host."""
        return self._host.pid

    def feed(self, graph: str | None) -> Feed:
        """The feed of a graph. Raises ConfigError for one that this Cluster does not have."""
        self.check()
        if graph is None:
            if len(self.graphs) > 1:
                raise ConfigError(f"graph: this Cluster has several; name one of {', '.join(self.graphs)}")
            graph = self.graphs[0] if self.graphs else "none"
        if graph not in (self.graphs or ["none"]):
            raise ConfigError(f'graph: this Cluster has no "{graph}"; it has {", ".join(self.graphs or ["none"])}')
        with self._lock:
            return self._feeds.get(graph) or self._new_feed(graph)

    def follow(self, source: str, *, every_frame: bool) -> tuple[str, Following]:
        """A source is opened; its results come through the second value. `unfollow` ends it. Raises ConfigError."""
        self.check()
        argv = self._flags(source) + (["--every-frame"] if every_frame else [])
        (camera,) = reading.read(argv, self._log, graphs=False).cameras
        graphs = len(camera.graphs or self.graphs) or 1
        with self._lock:
            self._streams += 1
            name = f"stream-{self._streams}"
            following = Following(camera.shown, graphs=graphs, ordered=camera.ordered)
            options = {"socket": self._socket, "stream": name, "source": camera.source, "options": camera.options}
            self._hub.add(name, following)
            spec = structs.replace(camera, name=CameraName(name), source="relay", options=options, window=False)
            self._configure([*self._settings.cameras, spec])
        return name, following

    def unfollow(self, name: str) -> None:
        """Does nothing in a forked process and after `close`."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            if self._closed:
                return
            self._hub.remove(name)
            try:
                self._configure([camera for camera in self._settings.cameras if camera.name != name])
            except NcsClusterError:
                pass  # the host has ended, and the source with it

    def settled(self, name: str) -> None:
        """Returns when every result of a live source that has ended is handed on."""
        while True:
            status = self.status()
            camera = next((each for each in status.cameras if each.name == name), None)
            if camera is None:
                break
            over = camera.results + camera.dropped + camera.late + camera.given_up >= camera.frames * max(1, len(self.graphs))
            if camera.state == "ended" and over and not any(sink.waiting for sink in status.sinks):
                break
            time.sleep(SETTLE_S)
        self._hub.flush()

    def status(self) -> Status:
        """Raises ClusterClosed when the host has ended."""
        self.check()
        try:
            with Client(self.folder, timeout_s=10.0) as client:
                return client.status()
        except NotRunning as error:
            raise ClusterClosed(f"the host of this Cluster does not answer: {error}") from error

    def close(self) -> None:
        """End every process; waiting calls raise ClusterClosed. Any number of times, from any thread; not in a forked process."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._exchange is not None:
            self._exchange.close(ClusterClosed("this Cluster was closed before there was a result"))
        self._host.close()
        self._clear()
        _open.discard(self)

    def forget(self) -> None:
        """In a forked process: close the other process's descriptors."""
        if self._closed:
            return
        if self._exchange is not None:
            self._exchange.forget()
        for feed in self._feeds.values():
            feed.forget()
        self._host.forget()

    # -- parts

    @property
    def _hub(self) -> Exchange:
        assert self._exchange is not None
        return self._exchange

    def _flags(self, source: str) -> list[str]:
        """A source given by flag replaces those of a file; the first settings are read with one that is always there."""
        return [*self._argv, f"--source={source}", f"--runtime-dir={self.folder}"]

    def _new_feed(self, graph: str | None) -> Feed:
        with self._lock:
            name = "feed" if not self._feeds else f"feed-{graph}"
            feed = self._feeds[graph or "none"] = Feed(name)
            self._hub.add(name, feed)
            options = {"socket": self._socket, "stream": name}
            graphs = [] if graph is None else [GraphName(graph)]
            spec = CameraSpec(
                CameraName(name),
                "feed",
                options,
                "images of the program",
                graphs=graphs,
                ordered=True,
                picture="exact",
                ahead=AHEAD,
            )
            self._configure([*self._settings.cameras, spec])
        return feed

    def _configure(self, cameras: list[CameraSpec]) -> None:
        changed: Settings = structs.replace(self._settings, cameras=cameras)
        self._host.send(changed)
        self._settings = changed

    def _clear(self) -> None:
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _log(path: str | os.PathLike[str] | None) -> IO[bytes]:
    """Where host and children log: a file that is appended to, or one without a name."""
    if path is None:
        return tempfile.TemporaryFile()
    try:
        return open(path, "ab+")
    except OSError as error:
        raise ConfigError(f"log: {os.fspath(path)}: {error.strerror}; name a file that can be written") from error


def _forked() -> None:
    for session in list(_open):
        session.forget()


os.register_at_fork(after_in_child=_forked)
