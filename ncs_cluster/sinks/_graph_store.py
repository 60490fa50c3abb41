"""Graphs that this host has got from a NATS server: a folder for each, named by the hash of its files. Of those that nobody uses
the least recently used ones are removed where they are too many. Runs on CPython 3.9.
"""

from __future__ import annotations

import os
import shutil
from typing import AbstractSet, List, Optional, Tuple

from ncs_cluster.errors import format_os_error
from ncs_cluster.fleet import graph_files
from ncs_cluster.fleet.chunk import GraphFiles
from ncs_cluster.fleet.parcel import Parcels, graph_place
from ncs_cluster.jobs.same_graph import key_of
from ncs_cluster.specs import GraphSpec

MOST_GRAPHS, MOST_BYTES = 8, 1 << 30
COMING = ".coming"
"""Behind the name of a folder that is not whole."""


class GraphStore:
    """The folder. Not for use from two threads at once, but for `spec`."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def load(self) -> None:
        """Make the folder; remove what a process before this one has left unfinished. Raises OSError."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        for name in os.listdir(self._folder):
            if name.endswith(COMING):
                shutil.rmtree(os.path.join(self._folder, name), ignore_errors=True)

    def place(self, sha256: str) -> str:
        return os.path.join(self._folder, sha256)

    def spec(self, files: GraphFiles, name: str, key: str) -> Optional[GraphSpec]:
        """The graph of these files, as a guest; None: it is not here. Raises Malformed, OSError."""
        folder = self.place(files.parcel.sha256)
        if not os.path.isdir(folder):
            return None
        return graph_files.read(folder, graph_files.guest_name(name, key))

    async def fetch(self, parcels: Parcels, files: GraphFiles, key: str, used: AbstractSet[str]) -> Optional[str]:
        """Get a graph, and compare it with its key. `used`: hashes of graphs that stay. Returns why it is refused; None: it is
        here. Raises parcel.Changed where the server does not have it, Malformed, Unusable."""
        sha256, draft = files.parcel.sha256, self.place(files.parcel.sha256) + COMING
        try:
            graph_files.check(files)
            self._make_room(files.parcel.size, used)
            await parcels.get(graph_place(sha256), files.parcel, [os.path.join(draft, name) for name in files.names])
            graph = graph_files.read(draft, graph_files.guest_name("", key))
            if key_of(graph) != key:
                return "the graph that was sent is not the job's: its hash does not match"
            shutil.rmtree(self.place(sha256), ignore_errors=True)
            os.rename(draft, self.place(sha256))
        except OSError as error:
            return f"the graph cannot be kept: {format_os_error(error)}"
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return None

    def touch(self, sha256: str) -> None:
        """Note that a graph is in use."""
        try:
            os.utime(self.place(sha256))
        except OSError:
            pass

    def _make_room(self, size: int, used: AbstractSet[str]) -> None:
        """Raises OSError."""
        kept: List[Tuple[float, str, int]] = []
        for name in os.listdir(self._folder):
            path = self.place(name)
            bytes_ = sum(entry.stat().st_size for entry in os.scandir(path))
            kept.append((os.stat(path).st_mtime, name, bytes_))
        kept.sort()
        while len(kept) >= MOST_GRAPHS or sum(bytes_ for _, _, bytes_ in kept) + size > MOST_BYTES:
            oldest = next((each for each in kept if each[1] not in used), None)
            if oldest is None:
                return
            shutil.rmtree(self.place(oldest[1]))
            kept.remove(oldest)
