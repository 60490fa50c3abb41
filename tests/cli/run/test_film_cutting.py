"""The process that finds out where films can be cut: it answers for each film, and one that it does not survive stays whole."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from ncs_cluster.cli.run.film_cutting import WHOLE, Cutter
from ncs_cluster.fleet.film_part import divided
from tests.jobs.making import film


def test_films_are_cut_and_what_is_none_or_ends_the_process_stays_whole(tmp_path: Path) -> None:
    long = str(film(tmp_path / "long.avi", [number % 250 for number in range(700)], 16, 16))
    short = str(film(tmp_path / "short.avi", [1, 2, 3], 16, 16))
    (tmp_path / "none.mp4").write_bytes(b"no film")
    os.mkfifo(tmp_path / "pipe.mp4")
    expected = divided([number * 40.0 for number in range(700)], [True] * 700)

    async def talk() -> None:
        cutter = Cutter()
        assert await cutter.parts(long) == expected
        assert [len(await cutter.parts(path)) for path in (short, str(tmp_path / "none.mp4"), str(tmp_path / "gone.mp4"))] == [
            1,
            1,
            1,
        ]
        hung = asyncio.create_task(cutter.parts(str(tmp_path / "pipe.mp4")))
        await asyncio.sleep(0.1)
        assert cutter._process is not None
        os.kill(cutter._process.pid, signal.SIGKILL)
        assert await hung == WHOLE
        assert await cutter.parts(long) == expected
        await cutter.close()

    asyncio.run(talk())
