"""Asks a process of its own where films can be cut, see processes.film_cutter."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

import msgspec

import ncs_cluster
from ncs_cluster.fleet.film_part import FilmPart

LONGEST_S = 600.0
"""For reading the packets of one film, as from a slow disk."""
LONGEST_LINE = 1 << 20
WHOLE = [FilmPart(0)]
HOME = os.path.dirname(os.path.dirname(os.path.abspath(ncs_cluster.__file__)))
"""Where this package is found."""


class Cutter:
    """Asks a child process for the parts of films. The child starts with the first film, and again after a film that crashed it."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def parts(self, path: str) -> list[FilmPart]:
        """The parts of a film; a single one where they cannot be found out."""
        try:
            if self._process is None:
                self._process = await _started()
            return await asyncio.wait_for(_asked(self._process, path), LONGEST_S)
        except (TimeoutError, OSError, ValueError, msgspec.MsgspecError):
            await self.close()
            return WHOLE

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


async def _started() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        # not from the working folder: a file there may have the name of a module
        *(sys.executable, "-P", "-m", "ncs_cluster.processes.film_cutter", str(os.getpid())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=LONGEST_LINE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [HOME, os.environ.get("PYTHONPATH")]))},
        # a terminal's Ctrl-C is for the command alone
        start_new_session=True,
    )


async def _asked(process: asyncio.subprocess.Process, path: str) -> list[FilmPart]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(os.fsencode(path)) + b"\n")
    await process.stdin.drain()
    # the end of the output is no JSON
    return msgspec.json.decode(await process.stdout.readline(), type=list[FilmPart]) or WHOLE
