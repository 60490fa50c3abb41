"""Compares two transcripts: both in a normal form, lane by lane, with the differences that were ignored. Pure.

A link is split into exchanges (a request and its reply, matched by the event id) and these into lanes. Order counts within a lane:
requests of the host, payloads of the stick on each stream, credit on each stream, calls of libusb. Order between lanes does not
count, because a host races with itself: two threads of the vendor's plugin send the first watchdog ping and the credit for the
capabilities in either order. RULES names every ignored difference, with its reason.
"""

from __future__ import annotations

import difflib
from collections import Counter, deque
from typing import Deque, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ncs_cluster import usb_ids
from ncs_cluster.xlink import words
from ncs_cluster.xlink.commands import (
    DEVICE_MONITOR,
    THERMAL,
    Device,
)
from ncs_cluster.xlink.frames import Flags
from ncs_cluster.xlink.transcript import AnyItem, Boot, Call, Frame, Loose, Transcript

RULES = {
    "times": "times and durations depend on the machine and the stick",
    "ports": "bus, port and speed depend on where a stick is plugged in",
    "event ids": "the number that matches a reply to its request; used for matching only",
    "names": "a name counts where a stream or a FIFO is created; elsewhere, and after its NUL, it is uninitialised memory",
    "fields of replies": "only type, id and flags of a reply are read; the vendor leaves stale values in stream and size",
    "uninitialised fields": "fields of a command that the stick does not read; the vendor sends uninitialised memory",
    "lanes": "the order between two directions, and between requests and the credit returned by another thread",
    "cadence": "when and how often the watchdog is fed and the temperature is requested",
    "temperatures": "the 26 floats of a reading are state of the stick",
    "payloads not kept": "a log that grew too long has only their lengths, so their contents are not compared",
    "chunk sizes": "the number of transfers of firmware or a payload; header and payload must still be separate transfers",
    "empty transfers": "a transfer of 0 bytes ends another one; the bytes are equal",
    "leaving": "results of calls while a stick leaves: last write of firmware, reply to RESET, pending read, release",
    "polling": "how a host finds sticks: listing devices repeatedly, or hot-plug events",
    "descriptors": "reading descriptors, strings and the present configuration changes nothing",
    "kernel drivers": "the kernel has no driver for a stick: asking for it or detaching it changes nothing",
    "library": "when libusb is loaded, initialised and exited",
}

_IGNORED = {
    "begin": "library",
    "init": "library",
    "exit": "library",
    "devices": "polling",
    "polled": "polling",
    "arrived": "polling",
    "left": "polling",
    "get_config_descriptor": "descriptors",
    "get_active_config_descriptor": "descriptors",
    "get_string_descriptor_ascii": "descriptors",
    "get_configuration": "descriptors",
    "kernel_driver_active": "kernel drivers",
    "detach_kernel_driver": "kernel drivers",
    "set_auto_detach_kernel_driver": "kernel drivers",
    "cancel_transfer": "leaving",
}
_ONCE = (Device.THERMAL.name, Device.PING.name)


LOOKED_AT, SHOWN = 1000, 40
"""Lines of a lane after the first difference: compared, and reported."""


class Difference(NamedTuple):
    """`lines` as in a unified diff: " " both, "-" only the first, "+" only the second."""

    lane: str
    lines: List[str]


class Report(NamedTuple):
    """`set_aside`: differences ignored in both, by rule; `cuts`: how each splits the same bytes into transfers."""

    differences: List[Difference]
    set_aside: Dict[str, int]
    cuts: List[str]


class Normal:
    """The normal form of one transcript."""

    def __init__(self, transcript: Transcript) -> None:
        self.lanes: Dict[str, List[str]] = {}
        self.cuts: Dict[str, str] = {}
        self.aside: Counter[str] = Counter({"times": len(transcript.items)})
        boots = links = 0
        handles: Dict[int, List[AnyItem]] = {}
        for item in transcript.items:
            handles.setdefault(item.handle, []).append(item)
        for handle, items in sorted(handles.items()):
            if handle == 0:
                where = "no open stick"
            elif any(isinstance(item, Boot) for item in items) or _product(items) == usb_ids.text(usb_ids.MYRIAD_X.boot_rom):
                boots += 1
                where = f"boot {boots}"
            else:
                links += 1
                where = f"link {links}"
            self._handle(where, items)

    def _say(self, where: str, lane: str, line: str) -> None:
        self.lanes.setdefault(f"{where}, {lane}", []).append(line)

    def _handle(self, where: str, items: Sequence[AnyItem]) -> None:
        frames = [item for item in items if isinstance(item, Frame)]
        last = max((item.t + item.took for item in items if isinstance(item, (Frame, Boot))), default=float("inf"))
        for item in items:
            if isinstance(item, Call):
                self._call(where, item, item.t + item.took >= last)
            elif isinstance(item, Boot):
                self.aside["chunk sizes"] += 1
                self.aside["payloads not kept"] += item.sha256 is None
                self.cuts[f"{where}, firmware"] = words.lengths(item.transfers)
                self._say(where, "firmware", f"{item.size} bytes, {item.sha256 or 'not kept'}")
            elif isinstance(item, Loose):
                self._say(where, "bytes that are no frame", f"{words.way(item.sent)}: {item.size} bytes: {item.why}")
        if frames:
            self._link(where, frames)

    def _call(self, where: str, call: Call, at_end: bool) -> None:
        transfer = call.name in ("bulk_transfer", "completed")
        if call.name in _IGNORED:
            rule: Optional[str] = _IGNORED[call.name]
        elif transfer and call.rc == 0:
            rule = "empty transfers"
        elif transfer and at_end:
            rule = "leaving"
        else:
            rule = None
        if rule:
            self.aside[rule] += 1
            return
        self.aside["ports"] += bool(call.device)
        product = call.device.split(" ")[0]
        result = "" if at_end and call.name == "release_interface" else f" = {call.rc}"
        self.aside["leaving"] += not result
        self._say(where, "calls", f"{call.name}({product or call.argument}){result}")

    def _link(self, where: str, frames: Sequence[Frame]) -> None:
        self.aside["lanes"] += 1
        self.aside["event ids"] += len(frames)
        streams = {frame.stream: frame.name for frame in frames if frame.sent and frame.type == "CREATE_STREAM_REQ"}
        for request, reply in _exchanges(frames):
            if request.type.endswith("_RESP"):
                self._say(where, "replies to nothing", f"{words.way(request.sent)}: {request.type}")
                continue
            self.aside["fields of replies"] += reply is not None
            self.aside["chunk sizes"] += len(request.body) > 1
            self.aside["payloads not kept"] += bool(request.body) and request.data is None and request.sha256 is None
            self.cuts.setdefault(f"{where}, {words.way(request.sent)}, {request.size} bytes", words.lengths(request.body))
            answer = "no reply" if reply is None else words.flags(reply.flags) + words.shape(reply)
            if request.type == "RESET_REQ" and reply is None:
                self.aside["leaving"] += 1
                answer = words.flags(Flags.ACK)
            name = streams.get(request.stream, f"stream {request.stream}")
            asked = "" if request.flags == Flags.ACK else f" with flags {request.flags:#x}"
            self._exchange(where, request, name, f"{asked}{words.shape(request)} -> {answer}")

    def _exchange(self, where: str, request: Frame, name: str, ending: str) -> None:
        kind = request.type.replace("_REQ", "")
        if kind == "CREATE_STREAM":
            # the stick numbers its own end itself
            number = f" as {request.stream}" if request.sent else ""
            line = f"{kind} {request.name}{number}, {request.size} bytes"
            self._say(where, "host" if request.sent else f"stick opens {request.name}", line + ending)
            return
        self.aside["names"] += 1
        if kind == "READ_REL":
            self._credit(where, request, name, ending)
        elif kind == "WRITE":
            self._write(where, request, name, ending)
        else:
            target = f" {name}" if kind == "CLOSE_STREAM" else f" of stream {request.stream}" if request.stream else ""
            target += f", {request.size} bytes" if request.size else ""
            self._say(where, "host" if request.sent else "stick", f"{kind}{target}{ending}")

    def _credit(self, where: str, request: Frame, name: str, ending: str) -> None:
        lane, line = f"{words.way(request.sent)} returns credit on {name}", f"{request.size} bytes{ending}"
        if name == DEVICE_MONITOR and (request.size == THERMAL.size or not request.sent):
            self.aside["cadence"] += 1
            self._once(where, f"{lane}, whenever it is due", line)
        else:
            self._say(where, lane, line)

    def _write(self, where: str, request: Frame, name: str, ending: str) -> None:
        if not request.sent:
            if name == DEVICE_MONITOR and request.size == THERMAL.size:
                self.aside["temperatures"] += 1
                self._once(where, "temperatures", f"a reading of {request.size} bytes{ending}")
            else:
                self._say(where, f"stick on {name}", words.payload(request) + ending)
            return
        said, unread = words.written(name, request)
        if request.data is not None and len(request.data) != 2 * request.size:
            said += f", announced as {request.size} bytes"
        self.aside["uninitialised fields"] += unread
        if name == DEVICE_MONITOR and said in _ONCE:
            self.aside["cadence"] += 1
            self._once(where, said, said + ending)
        else:
            self._say(where, "host", f"WRITE {name}: {said}{ending}")

    def _once(self, where: str, lane: str, line: str) -> None:
        lines = self.lanes.setdefault(f"{where}, {lane}", [])
        # the end of the recording may cut off the last one
        if line not in lines and not line.endswith("no reply"):
            lines.append(line)


def compare(first: Transcript, second: Transcript) -> Report:
    """Differences between the normal forms."""
    one, two = Normal(first), Normal(second)
    found = []
    for lane in [*one.lanes, *(lane for lane in two.lanes if lane not in one.lanes)]:
        before, after = one.lanes.get(lane, []), two.lanes.get(lane, [])
        if before != after:
            found.append(Difference(lane, _diff(before, after)))
    aside = one.aside + two.aside
    shared = [place for place in one.cuts if place in two.cuts and one.cuts[place] != two.cuts[place]]
    cuts = [f"{place}: {one.cuts[place]} against {two.cuts[place]}" for place in shared]
    return Report(found, {rule: aside[rule] for rule in RULES if aside[rule]}, cuts)


def _diff(before: List[str], after: List[str]) -> List[str]:
    """From one line before the first difference; of long lanes the beginning only: the shortest difference may take hours to
    find."""
    same = next((at for at, (one, other) in enumerate(zip(before, after)) if one != other), min(len(before), len(after)))
    at = max(0, same - 1)
    diff = difflib.unified_diff(before[at : at + LOOKED_AT], after[at : at + LOOKED_AT], lineterm="", n=1)
    lines = [line for line in diff if not line.startswith(("---", "+++", "@@"))]
    hidden = max(0, len(lines) - SHOWN), max(len(before), len(after)) - at - LOOKED_AT
    return lines[:SHOWN] + ["…"] * (max(hidden) > 0)


def _exchanges(frames: Sequence[Frame]) -> Iterator[Tuple[Frame, Optional[Frame]]]:
    """Requests in order, each with its reply; a reply without a request stands alone. A reply may be read before the call that
    wrote its request has returned."""
    replies: Dict[Tuple[bool, int, str], Deque[Frame]] = {}
    for frame in frames:
        if frame.type.endswith("_RESP"):
            replies.setdefault((not frame.sent, frame.id, frame.type.replace("_RESP", "_REQ")), deque()).append(frame)
    for frame in frames:
        if not frame.type.endswith("_RESP"):
            answers = replies.get((frame.sent, frame.id, frame.type))
            yield frame, answers.popleft() if answers else None
    for left in replies.values():
        yield from ((frame, None) for frame in left)


def _product(items: Sequence[AnyItem]) -> str:
    return next((item.device.split(" ")[0] for item in items if isinstance(item, Call) and item.name == "open"), "")
