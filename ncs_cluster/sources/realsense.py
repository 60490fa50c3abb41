"""An Intel RealSense camera, or a recording of one: colour, and depth aligned to it, written straight into the slot. Of a camera
without colour (D430, D421) the left infrared picture takes its place, in grey.

librealsense's pipeline matches depth to colour for cameras, recordings (.bag, .db3) and an injected device alike. Waits are cut
into slices of 200 ms, so that silence is detected and a close from another thread takes effect.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional, Tuple

from ncs_cluster.errors import SourceError
from ncs_cluster.sources._handle import Handle
from ncs_cluster.sources._librealsense import library, one_line, write_bgr
from ncs_cluster.sources._opencv import need_opencv
from ncs_cluster.sources._planes import colour_room, depth_room
from ncs_cluster.sources.base import Captured, Find, Parsed, Planes, SourceInfo

RECORDINGS = (".bag", ".db3")
FIRST_FRAME_S = 8.0
SILENCE_S = 3.0
GAP_S = 30.0
"""Longest gap within a recording, seconds."""
STALE_MS = 200.0
"""librealsense repeats the last depth frame when depth stalls; after this long by the camera's clock it counts as unknown."""
SLICE_MS = 200
DEFAULT_MODE = (640, 480, 30)
"""Width, height, fps of a camera that has this mode, unless options name another."""


@dataclass(frozen=True)
class Options:
    """`serial` or `recording` or neither: the first camera found. `paced=False` plays a recording as fast as slots come."""

    __pydantic_config__ = {"extra": "forbid"}

    serial: Optional[str] = None
    recording: Optional[str] = None
    width: Optional[int] = None
    height: Optional[int] = None
    fps: Optional[int] = None
    loop: bool = False
    paced: bool = True

    def __post_init__(self) -> None:
        if self.serial is not None and self.recording is not None:
            raise ValueError("serial and recording exclude each other")
        if any(value is not None and value <= 0 for value in (self.width, self.height, self.fps)):
            raise ValueError("width, height and fps must be more than 0")


def parse(spec: str, find: Find) -> Parsed:
    word, colon, rest = spec.partition(":")
    if word != "realsense":
        return Parsed({"recording": str(find(spec))}, spec)
    if not colon:
        return Parsed({}, spec)
    if rest.lower().endswith(RECORDINGS):
        return Parsed({"recording": str(find(rest))}, spec)
    if not rest.isalnum():
        raise ValueError(f'"{rest}" is neither a serial number nor a recording (.bag, .db3)')
    return Parsed({"serial": rest}, spec)


class _Running(NamedTuple):
    """A started pipeline with the objects it needs."""

    pipeline: Any
    profile: Any
    device: Any
    playback: Any
    """None for a camera."""
    align: Any
    """Created once: its tables cost more than a frame."""


class RealSense:
    """A RealSense camera, a recording, or `device`: an rs.device that enumeration does not find, as a software_device."""

    def __init__(self, options: Options, device: Any = None) -> None:
        self._options = options
        self._injected = device
        self._handle: Handle[_Running] = Handle(_stop)
        self._name = options.recording or (f"RealSense {options.serial}" if options.serial else "RealSense")
        self._first: Any = None
        self._infrared = False
        """The picture is infrared, since there is no colour."""
        self._depth_scale_m: Optional[float] = None
        self._depth_seen: Tuple[int, float] = (-1, 0.0)
        """Number of the last depth frame, and its time in ms of the camera's clock."""
        self._ended = False

    def open(self) -> SourceInfo:
        """Waits for the first frame. SourceError without a camera or a frame; permanent for a bad recording."""
        need_opencv()
        rs = library()
        self._first, self._ended, self._depth_seen = None, False, (-1, 0.0)
        self._handle.open(lambda: self._start(rs))
        try:
            with self._handle.using() as running:
                self._first = frames = self._next(running, FIRST_FRAME_S)
                if frames is None:
                    raise SourceError(f"{self._name} has no colour frame", permanent=True)
                return self._info(rs, running, frames)
        except SourceError:
            self.close()
            raise
        except RuntimeError as error:
            self.close()
            raise SourceError(f"{self._name}: {one_line(error)}") from error

    def read(self, into: Planes) -> Optional[Captured]:
        """The next frame; None after a recording's last. SourceError when the camera is silent for 3 s or was unplugged."""
        with self._handle.using() as running:
            frames, self._first = self._first, None
            if frames is None:
                frames = None if self._ended else self._next(running, GAP_S if running.playback else SILENCE_S)
            if frames is None:
                self._ended = True
                return None
            captured_s, captured_at = time.monotonic(), time.time()
            try:
                width, height = self._write(library(), running.align, frames, into)
            except RuntimeError as error:
                raise SourceError(f"{self._name}: {one_line(error)}") from error
            return Captured(captured_s, captured_at, width, height)

    def skip(self, frames: int) -> None:
        """Skip frames of a recording without pacing, to continue where another reader stopped."""
        with self._handle.using() as running:
            try:
                running.playback.set_real_time(False)
                for _ in range(frames):
                    passed, self._first = self._first or self._next(running, GAP_S), None
                    if passed is None:
                        self._ended = True
                        return
                running.playback.set_real_time(self._options.paced)
                # restarts the playback clock, which would pause for the length of the skipped part
                running.playback.pause()
                running.playback.resume()
            except RuntimeError as error:
                raise SourceError(f"{self._name}: {one_line(error)}") from error

    def close(self) -> None:
        """From any thread, any number of times."""
        self._handle.close()

    def _start(self, rs: Any) -> _Running:
        options = self._options
        context, config = rs.context(), rs.config()
        pipeline = rs.pipeline(context)
        try:
            if options.recording is not None:
                self._choose_recorded(rs, context, config)
            elif self._injected is not None:
                pipeline.set_device(self._injected)
                self._enable(rs, config, _streams(rs, self._injected))
            else:
                self._choose_mode(rs, context, config, pipeline)
            profile = pipeline.start(config)
        except RuntimeError as error:
            raise SourceError(f"{self._name}: {one_line(error)}", permanent=options.recording is not None) from error
        device = profile.get_device()
        playback = device.as_playback() if options.recording is not None else None
        if playback is not None:
            playback.set_real_time(options.paced)
        return _Running(pipeline, profile, device, playback, rs.align(self._picture(rs)))

    def _choose_recorded(self, rs: Any, context: Any, config: Any) -> None:
        path = os.path.abspath(self._options.recording or "")
        if not os.path.isfile(path):
            raise SourceError(f"no recording at {self._options.recording}", permanent=True)
        if not path.lower().endswith((".bag", ".db3")):
            raise SourceError(f"{self._options.recording} is not a recording: .bag or .db3 is needed", permanent=True)
        streams = _streams(rs, context.load_device(path))
        context.unload_device(path)
        if not streams - {rs.stream.depth}:
            raise SourceError(f"{self._options.recording} holds no colour or infrared stream", permanent=True)
        config.enable_device_from_file(path, repeat_playback=self._options.loop)
        self._enable(rs, config, streams)

    def _choose_mode(self, rs: Any, context: Any, config: Any, pipeline: Any) -> None:
        options = self._options
        devices = {device.get_info(rs.camera_info.serial_number): device for device in context.query_devices()}
        found = list(devices)
        if options.serial is not None and options.serial not in found:
            raise SourceError(f"{self._name} is not plugged in (found: {', '.join(found) or 'no RealSense camera'})")
        if not found:
            raise SourceError("no RealSense camera found; plug one into a USB 3 port")
        serial = options.serial or found[0]
        config.enable_device(serial)
        self._infrared = rs.stream.color not in _streams(rs, devices[serial])
        picture = (rs.stream.infrared, 1, rs.format.y8) if self._infrared else (rs.stream.color, -1, rs.format.bgr8)
        asked = options.width is not None or options.height is not None or options.fps is not None
        width, height, fps = options.width or 0, options.height or 0, options.fps or 0
        if not asked:
            width, height, fps = DEFAULT_MODE
        modes = [(width, height, fps, width, height), (width, height, fps, 0, 0)] + ([] if asked else [(0, 0, 0, 0, 0)])
        for width, height, fps, depth_width, depth_height in modes:
            config.disable_all_streams()
            config.enable_stream(picture[0], picture[1], width, height, picture[2], fps)
            config.enable_stream(rs.stream.depth, -1, depth_width, depth_height, rs.format.z16, fps)
            if config.can_resolve(rs.pipeline_wrapper(pipeline)):
                return
        wanted = f"{options.width or 'any'}x{options.height or 'any'} at {options.fps or 'any'} fps"
        raise SourceError(f"{self._name} has no mode {wanted}: choose another --size or --fps, or a USB 3 port")

    def _enable(self, rs: Any, config: Any, streams: Any) -> None:
        self._infrared = rs.stream.color not in streams
        for stream in streams & {rs.stream.depth, self._picture(rs)}:
            if stream == rs.stream.infrared:
                config.enable_stream(stream, 1)
            else:
                config.enable_stream(stream)

    def _picture(self, rs: Any) -> Any:
        """The stream that gives the picture."""
        return rs.stream.infrared if self._infrared else rs.stream.color

    def _picture_of(self, frames: Any) -> Any:
        return frames.get_infrared_frame(1) if self._infrared else frames.get_color_frame()

    def _next(self, running: _Running, patience_s: float) -> Any:
        """The next frameset with a picture; None at the end of a recording."""
        deadline_s = time.monotonic() + patience_s
        while True:
            try:
                arrived, frames = running.pipeline.try_wait_for_frames(SLICE_MS)
                if arrived and self._picture_of(frames):
                    return frames
                if not arrived and self._played(running):
                    last = running.pipeline.poll_for_frames()
                    return last if last and self._picture_of(last) else None
                connected = running.playback or running.device.is_connected()
            except RuntimeError as error:
                raise SourceError(f"{self._name}: {one_line(error)}") from error
            if not connected:
                raise SourceError(f"{self._name} was unplugged")
            if time.monotonic() > deadline_s:
                raise SourceError(f"{self._name} gave no colour frame for {patience_s:g} s")
            self._handle.pause(0)

    def _played(self, running: _Running) -> bool:
        # a looped recording pauses for a moment between its end and its start
        return running.playback and not self._options.loop and "stopped" in str(running.playback.current_status())

    def _info(self, rs: Any, running: _Running, frames: Any) -> SourceInfo:
        colour = running.profile.get_stream(self._picture(rs), 1 if self._infrared else -1).as_video_stream_profile()
        depth = frames.get_depth_frame()
        self._depth_scale_m = None
        if depth or any(stream.stream_type() == rs.stream.depth for stream in running.profile.get_streams()):
            # the frame's own unit: the sensor's option may have changed since
            units = depth.get_units() if depth else 0.0
            self._depth_scale_m = units if units > 0 else running.device.first_depth_sensor().get_depth_scale()
        info, device = rs.camera_info, running.device
        name = device.get_info(info.name) if device.supports(info.name) else "RealSense"
        serial = f" (serial {device.get_info(info.serial_number)})" if device.supports(info.serial_number) else ""
        recording = f", {os.path.basename(self._options.recording)}" if self._options.recording else ""
        return SourceInfo(
            width=colour.width(),
            height=colour.height(),
            fps=float(colour.fps()),
            depth_scale_m=self._depth_scale_m,
            finite=self._options.recording is not None and not self._options.loop,
            ordered=self._options.recording is not None and not self._options.paced,
            description=f"{name}{serial}{recording}{', infrared' if self._infrared else ''}",
        )

    def _write(self, rs: Any, align: Any, frames: Any, into: Planes) -> Tuple[int, int]:
        import numpy as np

        fresh = into.depth is not None and self._fresh(frames)
        colour, depth = self._picture_of(frames), frames.get_depth_frame()
        width, height = colour.get_width(), colour.get_height()
        # depth is computed in the left infrared camera's pixels
        if fresh and not (self._infrared and (depth.get_width(), depth.get_height()) == (width, height)):
            frames = align.process(frames)
            colour = self._picture_of(frames)
        write_bgr(rs, colour, colour_room(into.colour, width, height))
        if into.depth is not None:
            slot = depth_room(into.depth, width, height)
            if fresh:
                depth = frames.get_depth_frame()
                units, known = depth.get_units(), self._depth_scale_m or 0.0
                if abs(units - known) > 1e-9:
                    raise SourceError(f"{self._name} changed its depth unit from {known:g} to {units:g} m")
                np.copyto(slot, np.asanyarray(depth.get_data()))
            else:
                slot[:] = 0
        return width, height

    def _fresh(self, frames: Any) -> bool:
        """True when there is a depth frame and it is not stale."""
        depth, now_ms = frames.get_depth_frame(), self._picture_of(frames).get_timestamp()
        if not depth:
            return False
        number, since_ms = self._depth_seen
        if depth.get_frame_number() != number:
            self._depth_seen = number, since_ms = depth.get_frame_number(), now_ms
        return bool(now_ms - since_ms <= STALE_MS)


def _streams(rs: Any, device: Any) -> Any:
    """Colour, infrared and depth streams of a device."""
    kinds = {profile.stream_type() for sensor in device.query_sensors() for profile in sensor.get_stream_profiles()}
    return kinds & {rs.stream.color, rs.stream.infrared, rs.stream.depth}


def _stop(running: _Running) -> None:
    try:
        running.pipeline.stop()
    except RuntimeError:
        pass  # the pipeline had already stopped
