"""Feature vectors of a job as HDF5: `feats` [n, d], `names`, `frames`. Needs h5py. Runs on CPython 3.9.

Failed frames have no row and stand in the group `failures`. The file is made when the job is done: a file that HDF5 is writing does
not survive a kill.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

import msgspec

from ncs_cluster.errors import ConfigError
from ncs_cluster.jobs.layout import Frame
from ncs_cluster.plugins import reason
from ncs_cluster.sinks._final import aside, check_file, written_by_library
from ncs_cluster.sinks._merge import Row, Shard
from ncs_cluster.sinks._parted import Parted
from ncs_cluster.sinks._rows import by_frame
from ncs_cluster.sinks._shielded import Shielded
from ncs_cluster.sinks._vectors import (
    Failure,
    Name,
    Vectors,
    check_dtype,
    decode_failure,
    failure,
    failures_in,
    line,
    name,
    numbered,
)
from ncs_cluster.sinks.base import Opened
from ncs_cluster.types import Record

_BLOCK_ROWS = 4096
_CHUNK_BYTES = 1 << 18
_MOST_ATTRIBUTE_BYTES = 60_000
"""An attribute must fit into the head of its object, 64 KiB."""


@dataclass(frozen=True)
class Options:
    """The file, how it is divided, and what it tells of itself."""

    __pydantic_config__ = {"extra": "forbid"}

    path: str
    """The final file."""
    shard_size: int = 0
    """Frames per file; 0: one file."""
    dtype: str = "float32"
    """float32, or float16 for half the size."""
    attributes: Dict[str, str] = field(default_factory=dict)
    """Attributes of the file, such as model, layer, hash of the list."""

    def __post_init__(self) -> None:
        check_file(self.path, self.shard_size)
        check_dtype(self.dtype)
        for key, value in self.attributes.items():
            if not key or "\0" in key + value or "/" in key:
                raise ValueError(f"attributes: {key!r} must be a name without / and a text without zero bytes")
        if sum(len(key.encode() + value.encode()) for key, value in self.attributes.items()) > _MOST_ATTRIBUTE_BYTES:
            raise ValueError(f"attributes may have {_MOST_ATTRIBUTE_BYTES} bytes altogether")


class Hdf5(Parted):
    """See base.Finishing."""

    columns = ("vectors", "names", "failures", "length")
    memory = "length"

    def __init__(self, options: Options) -> None:
        super().__init__(options.path, options.shard_size)
        self._attributes = options.attributes
        self._dtype = options.dtype
        self.forget()

    def open(self, first: int, token: Optional[bytes]) -> Opened:
        """Raises OSError, ConfigError without h5py."""
        _h5py()
        return super().open(first, token)

    def forget(self) -> None:
        self._vectors = Vectors(self._dtype)

    def recall(self, text: bytes) -> None:
        self._vectors.recall(text)

    def row(self, record: Record) -> Tuple[bool, Tuple[bytes, ...]]:
        vector = self._vectors.of(record.outcome)
        if vector.error is not None:
            return True, (b"", b"", line(failure(record, vector.error)), b"")
        return False, (vector.values, line(name(record)), b"", self._vectors.new(vector))

    def build(self, shard: Shard) -> None:
        h5py = _h5py()
        with aside(self.files(shard.number)[-1]) as draft, closing(Shielded(draft)) as raw:
            with written_by_library(), h5py.File(raw, "w") as file:
                for key, value in sorted(self._attributes.items()):
                    file.attrs[key] = value
                self._fill(h5py, file, shard, raw.check)
            raw.check()

    def _fill(self, h5py: Any, file: Any, shard: Shard, check: Callable[[], None]) -> None:
        """`check` raises the first error of a write, at which the file must be closed soon."""
        import numpy as np

        vectors = self._vectors
        text = h5py.string_dtype("utf-8")
        per_chunk = max(1, _CHUNK_BYTES // max(1, vectors.length * vectors.value_bytes))
        number = np.dtype("<i8")
        feats = _Growing(file, "feats", np.dtype(vectors.dtype), per_chunk, vectors.length)
        names, frames, item_frames = [
            _Growing(file, called, dtype) for called, dtype in (("names", text), ("frames", number), ("item_frames", number))
        ]
        failures = file.create_group("failures")
        failed, lost, errors = [
            _Growing(failures, called, dtype) for called, dtype in (("frames", number), ("names", text), ("errors", text))
        ]
        decode = msgspec.json.Decoder(Name).decode
        for row in shard.rows():
            check()
            if row.failed:
                told = decode_failure(row.pieces[2])
                failed.add(told.frame)
                lost.add(_shown(told.item))
                errors.add(_shown(told.error))
            else:
                of = decode(row.pieces[1])
                feats.add(row.pieces[0])
                names.add(_shown(of.item))
                frames.add(of.frame)
                item_frames.add(-1 if of.item_frame is None else of.item_frame)
        for each in (feats, names, frames, item_frames, failed, lost, errors):
            each.flush()

    def rows(self, shard: Optional[int], frames: Iterable[Frame]) -> Iterator[Row]:
        h5py = _h5py()
        with written_by_library(), h5py.File(self.files(shard)[-1], "r") as file:
            failures = file["failures"]
            told = _blocks(failures["frames"], failures["names"].asstr(), failures["errors"].asstr())
            lines = (line(Failure(int(frame), item, None, error)) for frame, item, error in told)
            yield from by_frame(self._named(file), failures_in(lines))

    def numbered(self, row: Row, frame: int) -> Row:
        return numbered(row, frame)

    def _named(self, file: Any) -> Iterator[Row]:
        told = b"%d\n" % file["feats"].shape[1]
        for values, item, frame, item_frame in _blocks(file["feats"], file["names"].asstr(), file["frames"], file["item_frames"]):
            name = Name(int(frame), item, None if item_frame < 0 else int(item_frame))
            yield Row(name.frame, False, (values.tobytes(), line(name), b"", told))
            told = b""


def _blocks(*columns: Any) -> Iterator[Tuple[Any, ...]]:
    """The rows of datasets of one length. Raises ValueError where their lengths differ."""
    count = len(columns[0])
    if any(len(column) != count for column in columns):
        raise ValueError("its datasets have different lengths")
    for begin in range(0, count, _BLOCK_ROWS):
        yield from zip(*[column[begin : begin + _BLOCK_ROWS] for column in columns])


class _Growing:
    """A dataset to which rows are added, block by block."""

    def __init__(
        self, group: Any, called: str, dtype: Any, rows_per_chunk: int = _BLOCK_ROWS, length: Optional[int] = None
    ) -> None:
        """`length`: of a row that is given as bytes; None where a row is one value."""
        self._dtype, self._length = dtype, length
        shape: Tuple[int, ...] = (0,) if length is None else (0, length)
        # a job without vectors has a length of 0, for which HDF5 has no chunks
        most = (None, *[size or None for size in shape[1:]])
        chunks = (rows_per_chunk, *[size or 1 for size in shape[1:]])
        self._data = group.create_dataset(called, shape, dtype, maxshape=most, chunks=chunks)
        self._most_rows = _BLOCK_ROWS if length is None else min(_BLOCK_ROWS, 16 * rows_per_chunk)
        self._rows: List[Any] = []
        self._done = 0

    def add(self, row: Any) -> None:
        self._rows.append(row)
        if len(self._rows) >= self._most_rows:
            self.flush()

    def flush(self) -> None:
        import numpy as np

        if not self._rows:
            return
        begin, self._done = self._done, self._done + len(self._rows)
        self._data.resize(self._done, axis=0)
        if self._length is None:
            self._data[begin:] = self._rows
        else:
            self._data[begin:] = np.frombuffer(b"".join(self._rows), self._dtype).reshape(-1, self._length)
        self._rows = []


def _shown(text: Optional[str]) -> str:
    """HDF5 ends a text of variable length at a zero byte."""
    return (text or "").replace("\0", "\\x00")


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(f"format hdf5 needs h5py ({reason(error)}): pip install 'ncs-cluster[hdf5]'") from error
    return h5py
