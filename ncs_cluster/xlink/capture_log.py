"""Raw logs of cli/usb/capture.c into items of a transcript. Pure: the caller opens the log files.

Transfers are joined: firmware becomes one item whatever its writes, and XLink frames are parsed from the byte stream of a direction
whatever its transfers. Asynchronous transfers are ordered by their submission, with the bytes they transferred. Memory does not
grow with payloads.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import struct
from collections import deque
from typing import BinaryIO, Deque, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ncs_cluster import usb_ids
from ncs_cluster.errors import NcsClusterError
from ncs_cluster.xlink import frames
from ncs_cluster.xlink.commands import VERIFY_BYTES
from ncs_cluster.xlink.firmware import CALL, START, STORE_MEMORY, STORE_WATCHDOG
from ncs_cluster.xlink.transcript import WHOLE, AnyItem, Boot, Call, Frame, Loose, TranscriptError

MAGIC = b"NCSUSB1\n"
KINDS = (  # noqa: SIM905
    "begin full devices arrived left init exit polled open close set_configuration get_configuration"
    " claim_interface release_interface set_interface_alt_setting detach_kernel_driver attach_kernel_driver"
    " kernel_driver_active set_auto_detach_kernel_driver clear_halt reset_device get_config_descriptor"
    " get_active_config_descriptor get_string_descriptor_ascii control_transfer bulk_transfer interrupt_transfer"
    " submit_transfer completed cancel_transfer"
).split()
"""The kinds of capture.c, in its order."""
ROM = usb_ids.text(usb_ids.MYRIAD_X.boot_rom)


class Record(NamedTuple):
    """One `struct record` of capture.c and its payload."""

    kind: str
    endpoint: int
    handle: int
    rc: int
    asked: int
    actual: int
    thread: int
    began_ns: int
    ended_ns: int
    tag: int
    payload: bytes


_RECORD = struct.Struct("<IBBHiIIIQQQ")


def records(log: BinaryIO) -> Iterator[Record]:
    """Every complete record; the last may be cut off. Raises TranscriptError for a file that is not a log."""
    if log.read(len(MAGIC)) != MAGIC:
        raise TranscriptError("is not a log of usb-capture")
    while len(head := log.read(_RECORD.size)) == _RECORD.size:
        kept, kind, endpoint, handle, rc, asked, actual, thread, began_ns, ended_ns, tag = _RECORD.unpack(head)
        payload = log.read(kept)
        if len(payload) < kept:
            return
        if kind >= len(KINDS):
            raise TranscriptError(f"holds a record of kind {kind}, which this version does not know")
        yield Record(KINDS[kind], endpoint, handle, rc, asked, actual, thread, began_ns, ended_ns, tag, payload)


# -- cutting ----------------------------------------------------------------------------------------------------------


class _Piece(NamedTuple):
    """One transfer with bytes. `data` is shorter than `size` where the log dropped bytes."""

    data: bytes
    size: int
    began_ns: int
    ended_ns: int


class _Digest:
    """A payload in pieces: hashed, and kept up to WHOLE bytes."""

    def __init__(self) -> None:
        self.size = 0
        self._whole = True
        self._kept = bytearray()
        self._sha256 = hashlib.sha256()

    def add(self, data: bytes, size: int) -> None:
        self.size += size
        self._whole = self._whole and len(data) == size
        self._sha256.update(data)
        if len(self._kept) <= WHOLE:
            self._kept += data

    def data(self, most: int) -> Optional[str]:
        return self._kept.hex() if self._whole and self.size <= most else None

    def sha256(self) -> Optional[str]:
        return self._sha256.hexdigest() if self._whole else None


class _Direction:
    """One direction of a link: transfers in, frames out. `names`: stream number -> name, shared by both directions."""

    def __init__(self, handle: int, sent: bool, zero_ns: int, names: Dict[int, str]) -> None:
        self._handle = handle
        self._sent = sent
        self._zero_ns = zero_ns
        self._names = names
        self._head = bytearray()
        self._header: Optional[frames.Header] = None
        self._lost = False
        self._start()

    def _start(self) -> None:
        self._head.clear()
        self._header = None
        self._began_ns: Optional[int] = None
        self._lengths: Tuple[List[int], List[int]] = ([], [])
        self._digest = _Digest()
        self._merged = False

    def feed(self, piece: _Piece) -> Iterator[AnyItem]:
        at = 0
        while at < piece.size and not self._lost:
            if self._began_ns is None:
                self._began_ns = piece.began_ns
            room = frames.HEADER_SIZE - len(self._head) if self._header is None else self._header.size - self._digest.size
            take = min(room, piece.size - at)
            data = piece.data[at : at + take]
            # lengths of transfers: a header and its payload in one transfer show as a header transfer that is too long
            self._lengths[self._header is not None].append(take)
            self._merged = self._merged or take < piece.size
            at += take
            if self._header is None:
                if len(data) < take:
                    yield self._lose(piece, "its header was not kept")
                    return
                self._head += data
                if len(self._head) < frames.HEADER_SIZE:
                    continue
                try:
                    self._header = frames.decode(bytes(self._head))
                except NcsClusterError as error:
                    yield self._lose(piece, str(error))
                    return
            else:
                self._digest.add(data, take)
            if self._digest.size == _payload(self._header):
                yield self._frame(self._header, piece.ended_ns)
                self._start()

    def end(self, now_ns: int) -> Iterator[AnyItem]:
        """An incomplete frame at the end."""
        if self._began_ns is not None and not self._lost:
            yield self._lose(_Piece(b"", 0, self._began_ns, now_ns), "the frame ends in the middle")

    def _frame(self, header: frames.Header, ended_ns: int) -> Frame:
        if self._sent and header.type is frames.FrameType.CREATE_STREAM_REQ:
            self._names[header.stream] = header.name
        # a graph belongs to its owner: only its beginning is kept
        most = VERIFY_BYTES if self._names.get(header.stream, "").startswith("graphBuffer") else WHOLE
        data = self._digest.data(most) if self._digest.size else None
        return Frame(
            *_when(self._began_ns or ended_ns, ended_ns, self._zero_ns),
            self._handle,
            sent=self._sent,
            type=header.type.name,
            id=header.id,
            name=header.name,
            stream=header.stream,
            size=header.size,
            flags=int(header.flags),
            head=self._lengths[0],
            body=self._lengths[1],
            merged=self._merged,
            data=data,
            sha256=self._digest.sha256() if data is None and self._digest.size else None,
        )

    def _lose(self, piece: _Piece, why: str) -> Loose:
        self._lost = True
        size = len(self._head) + self._digest.size
        return Loose(*_when(piece.began_ns, piece.ended_ns, self._zero_ns), self._handle, sent=self._sent, size=size, why=why)


class _Firmware:
    """All bytes written to a boot ROM."""

    def __init__(self, handle: int, zero_ns: int) -> None:
        self._handle = handle
        self._zero_ns = zero_ns
        self._pieces: List[_Piece] = []

    def feed(self, piece: _Piece) -> Iterator[AnyItem]:
        self._pieces.append(piece)
        return iter(())

    def end(self, now_ns: int) -> Iterator[AnyItem]:
        if not self._pieces:
            return
        sizes = [piece.size for piece in self._pieces]
        written = b"".join(piece.data for piece in self._pieces)
        whole = len(written) == sum(sizes)
        plain = unpatched(written) if whole else None
        yield Boot(
            *_when(self._pieces[0].began_ns, self._pieces[-1].ended_ns, self._zero_ns),
            self._handle,
            size=sum(sizes),
            transfers=sizes,
            sha256=hashlib.sha256(written).hexdigest() if whole else None,
            published_sha256=hashlib.sha256(plain[0]).hexdigest() if plain else None,
            watchdog=plain[1] if plain else None,
            memory=plain[2] if plain else None,
        )


def unpatched(written: bytes) -> Optional[Tuple[bytes, int, int]]:
    """The firmware without a host's two insertions, and their values: the watchdog byte and the memory-type byte. None where the
    insertions are not at their places."""
    call, end = written.rfind(CALL) - 6, len(written) - len(START) - 6
    stored = written[call : call + 5] == STORE_MEMORY and written[end : end + 5] == STORE_WATCHDOG
    if not (0 <= call < end and stored and written.endswith(START)):
        return None
    return written[:call] + written[call + 6 : end] + written[end + 6 :], written[end + 5], written[call + 5]


def _payload(header: frames.Header) -> int:
    return header.size if header.type is frames.FrameType.WRITE_REQ else 0


def _when(began_ns: int, ended_ns: int, zero_ns: int) -> Tuple[float, float]:
    return round((began_ns - zero_ns) / 1e9, 6), round((ended_ns - began_ns) / 1e9, 6)


# -- a process --------------------------------------------------------------------------------------------------------


class _Device:
    """An open stick: both directions."""

    def __init__(self, handle: int, product: str, zero_ns: int) -> None:
        self.handle = handle
        self._zero_ns = zero_ns
        names: Dict[int, str] = {}
        self.sent = _Firmware(handle, zero_ns) if product == ROM else _Direction(handle, True, zero_ns, names)
        self.received = _Direction(handle, False, zero_ns, names)
        self.submitted: Deque[Record] = deque()
        self.completed: Dict[int, Record] = {}

    def out(self) -> Iterator[_Piece]:
        """Completed OUT transfers, in the order of their submission."""
        while self.submitted and self.submitted[0].tag in self.completed:
            began = self.submitted.popleft()
            ended = self.completed.pop(began.tag)
            yield _Piece(began.payload[: ended.actual], ended.actual, began.began_ns, ended.ended_ns)

    def end(self, now_ns: int) -> Iterator[AnyItem]:
        yield from self.sent.end(now_ns)
        yield from self.received.end(now_ns)
        held = sum(record.actual for record in self.completed.values())
        if held:
            why = "they were sent after a transfer whose end was not recorded"
            yield Loose(*_when(now_ns, now_ns, self._zero_ns), self.handle, sent=True, size=held, why=why)


class _Process:
    """The log of one process."""

    def __init__(self, zero_ns: int, numbers: Iterator[int]) -> None:
        self._zero_ns = zero_ns
        self._numbers = numbers
        self._devices: Dict[int, _Device] = {}

    def feed(self, record: Record) -> Iterator[AnyItem]:
        if record.kind == "open" and record.handle:
            product = record.payload.decode("ascii", "replace").split(" ")[0]
            self._devices[record.handle] = _Device(next(self._numbers), product, self._zero_ns)
        device = self._devices.get(record.handle)
        if record.kind in ("bulk_transfer", "interrupt_transfer", "submit_transfer", "completed"):
            if device is not None:
                yield from self._transfer(device, record)
            return
        if record.kind == "close" and device is not None:
            yield from device.end(record.began_ns)
            del self._devices[record.handle]
        yield self._call(record, device)

    def end(self, now_ns: int) -> Iterator[AnyItem]:
        for device in self._devices.values():
            yield from device.end(now_ns)

    def _transfer(self, device: _Device, record: Record) -> Iterator[AnyItem]:
        if record.kind == "submit_transfer":
            if not record.endpoint & 0x80:
                device.submitted.append(record)
            return
        if record.rc != 0 or not record.actual:
            yield self._call(record, device)
        if record.endpoint & 0x80:
            if record.actual:
                yield from device.received.feed(_piece(record))
        elif record.kind == "completed":
            device.completed[record.tag] = record
            for piece in device.out():
                if piece.size:
                    yield from device.sent.feed(piece)
        elif record.actual:
            yield from device.sent.feed(_piece(record))

    def _call(self, record: Record, device: Optional[_Device]) -> Call:
        return Call(
            *_when(record.began_ns, record.ended_ns, self._zero_ns),
            device.handle if device else 0,
            name=record.kind,
            rc=record.rc,
            argument=record.endpoint,
            size=record.asked,
            device="" if record.kind == "control_transfer" else record.payload.decode("ascii", "replace").strip(),
        )


def _piece(record: Record) -> _Piece:
    return _Piece(record.payload, record.actual, record.began_ns, record.ended_ns)


def items(logs: Sequence[BinaryIO]) -> List[AnyItem]:
    """Items of these logs, one log per process, in the order in which they ended; firmware when its handle is closed. Raises
    TranscriptError."""
    streams = [records(log) for log in logs]
    first = [list(itertools.islice(stream, 1)) for stream in streams]
    zero_ns = now_ns = min((record.began_ns for one in first for record in one), default=0)
    handles = itertools.count(1)
    processes = [_Process(zero_ns, handles) for _ in streams]
    found: List[AnyItem] = []
    marked = [_marked(index, itertools.chain(one, stream)) for index, (one, stream) in enumerate(zip(first, streams))]
    for _, index, record in heapq.merge(*marked, key=lambda each: each[0]):
        now_ns = max(now_ns, record.ended_ns)
        found += processes[index].feed(record)
    for each in processes:
        found += each.end(now_ns)
    return found


def _marked(index: int, stream: Iterable[Record]) -> Iterator[Tuple[int, int, Record]]:
    for record in stream:
        yield record.ended_ns, index, record
