"""Parts of a film that is divided over hosts, and how two of them join. Pure. Runs on CPython 3.9.

A part begins and ends at times, because a host can find a time without decoding all frames before it, and because each frame is
between two times whatever the file's header or its packets say of the number of frames. A host that finds a time by seeking may
decode wrongly, as in a file whose keyframes need frames before them. So each host tells how it has decoded the first frame of
its part, and the one behind it. Where two parts tell the same of one frame, they join; where they do not, the later one is
decoded from the film's start.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Annotated, List, Optional, Sequence

from msgspec import Meta, Struct

LEAST = 300
"""Frames of a part: a shorter one costs more in starting its job than it saves."""
MOST_PARTS = 200
FROM_START = 4
"""Parts of a film, at most, that are decoded from the film's start: where hosts cannot seek, or parts do not join."""
TIMED = 0.9
"""Packets that have times of their own, of all packets of a film with times: some may be hidden, or lack theirs."""
TOLERANCE_MS = 0.001
SMALL = 8
"""Width and height of the small picture of a frame, 3 bytes each pixel."""
SIMILAR = 3
"""Levels by which small pictures of one frame differ at most: processors round differently when they convert colours."""

Count = Annotated[int, Meta(ge=0, lt=2**53)]
Time = Annotated[float, Meta(ge=0, le=1e12)]


class FilmPart(Struct, frozen=True):
    """Consecutive frames of a film."""

    first: Count
    """The number of its first frame: counted in the packets of the file, or by hosts up to there."""
    frames: Count = 0
    """How many it has, counted in packets."""
    begin_ms: Optional[Time] = None
    """It begins with the first frame that is shown then or later; None: with frame `first`, decoded from the film's start."""
    end_ms: Optional[Time] = None
    """It ends before the first frame that is shown then or later."""
    behind: Optional[Count] = None
    """It ends before this frame. Without `end_ms` and this one, it ends with the film."""

    @property
    def is_last(self) -> bool:
        """No part follows."""
        return self.end_ms is None and self.behind is None


class Edge(Struct, frozen=True):
    """One frame as a host has decoded it."""

    number: Count
    """As that host counts."""
    time_ms: float
    pending: Count
    """Frames before it that could not be decoded, and whose place is not known yet."""
    decoder: Annotated[str, Meta(max_length=100)]
    """Processor and library: the same pair gives the same bytes."""
    sha256: Annotated[str, Meta(max_length=64)]
    """Of the pixels."""
    small: Annotated[bytes, Meta(max_length=3 * SMALL * SMALL)] = b""


class Edges(Struct, frozen=True):
    """Of one part."""

    begin: Optional[Edge] = None
    """Its first frame; None where it is decoded from the film's start, and where it has none."""
    end: Optional[Edge] = None
    """The frame behind its last one; None where the film has ended."""
    damaged: bool = False
    """The decoder has met errors behind a seek: what it makes of damaged data depends on frames long before."""


def joins(end: Optional[Edge], begin: Optional[Edge]) -> bool:
    """Whether a part that begins so goes on where the part before has ended."""
    if end is None or begin is None or end.pending != begin.pending or abs(end.time_ms - begin.time_ms) > TOLERANCE_MS:
        return False
    if end.decoder == begin.decoder:
        return end.sha256 == begin.sha256
    same_size = len(end.small) == len(begin.small)
    return same_size and all(abs(one - other) <= SIMILAR for one, other in zip(end.small, begin.small))


def divided(times_ms: Sequence[float], is_key: Sequence[bool], *, seeks: bool = True) -> List[FilmPart]:
    """The parts of a film whose packets have these times, in the order of the file; a single one where it is short. Parts begin at
    keyframes where these are near, since a host decodes from the keyframe before. `seeks`: that can be found without decoding all
    frames before it."""
    count = len(times_ms)
    if count < 2 * LEAST:
        return [FilmPart(0, count)]
    shown = sorted({time for time in times_ms if time >= 0})
    if len(shown) < TIMED * count:
        size = max(LEAST, -(-count // FROM_START))
        firsts = [0, *range(size, count - LEAST // 2, size)]
        behind = [*firsts[1:], count]
        return [FilmPart(first, end - first, behind=None if end == count else end) for first, end in zip(firsts, behind)]
    count = len(shown)
    places = {time: number for number, time in enumerate(shown)}
    keys = sorted({places[time] for time, key in zip(times_ms, is_key) if key and time in places})
    firsts = _firsts(count, keys, MOST_PARTS if seeks else FROM_START)
    if _ways(firsts, keys) > count:
        # more would be decoded on the ways to the parts than in them
        firsts = _firsts(count, keys, FROM_START)
    begins = [None, *(shown[first] for first in firsts[1:])]
    sizes = [end - first for first, end in zip(firsts, [*firsts[1:], count])]
    return [FilmPart(*each) for each in zip(firsts, sizes, begins, [*begins[1:], None])]


def _ways(firsts: Sequence[int], keys: Sequence[int]) -> int:
    """Frames that are decoded from keyframes to the beginnings of parts."""
    return sum(first - ([0, *keys][bisect_right(keys, first)]) for first in firsts)


def _firsts(count: int, keys: Sequence[int], most: int) -> List[int]:
    """Numbers of the frames with which parts begin; `most` of them, or one more."""
    size = max(LEAST, -(-count // most))
    found, at = [0], 0
    while (wanted := found[-1] + size) <= count - size // 2:
        while at < len(keys) and keys[at] < wanted:
            at += 1
        near = at < len(keys) and keys[at] <= min(wanted + size // 2, count - size // 2)
        found.append(keys[at] if near else wanted)
    return found
