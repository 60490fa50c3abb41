"""COCO results of a job: a list of boxes in pixels, and beside it the file of images and categories. Runs on CPython 3.9.

`COCO("coco_images.json").loadRes("coco.json")` of pycocotools reads the two; an image's id is the number of its frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Iterable, Iterator, List, Optional, Tuple, Union

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ncs_cluster.jobs.layout import Frame
from ncs_cluster.sinks._categories import Categories
from ncs_cluster.sinks._final import aside, check_file, named
from ncs_cluster.sinks._merge import Row, Shard
from ncs_cluster.sinks._parted import Parted
from ncs_cluster.sinks._rows import listed
from ncs_cluster.sinks._text import figure, item_name, nameless, plain
from ncs_cluster.types import Detection, Record, Size

NO_SIZE = "boxes in pixels need the picture's size, which its source does not say; choose another format"
_END = ",\n"


@dataclass(frozen=True)
class Options:
    """The results, and how they are divided."""

    __pydantic_config__ = {"extra": "forbid"}

    path: str
    """The final file; NAME_images.json stands beside NAME.json."""
    shard_size: int = 0
    """Frames per file; 0: one file."""

    def __post_init__(self) -> None:
        check_file(self.path, self.shard_size)


class Result(Struct):
    image_id: int
    category_id: int
    bbox: Tuple[float, float, float, float]
    """Left, top, width, height, in pixels of the picture as its file has it."""
    score: float


class Image(Struct):
    id: int
    file_name: str
    width: Optional[int]
    height: Optional[int]
    item_frame: Union[int, UnsetType] = UNSET
    item_fps: Union[float, UnsetType] = UNSET
    error: Union[str, UnsetType] = UNSET


class Category(Struct):
    id: int
    name: str


_encode = msgspec.json.encode
_decode_image = msgspec.json.Decoder(Image).decode
_decode_result = msgspec.json.Decoder(Result).decode
_decode_categories = msgspec.json.Decoder(List[Category]).decode


class Coco(Parted):
    """See base.Finishing."""

    columns = ("results", "images", "categories")
    memory = "categories"

    def __init__(self, options: Options) -> None:
        super().__init__(options.path, options.shard_size)
        self.forget()

    def files(self, shard: Optional[int]) -> List[str]:
        return [named(self.path, shard, "_images.json"), named(self.path, shard)]

    def forget(self) -> None:
        self._categories = Categories()

    def recall(self, text: bytes) -> None:
        self._categories.recall(text)

    def row(self, record: Record) -> Tuple[bool, Tuple[bytes, ...]]:
        found, error = record.outcome.detections, record.outcome.error
        if error is None and found and record.size is None:
            found, error = [], NO_SIZE
        width, height = record.size or (None, None)
        image = Image(record.frame, item_name(record), width, height)
        if record.item_frame is not None:
            image.item_frame = record.item_frame
        if record.item_fps is not None:
            image.item_fps = figure(record.item_fps, 5)
        if error is not None:
            image.error = plain(error)
        results = [_result(record.frame, each, record.size) for each in found if record.size is not None]
        text = b"".join([_encode(each) + _END.encode() for each in results])
        categories = self._categories.new([(each.label_id, each.label) for each in found])
        return error is not None, (text, _encode(image) + _END.encode(), categories)

    def build(self, shard: Shard) -> None:
        images, results = self.files(shard.number)
        with aside(images) as draft, open(draft, "wb") as file:
            file.write(b'{"info":{"description":"results of ncs_cluster"},\n"categories":')
            file.write(_encode([Category(*each) for each in self._categories.sorted()]))
            file.write(b',\n"annotations":[],\n"images":')
            _list(file, (row.pieces[1] for row in shard.rows()))
            file.write(b"}\n")
        with aside(results) as draft, open(draft, "wb") as file:
            _list(file, (row.pieces[0] for row in shard.rows()))
            file.write(b"\n")

    def rows(self, shard: Optional[int], frames: Iterable[Frame]) -> Iterator[Row]:
        images, results = self.files(shard)
        with open(images, "rb") as file, open(results, "rb") as results_file:
            file.readline()
            head = _decode_categories(file.readline().partition(b":")[2].rstrip(b",\n"))
            categories = Categories().new([(each.id, each.name) for each in head])
            file.readline()
            found = _elements(results_file, results_file.readline())
            result = next(found, None)
            for line in _elements(file, file.readline().partition(b":")[2]):
                image, text = _decode_image(line), b""
                while result is not None and _decode_result(result).image_id == image.id:
                    text += result + _END.encode()
                    result = next(found, None)
                yield Row(image.id, image.error is not UNSET, (text, line + _END.encode(), categories))
                categories = b""
            if result is not None:
                raise ValueError("a result is of no image")

    def numbered(self, row: Row, frame: int) -> Row:
        results, line, categories = row.pieces
        image = _decode_image(line[: -len(_END)])
        image.id = frame
        if row.failed and image.file_name == nameless(row.frame):
            image.file_name = nameless(frame)
        results = results.replace(b'{"image_id":%d,' % row.frame, b'{"image_id":%d,' % frame)
        return Row(frame, row.failed, (results, _encode(image) + _END.encode(), categories))


def _elements(file: IO[bytes], begins: bytes) -> Iterator[bytes]:
    """Of a list as `_list` has written it, from its first line on."""
    return iter(()) if begins.startswith(b"[]") else listed(file)


def _result(frame: int, found: Detection, size: Size) -> Result:
    x1, y1, x2, y2 = found.box
    width, height = size
    box = (figure(x1 * width, 2), figure(y1 * height, 2), figure((x2 - x1) * width, 2), figure((y2 - y1) * height, 2))
    return Result(frame, found.label_id, box, figure(found.score, 5))


def _list(file: IO[bytes], pieces: Iterable[bytes]) -> None:
    """A JSON list of pieces that each end in a comma and a line end."""
    before = b""
    file.write(b"[")
    for piece in pieces:
        if piece:
            file.write(before or b"\n")
            file.write(piece[: -len(_END)])
            before = _END.encode()
    file.write(b"\n]" if before else b"]")
