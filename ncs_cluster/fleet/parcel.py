"""Parcels at a NATS server: files as one run of bytes, in pieces of one size.

    ncs_files   ncs.graph.SHA256.N     a graph, by the hash of its parcel, so that jobs with the same graph share it
                ncs.wanted.SHA256      a host lacks it
                ncs.file.JOB.CHUNK.N   the files of a chunk

A parcel is written before anything that names it, and whoever reads it compares its hash. Runs on CPython 3.9.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import os
import stat
from collections import Counter
from typing import Dict, Iterator, List, Optional, Sequence, Set, Union

from ncs_cluster.fleet.chunk import PIECE, Malformed, Parcel
from ncs_cluster.fleet.streams import Streams

FILES = "ncs_files"
AGE_S = 14 * 86400
"""What no command removes is gone after so long."""
CONFIGURATION: Dict[str, object] = {
    "description": "graphs and files of jobs of ncs_cluster",
    "subjects": ["ncs.graph.*.*", "ncs.wanted.*", "ncs.file.*.*.*"],
    "retention": "limits",
    "discard": "new",
    "max_age": AGE_S * 10**9,
    "max_msgs_per_subject": 1,
    "max_msg_size": PIECE + 4096,
    "allow_direct": True,
}


Part = Union[str, bytes]
"""The path of a file, or what would be in one."""


class Changed(Malformed):
    """What was read is not what was announced; the message is one line."""


class Blocks:
    """The bytes of several parts, in blocks of PIECE and a last one, and what is known of them behind the last block."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.sizes: List[Optional[int]] = []
        """Bytes of each file that was read; None: it cannot be opened."""
        self._parts, self._digest = parts, hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        """Raises OSError where a file that was opened cannot be read."""
        rest = b""
        for part in self._parts:
            size: Optional[int] = None
            for more in _read(part) if isinstance(part, str) else [part]:
                size = (size or 0) + len(more)
                self._digest.update(more)
                rest += more
                if len(rest) >= PIECE:
                    yield rest[:PIECE]
                    rest = rest[PIECE:]
            self.sizes.append(size)
        if rest:
            yield rest

    @property
    def parcel(self) -> Parcel:
        """Of what was read."""
        return Parcel(self._digest.hexdigest(), self.sizes)


class Parcels(Streams):
    """Every method raises Unusable."""

    async def prepare(self) -> None:
        """Make the stream where it is not there."""
        await self._make(FILES, CONFIGURATION)

    async def put(self, place: str, parts: Sequence[Part]) -> Parcel:
        """Write the parts; pieces that are there are replaced. Raises OSError where a file cannot be read to its end."""
        blocks = Blocks(parts)
        for number, block in enumerate(blocks):
            await self._write(f"{place}.{number}", block)
        return blocks.parcel

    async def get(self, place: str, parcel: Parcel, paths: Sequence[str]) -> None:
        """Write the files of a parcel, each to its path, below folders that are made. Raises Changed where a piece is missing or
        another one, OSError. What was written until then is the caller's to remove."""
        into = _Into(paths, parcel.sizes)
        with contextlib.closing(into):
            for number in range(parcel.pieces):
                answer = await self._newest(FILES, f"{place}.{number}")
                if answer is None:
                    raise Changed(f"piece {number} of {parcel.pieces} is missing")
                await asyncio.to_thread(into.write, answer.payload)
            await asyncio.to_thread(into.write, b"")
        if into.digest.hexdigest() != parcel.sha256 or not into.whole:
            raise Changed("its hash does not match: a piece is another one")

    async def remove(self, place: str) -> None:
        """All pieces at a place, which may have "*" in it."""
        await self._purge(FILES, f"{place}.*")

    # -- graphs

    async def want(self, sha256: str) -> None:
        """Ask the commands that collect for a graph."""
        await self._write(f"ncs.wanted.{sha256}", b"")

    async def is_wanted(self, sha256: str) -> bool:
        return await self._newest(FILES, f"ncs.wanted.{sha256}") is not None

    async def grant(self, sha256: str) -> None:
        """Take back the request for a graph, which is at the server now."""
        await self._purge(FILES, f"ncs.wanted.{sha256}")

    async def has(self, place: str, parcel: Parcel) -> bool:
        """All pieces are there."""
        return len(await self._subjects(FILES, f"{place}.*")) == parcel.pieces

    async def forget(self, sha256: str) -> None:
        """Remove a graph that no job needs."""
        await self.remove(graph_place(sha256))
        await self.grant(sha256)

    # -- chunks

    async def chunks(self, job: str) -> Dict[str, int]:
        """Chunks of which pieces are there, and how many."""
        before = f"ncs.file.{job}."
        found = await self._subjects(FILES, f"{before}*.*")
        return Counter(each[len(before) :].partition(".")[0] for each in found if each.startswith(before))


def graph_place(sha256: str) -> str:
    return f"ncs.graph.{sha256}"


def chunk_place(job: str, chunk: str) -> str:
    return f"ncs.file.{job}.{chunk}"


def parcel_of(parts: Sequence[Part]) -> Parcel:
    """What `put` would write. Raises OSError."""
    blocks = Blocks(parts)
    for _ in blocks:
        pass
    return blocks.parcel


def _read(path: str) -> Iterator[bytes]:
    """Blocks of a file, the last one empty; none at all where it cannot be opened, or is no file. Raises OSError."""
    try:
        # a FIFO would wait for a writer
        file = io.FileIO(path, opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK))
    except OSError:
        return
    with file:
        while stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            block = file.read(PIECE)
            yield block
            if not block:
                return


class _Into:
    """Cuts a run of bytes into files."""

    def __init__(self, paths: Sequence[str], sizes: Sequence[Optional[int]]) -> None:
        self.digest = hashlib.sha256()
        self._files = [(path, size) for path, size in zip(paths, sizes) if size is not None]
        self._open: Optional[io.FileIO] = None
        self._left = 0
        self._made: Set[str] = set()
        """Folders."""

    @property
    def whole(self) -> bool:
        return not self._files and not self._left

    def write(self, data: bytes) -> None:
        """Raises OSError; Changed for more bytes than the files have."""
        self.digest.update(data)
        while True:
            if self._open is not None and not self._left:
                self.close()
            if self._open is None:
                if not self._files:
                    break
                path, self._left = self._files.pop(0)
                self._make(os.path.dirname(path))
                self._open = io.FileIO(path, "wb")
                continue
            if not data:
                return
            # a file may take less than it is given
            written = self._open.write(data[: self._left])
            data, self._left = data[written:], self._left - written
        if data:
            raise Changed("it has more bytes than were announced")

    def _make(self, folder: str) -> None:
        if folder not in self._made:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            self._made.add(folder)

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None
