"""Joins the segments of a film into an MP4 file, with the sound of the film as it is. Runs on CPython 3.9."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any, Iterator, List, NamedTuple, Optional, Sequence

from ncs_cluster.sinks._video_encode import Look


class _Sound(NamedTuple):
    """A packet of a stream of sound, for the stream of the joined file."""

    at: Fraction
    """Seconds from the start of the video."""
    packet: Any


def join(segments: Sequence[str], sound: Optional[str], look: Look, to: str) -> int:
    """Write the file `to`; returns the number of frames. `sound`: the film whose sound is kept; None: without. Sound that cannot be
    in an MP4 file, or is damaged, is left out. Raises OSError."""
    import av

    with av.open(to, "w", format="mp4", options={"movflags": "+faststart"}) as made:
        with av.open(segments[0]) as first:
            video = made.add_stream_from_template(first.streams.video[0])
        if sound is None:
            return _write(made, video, segments, [], None, look)
        with open(sound, "rb") as file, av.open(file, metadata_errors="ignore") as film:
            streams = [stream for stream in film.streams.audio if _fits(stream)]
            copies = {stream.index: made.add_stream_from_template(stream) for stream in streams}
            return _write(made, video, segments, streams, copies, look)


def has_sound(path: str) -> bool:
    """The film can be opened, and has sound that an MP4 file can hold."""
    import av

    try:
        with open(path, "rb") as file, av.open(file, metadata_errors="ignore") as film:
            return any(_fits(stream) for stream in film.streams.audio)
    except (OSError, ValueError, LookupError, av.FFmpegError):
        return False


def frames_of(path: str) -> int:
    """Frames that the head of an MP4 file lists. Raises OSError."""
    import av

    with av.open(path) as made:
        return int(made.streams.video[0].frames)


def _write(made: Any, video: Any, segments: Sequence[str], streams: List[Any], copies: Any, look: Look) -> int:
    sounds = _sounds(streams, copies, look) if streams else iter(())
    waiting = next(sounds, None)
    frames = 0
    for packet in _pictures(segments, look):
        at = packet.pts * packet.time_base
        while waiting is not None and waiting.at <= at:
            made.mux_one(waiting.packet)
            waiting = next(sounds, None)
        packet.stream = video
        made.mux_one(packet)
        frames += 1
    while waiting is not None:
        made.mux_one(waiting.packet)
        waiting = next(sounds, None)
    return frames


def _pictures(segments: Sequence[str], look: Look) -> Iterator[Any]:
    """Packets with rising times and the durations between them."""
    before: Any = None
    for packet in _packets(segments):
        if before is not None:
            # times of damaged frames are estimates, and may meet those of a later segment
            packet.pts = packet.dts = max(packet.pts, before.pts + 1)
            before.duration = packet.pts - before.pts
            yield before
        before = packet
    if before is not None:
        at, base = before.pts * before.time_base - look.start, before.time_base
        usual = Fraction(1) / look.rate
        rest = usual if look.end is None or not 0 < look.end - at <= 10 * usual else look.end - at
        before.duration = max(1, round(rest / base))
        yield before


def _packets(segments: Sequence[str]) -> Iterator[Any]:
    import av

    for path in segments:
        with av.open(path) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.pts is not None and packet.size:
                    yield packet


def _sounds(streams: List[Any], copies: Any, look: Look) -> Iterator[_Sound]:
    import av

    film = streams[0].container
    last = {stream.index: None for stream in streams}
    packets = film.demux(streams)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (OSError, ValueError, av.FFmpegError):
            # the rest of the film is damaged
            return
        if packet.dts is None or packet.pts is None or not packet.size:
            continue
        index, base = packet.stream.index, packet.time_base
        if last[index] is not None and packet.dts <= last[index]:
            continue
        last[index] = packet.dts
        at = packet.dts * base - look.origin
        shift = round(look.origin / base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        packet.stream = copies[index]
        yield _Sound(at, packet)


def _fits(stream: Any) -> bool:
    """An MP4 file can hold this stream."""
    import av

    try:
        with av.open(io.BytesIO(), "w", format="mp4") as tried:
            tried.add_stream_from_template(stream)
            tried.start_encoding()
    except (OSError, ValueError, av.FFmpegError):
        return False
    return True
