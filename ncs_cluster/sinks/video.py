"""The films of a job with their results drawn on them, as MP4 files with the films' sound. Runs on CPython 3.9.

Outcomes are kept in files (_video_records) and drawn behind them (_video_live) in segments, which `finish` joins (_video_join). A
killed process loses at most the drawing of its present segments. The resume token says only that the job has begun: outcomes that
come twice take the place of the first.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Iterable, List, Optional, Sequence

from ncs_cluster.jobs import layout
from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.plugins import reason
from ncs_cluster.sinks._final import aside, link_or_copy
from ncs_cluster.sinks._safe_names import safe
from ncs_cluster.sinks._video_draw import Drawing, is_of_disk
from ncs_cluster.sinks._video_join import frames_of, has_sound, join
from ncs_cluster.sinks._video_live import Live
from ncs_cluster.sinks._video_records import Records
from ncs_cluster.sinks.base import Imagery, Lost, Opened, Parsed, Part, Place
from ncs_cluster.types import Record

log = logging.getLogger(__name__)

FOLDER = ".video"
"""Beside the videos: what they are made of."""
WAIT_S = 0.3
TOKEN = b"1"


@dataclass(frozen=True)
class Options:
    """Where the videos go."""

    __pydantic_config__ = {"extra": "forbid"}

    path: str
    """The file of a single film, `video.mp4`; several lie in a folder of its name without the ending."""
    ledger: str = ""
    """The job's ledger. The job sets it."""

    def __post_init__(self) -> None:
        if find_spec("av") is None:
            raise ValueError("format video needs PyAV: pip install 'ncs-cluster[video]'")


def parse(spec: str, place: Place) -> Parsed:
    path = str(place(spec))
    return Parsed({"path": path}, path)


class Video:
    """See base.Sink and base.Finishing."""

    def __init__(self, options: Options, imagery: Imagery) -> None:
        self._path = options.path
        self._ledger_path, self._imagery = options.ledger, imagery
        self._records = Records(os.path.join(os.path.dirname(options.path), FOLDER))
        self._ledger: Optional[Ledger] = None
        self._drawing: Optional[Drawing] = None
        self._live: Optional[Live] = None

    @property
    def _several(self) -> str:
        return os.path.splitext(self._path)[0]

    def open(self, first: int, token: Optional[bytes]) -> Opened:
        """Raises OSError, LedgerError."""
        self.close()
        if token is None and not os.path.isdir(self._records.folder):
            for path in (self._path, self._several):
                # a film of the user's own, perhaps an item, must not be written over
                if os.path.lexists(path):
                    raise OSError(errno.EEXIST, f"{path} is no output of this job; choose another folder for --out")
        self._records.open(anew=token is None)
        self._ledger = Ledger(self._ledger_path)
        self._drawing = Drawing(self._records, self._imagery, Ledger(self._ledger_path))
        self._live = Live(self._records, self._drawing)
        return Opened(first, TOKEN)

    def follow(self) -> Optional[bytes]:
        return None

    def write(self, record: Record) -> bytes:
        """Raises OSError."""
        if record.item_frame is None:
            # a picture, or a film that cannot be opened
            return TOKEN
        assert self._ledger is not None
        assert self._live is not None
        if self._live.failure is not None:
            raise self._live.failure
        segment = self._records.put(self._ledger.place(record.frame).item, record)
        if segment is not None:
            self._live.tell(segment)
            self._live.wait(WAIT_S)
        return TOKEN

    def sync(self) -> None:
        self._records.sync()

    def finish(self) -> None:
        """Raises OSError."""
        assert self._live is not None
        self._records.sync()
        self._live.end()
        single = self._records.films() == 1
        for item in self._records.items():
            if not self._records.is_joined(item):
                self._finish_film(item, single=single)

    def join(self, parts: Sequence[Part], order: Iterable[int]) -> None:
        """The videos of all parts: each film is whole in one of them. Raises OSError."""
        counts = [sum(1 for _ in layout.films(part.ledger)) for part in parts]
        for part, count in zip(parts, counts):
            for name in layout.films(part.ledger):
                source, final = part.sink._final(name, single=count == 1), self._final(name, single=sum(counts) == 1)
                if not os.path.exists(source):
                    log.warning("%s has no video in %s: its run.log says why", name, part.folder)
                    continue
                os.makedirs(os.path.dirname(final), exist_ok=True)
                with aside(final) as draft:
                    link_or_copy(source, draft, copy=False)

    def _final(self, name: str, *, single: bool) -> str:
        """Where the video of a film lies. `single`: the job has no other."""
        return self._path if single else os.path.join(self._several, safe(name, ".mp4"))

    def tidy(self) -> None:
        """Raises OSError."""
        if os.path.isdir(self._records.folder):
            shutil.rmtree(self._records.folder)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
        for each in (self._drawing, self._ledger):
            if each is not None:
                each.close()
        self._live = self._drawing = self._ledger = None
        self._records.close()

    def _finish_film(self, item: int, *, single: bool) -> None:
        assert self._drawing is not None
        failed, parts = False, []
        for key in self._records.segments(item):
            segment = self._records.load(key)
            segment.closed = True
            failed = failed or any(shown.outcome.error is not None for shown in segment.shown.values())
            try:
                self._drawing.make(segment)
            except Lost as lost:
                # what was drawn before is the video; a retry may find the film again
                failed = True
                self._drawing.lose(item, lost)
                break
            parts.append(self._records.video(key))
        if parts:
            self._join(item, parts, single=single)
            self._records.joined(item, failed=failed)

    def _join(self, item: int, parts: List[str], *, single: bool) -> None:
        assert self._drawing is not None
        film, look = self._drawing.film(item)
        final = self._final(self._drawing.name(item), single=single)
        if not single:
            os.makedirs(os.path.dirname(final), exist_ok=True)
        sound = film.path if film is not None and has_sound(film.path) else None
        with aside(final) as draft:
            try:
                frames = join(parts, sound, look, draft)
            except Exception as error:
                if sound is None or is_of_disk(error):
                    raise
                log.warning("%s is without its sound, which cannot be copied: %s", final, reason(error))
                frames = join(parts, None, look, draft)
            if frames_of(draft) != frames:
                raise OSError(errno.EIO, f"{final} was not written whole; see whether the disk is full")
