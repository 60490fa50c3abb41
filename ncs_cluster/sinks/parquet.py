"""A job's results as a Parquet table: one row per detection, class or feature vector. Needs pyarrow. Runs on CPython 3.9.

Columns are those of csv; a job of features has the column `features` besides: lists of one length, null where the frame failed. A
frame without detections has one row, as has one that failed. The file is made when the job is done.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Iterable, Iterator, List, Optional, Tuple

import msgspec
from msgspec import Struct

from ncs_cluster.errors import ConfigError
from ncs_cluster.jobs import layout
from ncs_cluster.plugins import reason
from ncs_cluster.sinks._final import aside, check_file, written_by_library
from ncs_cluster.sinks._merge import Row, Shard
from ncs_cluster.sinks._parted import Parted
from ncs_cluster.sinks._text import plain
from ncs_cluster.sinks._vectors import Vectors
from ncs_cluster.sinks.base import Opened
from ncs_cluster.types import Outcome, Record

COMPRESSIONS = ("zstd", "snappy", "gzip", "none")
_GROUP_ROWS, _GROUP_BYTES = 16_384, 16 << 20
_BATCH_ROWS = 1024
"""Rows read at once."""


@dataclass(frozen=True)
class Options:
    """The table, how it is divided and compressed."""

    __pydantic_config__ = {"extra": "forbid"}

    path: str
    """The final file."""
    shard_size: int = 0
    """Frames per file; 0: one file."""
    compression: str = "zstd"
    """zstd, snappy, gzip or none."""

    def __post_init__(self) -> None:
        check_file(self.path, self.shard_size)
        if self.compression not in COMPRESSIONS:
            raise ValueError(f"compression must be one of {', '.join(COMPRESSIONS)}")


class Object(Struct, array_like=True):
    """A detection or class: `box` and `distance_m` are None for a class."""

    rank: Optional[int] = None
    label: Optional[str] = None
    label_id: Optional[int] = None
    score: Optional[float] = None
    box: Tuple[Optional[float], Optional[float], Optional[float], Optional[float]] = (None, None, None, None)
    distance_m: Optional[float] = None


class Frame(Struct, array_like=True):
    frame: int
    item: Optional[str]
    item_frame: Optional[int]
    width: Optional[int]
    height: Optional[int]
    error: Optional[str]
    objects: List[Object]


_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(Frame).decode


class Parquet(Parted):
    """See base.Finishing."""

    columns = ("frames", "vectors", "length")
    memory = "length"

    def __init__(self, options: Options) -> None:
        super().__init__(options.path, options.shard_size)
        self._compression = options.compression
        self.forget()

    def open(self, first: int, token: Optional[bytes]) -> Opened:
        """Raises OSError, ConfigError without pyarrow."""
        _pyarrow()
        return super().open(first, token)

    def forget(self) -> None:
        self._vectors = Vectors("float32")

    def recall(self, text: bytes) -> None:
        self._vectors.recall(text)

    def row(self, record: Record) -> Tuple[bool, Tuple[bytes, ...]]:
        error, values, length = record.outcome.error, b"", b""
        if record.outcome.features:
            vector = self._vectors.of(record.outcome)
            error, values, length = vector.error, vector.values, self._vectors.new(vector)
        width, height = record.size or (None, None)
        item = None if record.item is None else plain(record.item)
        shown = None if error is None else plain(error)
        frame = Frame(record.frame, item, record.item_frame, width, height, shown, _objects(record.outcome))
        return error is not None, (_encode(frame), values, length)

    def build(self, shard: Shard) -> None:
        _, pq = _pyarrow()
        schema = self._schema()
        per_group = max(1, min(_GROUP_ROWS, _GROUP_BYTES // max(1, 4 * self._vectors.length)))
        final, compression = self.files(shard.number)[-1], self._compression
        with aside(final) as draft, written_by_library(), pq.ParquetWriter(draft, schema, compression=compression) as writer:
            group: List[Tuple[Any, ...]] = []
            for row in shard.rows():
                group += self._rows(row)
                if len(group) >= per_group:
                    writer.write_table(self._table(schema, group))
                    group = []
            if group:
                writer.write_table(self._table(schema, group))

    def rows(self, shard: Optional[int], frames: Iterable[layout.Frame]) -> Iterator[Row]:
        _, pq = _pyarrow()
        with pq.ParquetFile(self.files(shard)[-1]) as file:
            told = b""
            for _, of_frame in itertools.groupby(_lines(file), lambda each: each[0]):
                lines = list(of_frame)
                frame, item, item_frame, width, height = lines[0][:5]
                *_, error, vector = lines[0]
                objects = [
                    Object(each[5], each[6], each[7], each[8], each[9:13], each[13]) for each in lines if each[5] is not None
                ]
                length = b"%d\n" % (len(vector) // 4) if vector and not told else b""
                told = told or length
                row = Frame(frame, item, item_frame, width, height, error, objects)
                yield Row(frame, error is not None, (_encode(row), vector or b"", length))

    def numbered(self, row: Row, frame: int) -> Row:
        told = _decode(row.pieces[0])
        told.frame = frame
        return Row(frame, row.failed, (_encode(told), *row.pieces[1:]))

    def _rows(self, row: Row) -> List[Tuple[Any, ...]]:
        frame = _decode(row.pieces[0])
        head = (frame.frame, frame.item, frame.item_frame, frame.width, frame.height)
        vector = row.pieces[1] or None
        return [
            (*head, each.rank, each.label, each.label_id, each.score, *each.box, each.distance_m, frame.error, vector)
            for each in frame.objects or [Object()]
        ]

    def _schema(self) -> Any:
        pa, _ = _pyarrow()
        fields = [("frame", pa.int64()), ("item", pa.string()), ("item_frame", pa.int64()), ("width", pa.int32())]
        fields += [("height", pa.int32()), ("rank", pa.int32()), ("label", pa.string()), ("label_id", pa.int64())]
        fields += [(name, pa.float32()) for name in ("score", "x1", "y1", "x2", "y2", "distance_m")]
        fields += [("error", pa.string())]
        if self._vectors.length:
            # lists of a fixed length cannot be read with nulls before pyarrow 26
            fields += [("features", pa.list_(pa.float32()))]
        return pa.schema(fields)

    def _table(self, schema: Any, rows: List[Tuple[Any, ...]]) -> Any:
        pa, _ = _pyarrow()
        columns = list(zip(*rows))
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema) if field.name != "features"]
        if self._vectors.length:
            values = b"".join([each for each in columns[-1] if each is not None])
            floats = pa.Array.from_buffers(pa.float32(), len(values) // 4, [None, pa.py_buffer(values)])
            begins: List[Optional[int]] = []
            begin = 0
            for each in columns[-1]:
                # a list without a beginning is null
                begins.append(None if each is None else begin)
                begin += 0 if each is None else self._vectors.length
            arrays.append(pa.ListArray.from_arrays(pa.array([*begins, begin], pa.int32()), floats))
        return pa.table(arrays, schema=schema)


def _lines(file: Any) -> Iterator[Tuple[Any, ...]]:
    """The rows of a table, as `Parquet._rows` has made them."""
    for batch in file.iter_batches(_BATCH_ROWS):
        names = batch.schema.names
        columns = [batch.column(name).to_pylist() for name in names if name != "features"]
        columns.append(_vectors_of(batch.column("features")) if "features" in names else [None] * len(batch))
        yield from zip(*columns)


def _vectors_of(column: Any) -> List[Optional[bytes]]:
    values, ends = memoryview(column.values.to_numpy()).cast("B"), column.offsets.to_pylist()
    return [
        None if not valid else bytes(values[4 * begin : 4 * end])
        for valid, begin, end in zip(column.is_valid().to_pylist(), ends, ends[1:])
    ]


def _objects(outcome: Outcome) -> List[Object]:
    found = [
        Object(rank, plain(each.label), each.label_id, each.score, each.box, each.distance_m)
        for rank, each in enumerate(outcome.detections, 1)
    ]
    return found + [Object(rank, plain(each.label), each.label_id, each.score) for rank, each in enumerate(outcome.classes, 1)]


def _pyarrow() -> Tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(f"format parquet needs pyarrow ({reason(error)}): pip install 'ncs-cluster[parquet]'") from error
    return pyarrow, pyarrow.parquet
