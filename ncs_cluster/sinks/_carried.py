"""Files that come with a chunk: they are fetched into the chunk's folder, under the names that they have where the command runs.
Runs on CPython 3.9."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from typing import List, Tuple

from ncs_cluster.errors import format_os_error
from ncs_cluster.fleet.chunk import Malformed, Unreadable
from ncs_cluster.fleet.parcel import Changed, Parcels, chunk_place
from ncs_cluster.sinks._held_chunk import FETCHING, LOST, NEW, Held

COMING = ".coming"
"""Behind the name of the folder while it is not whole."""
LEAST_FREE = 64 << 20
"""Bytes that stay free on the disk."""


async def fetch(held: Held, parcels: Parcels) -> None:
    """Get the files of a chunk. Afterwards it is new, failed, or lost where the server has other files than were announced. Raises
    Unusable: it stays as it is."""
    chunk, draft = held.chunk, held.files + COMING
    assert chunk.parcel is not None
    state, why = NEW, ""
    try:
        await asyncio.to_thread(_prepare, draft, len(chunk.roots), chunk.parcel.size)
        paths: List[str] = [os.path.join(draft, str(root), os.fsdecode(name)) for root, name in chunk.items]
        await parcels.get(chunk_place(chunk.job, chunk.chunk), chunk.parcel, paths)
        await asyncio.to_thread(_imitate, [(paths[number], kind) for number, kind in chunk.unreadable])
        os.rename(draft, held.files)
    except Changed as error:
        state, why = LOST, f"its files are not those that were sent: {error}"
    except Malformed as error:
        held.fail(str(error))
    except OSError as error:
        held.fail(f"its files cannot be kept: {format_os_error(error)}")
    # its job may have ended meanwhile
    if held.state == FETCHING:
        held.state, held.why = state, why


def _imitate(unreadable: List[Tuple[str, Unreadable]]) -> None:
    """Make what cannot be read in the same way as where the command runs. Raises OSError."""
    for path, kind in unreadable:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        if kind == "link":
            # nothing can be below it, whatever the names of other items are
            os.symlink("/dev/null/outside", path)
        elif kind == "kind":
            os.mkfifo(path, 0o600)
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o000))


def _prepare(draft: str, roots: int, size: int) -> None:
    """A new folder for each root. Raises OSError."""
    shutil.rmtree(draft, ignore_errors=True)
    for number in range(roots):
        os.makedirs(os.path.join(draft, str(number)), mode=0o700)
    if shutil.disk_usage(draft).free < size + LEAST_FREE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), draft)
