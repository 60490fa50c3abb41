"""The camera process: owns one source, captures into granted slots, adds distances to results and draws the preview.

Two threads. The capture thread reads the source directly into a slot, sends FrameCaptured and, in `live` mode, draws that frame
with the newest results; it is the only writer of slots, so a slot does not change while it is drawn. The main thread receives
messages, measures distances (the frame is leased meanwhile) and, in `exact` mode, draws each frame with its own results.
A source that fails is opened again with backoff, and the preview shows the reason. Runs on CPython 3.9.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import OrderedDict
from typing import Any, Dict, List, NoReturn, Optional

from ncs_cluster.errors import ConfigError, NcsClusterError, SourceError, SourceResized
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.ipc.pool import FramePool
from ncs_cluster.messages import (
    CameraRates,
    DetectionRate,
    Failed,
    FrameCaptured,
    Grant,
    MapPictures,
    MapPool,
    Measure,
    Measured,
    OpenSource,
    QuitRequested,
    Skipped,
    SourceEnded,
    SourceLost,
    SourceOpened,
    SourceProgress,
    Stop,
    ToCamera,
    UnmapPool,
)
from ncs_cluster.plugins import load
from ncs_cluster.processes import child
from ncs_cluster.processes.grants import Granted, Grants
from ncs_cluster.processes.preview import Preview
from ncs_cluster.render.distance import distance, match_truth
from ncs_cluster.sources import SOURCES
from ncs_cluster.sources.base import Captured, Counting, Idling, Planes, Skipping, Source, SourceInfo
from ncs_cluster.types import Detection, FrameRef, Truth

REOPEN_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between attempts to open a source that fails; the last value repeats."""
STABLE_S = 30.0
"""A source that has given frames for longer starts again with the first value of REOPEN_S."""
SKIP_FRAME_S = 0.1
"""Allowed time to skip one frame."""
FOREVER_S = float("inf")
READ_TIMEOUT_S = 20.0
"""A read that takes longer counts as hung: sources raise SourceError by themselves after 3 s."""
MAX_TRUTHS = 128


class Camera:
    """The camera process after its first message."""

    def __init__(self, channel: Channel[Any], settings: OpenSource) -> None:
        self._channel = channel
        self._spec = settings.camera
        self._next_frame = settings.first_frame
        self._done = settings.done
        """Frames captured of this source, by processes before this one too."""
        self._preview = Preview(settings.camera, channel.send)
        self._pools: Dict[int, FramePool] = {}
        self._grants = Grants()
        self._truths: OrderedDict[int, List[Truth]] = OrderedDict()
        self._stopping = threading.Event()
        self._source: Optional[Source] = None
        self._info: Optional[SourceInfo] = None
        self._reading_since_s: Optional[float] = None
        self._captured = 0
        self._capture_fps = 0.0
        self._scratch: Optional[Planes] = None

    def run(self) -> None:
        """Work until Stop. Raises EOFError when the supervisor is gone."""
        thread = threading.Thread(target=self._capture_loop, name="capture", daemon=True)
        thread.start()
        next_second_s = time.monotonic() + 1.0
        while not self._stopping.is_set():
            timeout_s = max(0.0, next_second_s - time.monotonic())
            if self._preview.window_open:
                timeout_s = min(timeout_s, 0.015)
            if select.select([self._channel.fileno()], [], [], timeout_s)[0]:
                self._receive()
            if self._preview.window_open and not self._preview.show_window():
                self._channel.send(QuitRequested())
            now_s = time.monotonic()
            if now_s >= next_second_s:
                next_second_s = now_s + 1.0
                self._each_second(now_s)
        if self._source is not None:
            self._source.close()
        thread.join(1.0)

    # -- the main thread

    def _receive(self) -> None:
        received = self._channel.receive()
        if received is None:
            return
        message = received.message
        if isinstance(message, Grant):
            self._grants.add(message.pool, message.slot)
        elif isinstance(message, Measure):
            self._measure(message)
        elif isinstance(message, MapPool):
            self._pools[message.layout.pool] = FramePool(received.fds[0], message.layout, writable=True)
        elif isinstance(message, MapPictures):
            self._preview.map_ring(received.fds[0], message)
        elif isinstance(message, UnmapPool):
            pool = self._pools.pop(message.pool, None)
            if pool is not None:
                pool.close()
        elif isinstance(message, DetectionRate):
            self._preview.set_detection_rate(message)
        elif isinstance(message, Stop):
            self._stopping.set()
            self._grants.close()

    def _measure(self, message: Measure) -> None:
        detections = self._with_distances(message.frame, message.outcome.detections)
        self._channel.send(Measured(message.ticket, detections))
        pool = self._pools.get(message.frame.pool)
        if pool is not None:
            self._preview.add_result(message, detections, pool, self._capture_fps)

    def _with_distances(self, frame: FrameRef, detections: List[Detection]) -> List[Detection]:
        """The detections with distances from this frame's depth plane, and with true distances where the source knows them."""
        pool = self._pools.get(frame.pool)
        depth = None if pool is None else pool.depth(frame.slot, frame.width, frame.height)
        if not detections or (depth is None and frame.frame not in self._truths):
            return detections
        if depth is not None and pool is not None and pool.layout.depth_scale_m is not None:
            scale_m = pool.layout.depth_scale_m
            detections = [
                Detection(found.label, found.label_id, found.score, found.box, distance(depth, found.box, scale_m))
                for found in detections
            ]
        truth = self._truths.get(frame.frame)
        return match_truth(detections, truth) if truth else detections

    def _each_second(self, now_s: float) -> None:
        captured, self._captured = self._captured, 0
        self._capture_fps = float(captured)
        self._channel.send(CameraRates(float(captured), self._preview.take_picture_count()))
        self._send_progress(self._source)
        if isinstance(self._source, Idling) and self._source.idle and self._reading_since_s is not None:
            self._reading_since_s = now_s
        since_s = self._reading_since_s
        if since_s is not None and now_s - since_s > READ_TIMEOUT_S:
            child.fail(
                self._channel,
                Failed("hang", f"{self._spec.shown}: read has not returned for {READ_TIMEOUT_S:.0f} s"),
            )
        self._preview.each_second(now_s)

    def _send_progress(self, source: Optional[Source]) -> None:
        if isinstance(source, Counting) and (progress := source.progress()) is not None:
            self._channel.send(SourceProgress(progress.expected, progress.failed))

    # -- the capture thread

    def _capture_loop(self) -> None:
        tries = 0
        try:
            while not self._stopping.is_set():
                try:
                    opened_s = FOREVER_S
                    self._open()
                    opened_s = time.monotonic()
                    if self._capture_until_end():
                        return
                except SourceResized:
                    self._reading_since_s = None
                    if self._source is not None:
                        self._source.close()
                except SourceError as error:
                    if self._stopping.is_set():
                        return  # Stop has closed the source during the read
                    if time.monotonic() - opened_s > STABLE_S:
                        tries = 0
                    self._reading_since_s = None
                    if self._source is not None:
                        self._source.close()
                    if error.permanent:
                        child.fail(self._channel, Failed("open", error.detail, permanent=True))
                    self._channel.send(SourceLost(error.detail))
                    self._preview.source_lost(error.detail)
                    self._stopping.wait(REOPEN_S[min(tries, len(REOPEN_S) - 1)])
                    tries += 1
        except BrokenPipeError:
            os._exit(1)
        except Exception as error:
            child.fail(self._channel, child.unexpected(error, f"{self._spec.shown}: "))

    def _open(self) -> None:
        plugin = SOURCES.get(self._spec.source)
        source: Source = load(plugin.driver)(load(plugin.options)(**self._spec.options))
        self._source = source
        self._reading_since_s = time.monotonic()
        info = source.open()
        self._reading_since_s = None
        child.trim_memory()
        ordered = info.ordered or self._spec.ordered
        if info.first > self._next_frame:
            self._done += info.first - self._next_frame
            self._next_frame = info.first
        if self._done and (info.finite or (ordered and isinstance(source, Skipping))):
            # skipping into a long video takes long
            self._reading_since_s = time.monotonic() + self._done * SKIP_FRAME_S
            self._skip(source, info, self._done)
            self._reading_since_s = None
        shape = (info.width, info.height, info.depth_scale_m)
        if self._info is not None and shape != (self._info.width, self._info.height, self._info.depth_scale_m):
            # the granted slots have another size; the supervisor grants new ones after SourceOpened
            self._grants.clear()
        self._info = info
        ordered = info.ordered or self._spec.ordered
        self._preview.source_opened(ordered=ordered)
        self._channel.send(
            SourceOpened(info.width, info.height, info.fps, info.depth_scale_m, info.finite, ordered, info.description, info.first)
        )
        self._send_progress(source)

    def _skip(self, source: Source, info: SourceInfo, frames: int) -> None:
        """Skip the frames that were captured before the source failed or this process was restarted."""
        if isinstance(source, Skipping):
            source.skip(frames)
            return
        scratch = self._scratch_planes(info)
        for _ in range(frames):
            if source.read(scratch) is None:
                break

    def _capture_until_end(self) -> bool:
        """Capture frames. True when the source has ended or after Stop. Raises SourceError."""
        source, info = self._source, self._info
        assert source is not None
        assert info is not None
        ordered = info.ordered or self._spec.ordered
        while not self._stopping.is_set():
            # grants of another size were sent before the source changed
            grant = self._grants.take(self._fits, wait=ordered or not self._pools)
            if self._stopping.is_set():
                return True
            planes = self._scratch_planes(info) if grant is None else self._planes(grant, info)
            self._reading_since_s = time.monotonic()
            try:
                captured = source.read(planes)
            except SourceError:
                # the slot is still granted to this process
                if grant is not None:
                    self._grants.give_back(grant)
                raise
            self._reading_since_s = None
            if captured is None:
                if not self._stopping.is_set():
                    self._channel.send(SourceEnded(self._next_frame))
                return True
            frame, self._next_frame = self._next_frame, self._next_frame + 1
            self._done += 1
            self._captured += 1
            if grant is None:
                self._channel.send(Skipped(frame))
                continue
            self._send_frame(FrameRef(self._spec.name, grant.pool, grant.slot, frame, captured.width, captured.height), captured)
        return True

    def _send_frame(self, ref: FrameRef, captured: Captured) -> None:
        if captured.truth is not None:
            self._truths[ref.frame] = captured.truth
            while len(self._truths) > MAX_TRUTHS:
                self._truths.popitem(last=False)
        # after FrameCaptured the supervisor may unmap the pool
        pool = self._pools[ref.pool]
        self._preview.record_capture(ref.frame, captured.captured_s, captured.item)
        seen = captured
        film = (seen.item_frame, seen.item_fps)
        message = FrameCaptured(ref, seen.captured_s, seen.captured_at, seen.item, seen.error, seen.size, *film)
        self._channel.send(message)
        if captured.error is None:
            self._preview.draw_live(ref, pool, self._capture_fps)

    def _fits(self, number: int) -> bool:
        pool, info = self._pools.get(number), self._info
        if pool is None or info is None:
            return False
        layout = pool.layout
        return (layout.max_width, layout.max_height, layout.depth_scale_m) == (info.width, info.height, info.depth_scale_m)

    def _planes(self, grant: Granted, info: SourceInfo) -> Planes:
        pool = self._pools[grant.pool]
        return Planes(pool.colour(grant.slot, info.width, info.height), pool.depth(grant.slot, info.width, info.height))

    def _scratch_planes(self, info: SourceInfo) -> Planes:
        """Memory for a frame without a slot: a live source must be read in time."""
        import numpy as np

        if self._scratch is None or self._scratch.colour.shape[:2] != (info.height, info.width):
            depth = None if info.depth_scale_m is None else np.empty((info.height, info.width), np.uint16)
            self._scratch = Planes(np.empty((info.height, info.width, 3), np.uint8), depth)
        return self._scratch


def main() -> NoReturn:
    """The process. Exit code 0 after Stop, 1 after Failed."""
    channel = child.enter("camera", ToCamera)
    try:
        settings = child.first_message(channel, OpenSource)
        Camera(channel, settings).run()
    except (EOFError, BrokenPipeError):
        os._exit(1)
    except NcsClusterError as error:
        # a wrong setting fails again at the next attempt
        child.fail(channel, Failed("open", str(error), permanent=isinstance(error, ConfigError)))
    except Exception as error:
        child.fail(channel, child.unexpected(error))
    # threads of vendor libraries may hang at a regular exit
    os._exit(0)


if __name__ == "__main__":
    main()
