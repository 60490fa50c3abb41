"""A job's results as MegaDetector writes its own, format 1.4, for Timelapse, AddaxAI and its other readers. Runs on CPython 3.9.

The format: https://lila.science/megadetector-output-format. A film is one entry, whose detections carry the number of their frame.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import IO, Dict, Iterable, Iterator, List, Optional, Tuple, Union

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ncs_cluster.jobs import layout
from ncs_cluster.sinks._categories import Categories
from ncs_cluster.sinks._final import aside, check_file
from ncs_cluster.sinks._merge import Row, Shard
from ncs_cluster.sinks._parted import Parted
from ncs_cluster.sinks._rows import listed
from ncs_cluster.sinks._text import figure, item_name, nameless, plain
from ncs_cluster.types import Record

VERSION = "1.4"
_WHOLE_PICTURE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Options:
    """The results, how they are divided, and what their head tells."""

    __pydantic_config__ = {"extra": "forbid"}

    path: str
    """The final file."""
    shard_size: int = 0
    """Frames per file; 0: one file."""
    detector: str = ""
    """Name of the model in the file's head."""
    frame_rate: float = 30.0
    """Of films that do not tell theirs, frames per second: readers turn a frame's number into a time with it."""

    def __post_init__(self) -> None:
        check_file(self.path, self.shard_size)
        if not 0 < self.frame_rate < 1e6:
            raise ValueError("frame_rate must be above 0 and below 1000000 frames per second")


class Found(Struct):
    category: str
    conf: float
    bbox: Tuple[float, float, float, float]
    """Left, top, width, height in shares of the picture."""
    frame_number: Union[int, UnsetType] = UNSET


class Frame(Struct, array_like=True):
    """A row: one picture, or one frame of a film."""

    file: str
    number: Optional[int]
    """Of a film's frame."""
    failure: Optional[str]
    found: List[msgspec.Raw]
    """JSON of `Found`."""
    fps: Optional[float] = None
    """Of a film that tells it."""


class Entry(Struct):
    """A picture or a film in the file."""

    file: str
    detections: Optional[List[Found]]
    failure: Optional[str] = None
    frame_rate: Optional[float] = None
    """Of a film."""
    frames_processed: List[int] = []


_encode = msgspec.json.encode
_decode_entry = msgspec.json.Decoder(Entry).decode
_decode_names = msgspec.json.Decoder(Dict[str, str]).decode
_decode = msgspec.json.Decoder(Frame).decode


class MegaDetector(Parted):
    """See base.Finishing."""

    columns = ("frames", "categories")
    memory = "categories"

    def __init__(self, options: Options) -> None:
        super().__init__(options.path, options.shard_size)
        self._detector, self._frame_rate = options.detector, options.frame_rate
        self.forget()

    def forget(self) -> None:
        self._categories = Categories()

    def recall(self, text: bytes) -> None:
        self._categories.recall(text)

    def row(self, record: Record) -> Tuple[bool, Tuple[bytes, ...]]:
        outcome = record.outcome
        objects = [(each.label_id, each.label, each.score, each.box) for each in outcome.detections]
        objects += [(each.label_id, each.label, each.score, _WHOLE_PICTURE) for each in outcome.classes]
        number = UNSET if record.item_frame is None else record.item_frame
        found = []
        for label_id, _, score, (x1, y1, x2, y2) in objects:
            box = (figure(x1, 5), figure(y1, 5), figure(x2 - x1, 5), figure(y2 - y1, 5))
            found.append(msgspec.Raw(_encode(Found(_category(label_id), figure(score, 4), box, number))))
        failure = None if outcome.error is None else plain(outcome.error) or "failed"
        categories = self._categories.new([(label_id, label) for label_id, label, _, _ in objects])
        fps = None if record.item_fps is None else figure(record.item_fps, 5)
        return failure is not None, (_encode(Frame(item_name(record), record.item_frame, failure, found, fps)), categories)

    def build(self, shard: Shard) -> None:
        info = {"format_version": VERSION, **({"detector": self._detector} if self._detector else {})}
        categories = {_category(number): name or f"class {number}" for number, name in self._categories.sorted()}
        with aside(self.files(shard.number)[-1]) as draft, open(draft, "wb") as file:
            file.write(b'{"info":' + _encode(info) + b',\n"detection_categories":' + _encode(categories) + b',\n"images":[')
            self._entries(file, (_decode(row.pieces[0]) for row in shard.rows()))
            file.write(b"\n]}\n")

    def rows(self, shard: Optional[int], frames: Iterable[layout.Frame]) -> Iterator[Row]:
        with open(self.files(shard)[-1], "rb") as file:
            file.readline()
            names = _decode_names(file.readline().partition(b":")[2].rstrip(b",\n"))
            # `class n` stands for no name
            found = [(int(number) - 1, name) for number, name in names.items()]
            categories = Categories().new([(number, "" if name == f"class {number}" else name) for number, name in found])
            file.readline()
            left = iter(frames)
            frame = next(left, None)
            for line in listed(file):
                entry = _decode_entry(line)
                if frame is None or entry.file != (frame.item or nameless(frame.number)):
                    raise ValueError(f"{entry.file} stands where another item should")
                first, read = frame, _Read(entry)
                while frame is not None and (frame is first or read.goes_on(frame)):
                    yield Row(frame.number, frame.failed, (_encode(read.frame(frame.item_frame)), categories))
                    categories, frame = b"", next(left, None)

    def numbered(self, row: Row, frame: int) -> Row:
        told, categories = _decode(row.pieces[0]), row.pieces[1]
        if row.failed and told.file == nameless(row.frame):
            told.file = nameless(frame)
        return Row(frame, row.failed, (_encode(told), categories))

    def _entries(self, file: IO[bytes], frames: Iterator[Frame]) -> None:
        """One for each picture, one for each film: neighbours with the same name and rising numbers."""
        before, film = b"\n", None
        for frame in frames:
            if film is not None and not film.goes_on(frame):
                film.end()
                film = None
            if film is None:
                file.write(before + b'{"file":' + _encode(frame.file))
                before = b",\n"
                if frame.number is not None:
                    film = _Film(file, frame.file, frame.fps or self._frame_rate)
                elif frame.failure is None:
                    file.write(b',"detections":' + _encode(frame.found) + b"}")
                else:
                    file.write(b',"failure":' + _encode(frame.failure) + b',"detections":null}')
            if film is not None:
                film.add(frame)
        if film is not None:
            film.end()


class _Read:
    """What an entry says of its frames, which are asked for in order."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._found, self._processed = deque(entry.detections or []), deque(entry.frames_processed)
        self._last = -1

    def goes_on(self, frame: layout.Frame) -> bool:
        """The frame is in this entry, behind one of the same film."""
        is_film = self._entry.frame_rate is not None and frame.item_frame is not None
        return is_film and frame.item == self._entry.file and (frame.item_frame or 0) > self._last

    def frame(self, number: Optional[int]) -> Frame:
        """`number`: of a film's frame. Why a single one has failed is not in the file."""
        entry, found, self._last = self._entry, [], -1 if number is None else number
        while self._found and number in (None, self._found[0].frame_number):
            found.append(msgspec.Raw(_encode(self._found.popleft())))
        failure = entry.failure
        if number is not None and self._processed and self._processed[0] == number:
            self._processed.popleft()
        elif number is not None:
            failure = failure or "failed"
        return Frame(entry.file, number, failure, found, entry.frame_rate)


class _Film:
    """The entry of a film, written as its frames come. A film without a frame that was processed is a failure."""

    def __init__(self, file: IO[bytes], name: str, frame_rate: float) -> None:
        self._file, self._name = file, name
        self._last = -1
        self._processed: List[int] = []
        self._failure: Optional[str] = None
        self._before = b""
        file.write(b',"frame_rate":' + _encode(frame_rate))

    def goes_on(self, frame: Frame) -> bool:
        return frame.number is not None and frame.number > self._last and frame.file == self._name

    def add(self, frame: Frame) -> None:
        self._last = frame.number or 0
        if frame.failure is not None:
            self._failure = self._failure or frame.failure
            return
        if not self._processed:
            self._file.write(b',"detections":[')
        self._processed.append(frame.number or 0)
        for found in frame.found:
            self._file.write(self._before + bytes(found))
            self._before = b","

    def end(self) -> None:
        if not self._processed:
            self._file.write(b',"failure":' + _encode(self._failure) + b',"detections":null,"frames_processed":[]}')
        else:
            self._file.write(b'],"frames_processed":' + _encode(self._processed) + b"}")


def _category(label_id: int) -> str:
    """Numbers from 1, as MegaDetector has them: its readers take "0" for an empty picture."""
    return str(label_id + 1)
