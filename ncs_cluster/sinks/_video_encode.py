"""Encodes the frames of one segment: H.264, or MPEG-4 where there is no encoder for it. Runs on CPython 3.9.

Segments are NUT files, which keep any time base. Without B-frames a frame's decoding time is its own time, so segments follow each
other whatever their times are; each begins with a keyframe and, in H.264, the parameter sets.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Tuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CODECS = (
    ("libx264", {"preset": "veryfast", "crf": "20"}),
    ("mpeg4", {"qmin": "2", "qmax": "6"}),
)
KEYFRAMES = 100
"""At most so many frames apart, for players that jump."""
_TIME_BASE = Fraction(1, 90000)
_MPEG4_TIME_BASE = Fraction(1, 60000)
"""ISO/IEC 14496-2, 6.2.3: the resolution has 16 bits. Whole numbers of ticks at 24, 25, 30, 50, 60, 23.98 and 29.97 frames/s."""
_BT709, _UNSPECIFIED, _BT470BG, _SMPTE170M = 1, 2, 5, 6
"""Matrices, as in ITU-T H.273."""
_BILINEAR_ACCURATE = 2 | 0x40000
"""SWS_BILINEAR | SWS_ACCURATE_RND: without exact rounding grey becomes greenish."""
_GLOBAL_HEADER = 1 << 22
"""AV_CODEC_FLAG_GLOBAL_HEADER."""


class Look(NamedTuple):
    """What the file says of a film beside its pixels."""

    time_base: Fraction = _TIME_BASE
    """Seconds: all its times are multiples of it."""
    rate: Fraction = Fraction(25)
    """Frames per second, about."""
    start: Fraction = Fraction(0)
    """Seconds from the start of the first stream to that of the video."""
    origin: Fraction = Fraction(0)
    """Seconds: the time in the file of the start of the first stream."""
    end: Optional[Fraction] = None
    """Seconds: when the last frame ends, from the start of the video; None: unknown."""
    pixel_shape: Optional[Fraction] = None
    """Width by height of a pixel; None: unknown, or 1."""
    matrix: int = _UNSPECIFIED
    primaries: int = _UNSPECIFIED
    transfer: int = _UNSPECIFIED


def look(path: str, fps: float) -> Look:
    """`fps`: the rate of a file that cannot be looked into, which has then no sound either; 0: unknown."""
    import av

    rate = Fraction(fps).limit_denominator(1001) if 1.0 <= fps <= 1000.0 else Fraction(25)
    try:
        with open(path, "rb") as file, av.open(file, metadata_errors="ignore") as container:
            streams = [stream for stream in container.streams if stream.type in ("video", "audio") and stream.time_base]
            video = container.streams.video[0]
            if video.time_base is None:
                return Look(rate=rate)
            starts = {stream.index: stream.start_time * stream.time_base for stream in streams if stream.start_time is not None}
            own = starts.get(video.index, Fraction(0))
            context = video.codec_context
            shape = video.sample_aspect_ratio
            return Look(
                video.time_base,
                rate if fps else Fraction(video.average_rate or 25),
                own - min(starts.values(), default=own),
                min(starts.values(), default=own),
                video.duration * video.time_base if video.duration else None,
                shape if shape and shape != 1 else None,
                int(context.colorspace),
                int(context.color_primaries),
                int(context.color_trc),
            )
    except (OSError, ValueError, IndexError, LookupError, av.FFmpegError):
        return Look(rate=rate)


class SegmentEncoder:
    """One file being written; uint8 BGR pictures of one size."""

    def __init__(self, path: str, size: Tuple[int, int], look: Look) -> None:
        """Raises OSError."""
        import av

        name, options = _codec()
        # an odd side is not possible with 4:2:0
        self._width, self._height = size[0] + size[0] % 2, size[1] + size[1] % 2
        self._base = look.time_base
        if name == "mpeg4" and self._base.denominator > 0xFFFF:
            self._base = _MPEG4_TIME_BASE
        self._matrix = "ITU709" if look.matrix == _BT709 else "ITU601"
        self._last = -1
        self._container: Any = av.open(path, "w", format="nut")
        self._stream: Any = self._container.add_stream(name, rate=look.rate, options=options)
        context = self._stream.codec_context
        context.width, context.height, context.pix_fmt = self._width, self._height, "yuv420p"
        context.time_base = self._base
        context.gop_size, context.max_b_frames = KEYFRAMES, 0
        if look.pixel_shape is not None:
            context.sample_aspect_ratio = look.pixel_shape
        known = look.matrix in (_BT709, _UNSPECIFIED, _BT470BG, _SMPTE170M)
        context.colorspace = look.matrix if known else _SMPTE170M
        context.color_primaries, context.color_trc = look.primaries, look.transfer
        context.color_range = 1
        if name != "mpeg4":
            # each keyframe has the parameter sets with it: segments of two versions of the encoder can follow each other
            context.flags &= ~_GLOBAL_HEADER

    def add(self, pixels: NDArray[np.uint8], time_s: float) -> None:
        """`time_s`: from the start of the video; each frame is at least one tick of the time base after the one before. Raises
        OSError."""
        import av

        self._last = max(round(time_s / self._base), self._last + 1)
        height, width = pixels.shape[:2]
        if (width, height) != (self._width, self._height):
            import numpy as np

            pixels = np.pad(pixels, ((0, self._height - height), (0, self._width - width), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(pixels, format="bgr24")
        # pixels in RGB have no matrix; PyAV before 16 looks at that of the result only where the two differ
        made = frame.reformat(
            format="yuv420p", src_colorspace="ITU601", dst_colorspace=self._matrix, interpolation=_BILINEAR_ACCURATE
        )
        made.pts, made.time_base = self._last, self._base
        self._container.mux(self._stream.encode(made))

    def close(self) -> None:
        """Write what the encoder holds back. Raises OSError."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Close the file, whose content does not count."""
        try:
            self._container.close()
        except Exception:
            # it may be this that has failed
            pass


def _codec() -> Tuple[str, Any]:
    import av

    for name, options in CODECS[:-1]:
        try:
            av.codec.Codec(name, "w")
        except ValueError:
            continue
        return name, dict(options)
    return CODECS[-1][0], dict(CODECS[-1][1])
