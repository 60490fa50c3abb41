"""The emulated bus as a process: clients' calls in, answers out, one thread that never waits for a client.

Commands come as Op.CONTROL over the same socket, in JSON: {"do": "add", "port": "1-1.2", ...profile}, pull, plug, fault ("kind"
and its options), state, clients, reset (removes all sticks). The answer is {"ok": result} or {"error": text}.
Run it by `python -m ncs_cluster.emulator --socket PATH`, or from Python by `emulator.Emulator`.
"""

from __future__ import annotations

import errno
import importlib
import json
import mmap
import os
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from ncs_cluster.emulator import wire
from ncs_cluster.emulator.bus import Bus
from ncs_cluster.emulator.loopback import Chip
from ncs_cluster.emulator.port import Device
from ncs_cluster.emulator.sysfs import Sysfs
from ncs_cluster.emulator.wire import HEAD, Op

BACKLOG_MAX = 256 << 20
"""Unread bytes after which a client is disconnected."""
STICK = "ncs_cluster.emulator.stick:Stick"
LONGEST_S = 3600.0
"""Longest wait in seconds: epoll takes at most some weeks."""
STALL_S = 0.1
"""Seconds after which a turn of the loop counts as a stall; one takes milliseconds."""
TRACE_BYTES = 96
"""Bytes of each transfer in the trace: a frame's header and some of its payload."""


class Client:
    """A connected libusb context: received bytes, and bytes not sent yet."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self.connection = connection
        self.pid = 0
        self.buffer = bytearray(2 << 20)
        self.view = memoryview(self.buffer)
        self.start = self.end = 0
        self.unsent: deque[memoryview] = deque()
        self.unsent_size = 0

    def receive(self) -> bool:
        """False when the client has disconnected."""
        if self.end == len(self.buffer) or (self.start and self.start == self.end):
            rest = self.end - self.start
            self.view[:rest] = self.view[self.start : self.end]
            self.start, self.end = 0, rest
        try:
            got = self.connection.recv_into(self.view[self.end :])
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.end += got
        return got > 0

    def room_for(self, size: int) -> None:
        """Enlarge the buffer for a message of this size."""
        if size > len(self.buffer):
            held = bytes(self.view[self.start : self.end])
            self.buffer = bytearray(size)
            self.view = memoryview(self.buffer)
            self.view[: len(held)] = held
            self.start, self.end = 0, len(held)

    def send(self, parts: list[bytes]) -> None:
        """Raises OSError when the client has disconnected or never reads."""
        if not self.unsent:
            total = sum(map(len, parts))
            try:
                sent = self.connection.sendmsg(parts)
            except BlockingIOError:
                sent = 0
            if sent == total:
                return
            for part in parts:
                if sent < len(part):
                    self.unsent.append(memoryview(part)[sent:])
                sent = max(0, sent - len(part))
        else:
            self.unsent.extend(map(memoryview, parts))
        self.unsent_size = sum(map(len, self.unsent))
        if self.unsent_size > BACKLOG_MAX:
            raise OSError("the client does not read")

    def flush(self) -> None:
        while self.unsent:
            try:
                sent = self.connection.send(self.unsent[0])
            except BlockingIOError:
                break
            self.unsent[0] = self.unsent[0][sent:]
            if not self.unsent[0]:
                self.unsent.popleft()


class Server:
    def __init__(
        self, path: Path, chip: str = STICK, time_scale: float = 1.0, sysfs: Path | None = None, trace: Path | None = None
    ) -> None:
        """Raises OSError when the socket or the files cannot be made, ValueError for a chip or a time scale that is none."""
        if not 1e-3 <= time_scale <= 1e4:
            raise ValueError(f"a time scale of {time_scale}: 0.001 to 10000")
        self._path, self._page_path = path, path.with_name(path.name + ".page")
        self._scale, self._start_s = time_scale, time.monotonic()
        self.bus = Bus(_chip(chip), time_scale, self._note)
        self._sysfs = Sysfs(sysfs) if sysfs else None
        self._trace = trace.open("w") if trace else None
        self._clients: dict[int, Client] = {}
        self._selector = selectors.DefaultSelector()
        self._listener = _listen(path)
        self._page = self._share_page()
        self._listener.listen(64)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def _share_page(self) -> memoryview:
        # clients of a killed emulator may still map its page, which must not shrink
        self._page_path.unlink(missing_ok=True)
        fd = os.open(self._page_path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        os.ftruncate(fd, mmap.PAGESIZE)
        page = memoryview(mmap.mmap(fd, mmap.PAGESIZE)).cast("Q")
        os.close(fd)
        return page

    def now_s(self) -> float:
        return (time.monotonic() - self._start_s) * self._scale

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for client in list(self._clients.values()):
            client.connection.close()
        self._listener.close()
        self._path.unlink(missing_ok=True)
        self._page_path.unlink(missing_ok=True)
        if self._trace is not None:
            self._trace.close()

    def serve(self, ends_with: TextIO | None = None) -> None:
        """Serve until the end of file of `ends_with`, if given."""
        if ends_with is not None:
            self._selector.register(ends_with, selectors.EVENT_READ)
        while True:
            due_s = self.bus.due_s
            wait_s = None if due_s is None else min(LONGEST_S, max(0.0, (due_s - self.now_s()) / self._scale))
            began_s = time.monotonic()
            ready = self._selector.select(wait_s)
            woken_s = time.monotonic()
            for key, events in ready:
                if key.fileobj is ends_with:
                    if not os.read(key.fd, 4096):
                        return
                elif key.fileobj is self._listener:
                    self._accept()
                else:
                    client = key.data
                    if events & selectors.EVENT_WRITE:
                        self._flush(client)
                    if events & selectors.EVENT_READ:
                        self._hear(client)
            late_s = 0.0 if wait_s is None else max(0.0, woken_s - began_s - wait_s)
            ticks_s = time.monotonic()
            self._stood_still(late_s + ticks_s - woken_s)
            self.bus.tick(self.now_s())
            self._answer()
            self._stood_still(time.monotonic() - ticks_s)

    def _stood_still(self, for_s: float) -> None:
        """The emulator's time stands still with its process: what a host has said meanwhile is heard before a watchdog expires."""
        if for_s > STALL_S:
            self._start_s += for_s

    # clients

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        client = Client(connection)
        self._clients[connection.fileno()] = client
        self._selector.register(connection, selectors.EVENT_READ, client)

    def _drop(self, client: Client) -> None:
        if self._clients.pop(client.connection.fileno(), None) is not None:
            self._selector.unregister(client.connection)
            client.connection.close()
            self.bus.gone(client, self.now_s())

    def _flush(self, client: Client) -> None:
        try:
            client.flush()
        except OSError:
            self._drop(client)
            return
        if not client.unsent and client.connection.fileno() >= 0:
            self._selector.modify(client.connection, selectors.EVENT_READ, client)

    def _hear(self, client: Client) -> None:
        if not client.receive():
            self._drop(client)
            return
        now_s = self.now_s()
        while client.end - client.start >= HEAD.size:
            size, id, op, endpoint, target, a, b = HEAD.unpack_from(client.buffer, client.start)
            if size > wire.DATA_MAX:
                self._note(f"client {client.pid}: {size} bytes in one message")
                self._drop(client)
                return
            if client.end - client.start < HEAD.size + size:
                client.room_for(HEAD.size + size)
                break
            at = client.start + HEAD.size
            data = bytes(client.view[at : at + size])
            client.start = at + size
            if op == Op.SUBMIT:
                self.bus.submit(client, id, endpoint, target, a, b, data, now_s)
            elif op == Op.CONTROL:
                self.bus.answers.append((client, id, op, 0, 0, self._control(data, now_s)))
            elif op == Op.HELLO:
                client.pid = b
                self.bus.answers.append((client, id, op, 0 if a == wire.VERSION else int(wire.Error.NOT_SUPPORTED), 0, b""))
            else:
                self.bus.call(client, id, op, endpoint, target, a, b, data, now_s)
            if self._trace is not None:
                self._record("call", client, (id, op, endpoint, target, a, b), data)
        self._answer()

    def _answer(self) -> None:
        """Send changes of the bus to all clients before the answers that follow from them."""
        bus = self.bus
        if bus.changes:
            changes, bus.changes = bus.changes, []
            for device, came in changes:
                if self._sysfs is not None:
                    (self._sysfs.came if came else self._sysfs.left)(device)
                what = device.descriptors
                self._note(
                    f"{device.name} {'came' if came else 'left'}: {what.vendor:04x}:{what.product:04x}, address {device.address}"
                )
            self._page[0] += 1
            for client in list(self._clients.values()):
                self._send(client, [HEAD.pack(0, 0, Op.CHANGED, 0, 0, 0, 0)])
        self._page[1] = bus.asked
        if not bus.answers:
            return
        answers, bus.answers = bus.answers, []
        out: dict[Client, list[bytes]] = {}
        for client, id, op, a, b, data in answers:
            if op == Op.LIST and a == 0:
                data = b"".join(map(_record, data))
            parts = out.setdefault(client, [])
            parts.append(HEAD.pack(len(data), id, op, 0, 0, a, b))
            if data:
                parts.append(data)
            if self._trace is not None:
                self._record("answer", client, (id, op, 0, 0, a, b), data)
        for client, parts in out.items():
            for at in range(0, len(parts), 512):  # sendmsg takes at most 1024 buffers
                self._send(client, parts[at : at + 512])

    def _send(self, client: Client, parts: list[bytes]) -> None:
        if client.connection.fileno() < 0:
            return
        try:
            client.send(parts)
        except OSError:
            self._drop(client)
            return
        if client.unsent:
            self._selector.modify(client.connection, selectors.EVENT_READ | selectors.EVENT_WRITE, client)

    # commands

    def _control(self, data: bytes, now_s: float) -> bytes:
        try:
            command = json.loads(data)
            return json.dumps({"ok": self._do(command.pop("do"), command, now_s)}).encode()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            return json.dumps({"error": f"{type(error).__name__}: {error}"[:500]}).encode()

    def _do(self, what: str, command: dict[str, Any], now_s: float) -> Any:
        bus, name = self.bus, command.pop("port", None)
        if what == "state":
            return bus.port(name).tell() if name is not None else {port.name: port.tell() for port in bus.ports.values()}
        if what == "clients":
            return [client.pid for client in self._clients.values()]
        if what == "add":
            bus.add(name, command, now_s)
        elif what == "plug":
            bus.plug(name, now_s)
        elif what == "pull":
            bus.pull(name, now_s, **command)
        elif what == "fault":
            bus.fault(name, command.pop("kind"), command, now_s)
        elif what == "reset":
            bus.clear(now_s)
        else:
            raise ValueError(f"no command {what!r}")
        return None

    # log and trace

    def _note(self, line: str) -> None:
        print(f"{self.now_s():9.3f} {line}", file=sys.stderr, flush=True)

    def _record(self, kind: str, client: Client, head: tuple[int, ...], data: bytes) -> None:
        assert self._trace is not None
        id, op, endpoint, target, a, b = head
        call = wire.CALLS[Op(op)] if op in wire.CALLS else str(op)
        line = {"at_s": round(self.now_s(), 6), "what": kind, "pid": client.pid, "id": id, "call": call, "endpoint": endpoint}
        line |= {"target": target, "a": a, "b": b, "size": len(data), "data": data[:TRACE_BYTES].hex()}
        self._trace.write(json.dumps(line) + "\n")
        self._trace.flush()


def _chip(path: str) -> Callable[..., Chip]:
    """MODULE:CLASS. Raises ValueError."""
    module, _, name = path.partition(":")
    try:
        chip: Callable[..., Chip] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"chip {path!r} cannot be imported as MODULE:CLASS: {error}") from error
    return chip


def _listen(path: Path) -> socket.socket:
    """Listen on the socket. Raises OSError when another emulator does."""
    with socket.socket(socket.AF_UNIX) as other:
        if path.exists() and other.connect_ex(str(path)) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, "another emulator serves this socket", str(path))
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    return listener


def _record(device: Device) -> bytes:
    what = device.descriptors
    ports = bytes(device.chain).ljust(8, b"\0")
    where = (device.id, device.bus, device.address, what.speed, len(device.chain), ports)
    return wire.RECORD.pack(*where, what.device, len(what.config)) + what.config
