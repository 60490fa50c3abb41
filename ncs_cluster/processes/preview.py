"""The preview of one camera. In `live` mode each frame is drawn when it is captured, with the newest results; in `exact` mode each
result is drawn onto its own frame. Frame numbers of successive pictures never fall. Without a viewer nothing is drawn. Runs on
CPython 3.9.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, List, Optional

from ncs_cluster.ipc.pictures import PictureRing
from ncs_cluster.ipc.pool import FramePool
from ncs_cluster.messages import DetectionRate, Drawn, MapPictures, Measure
from ncs_cluster.specs import CameraSpec
from ncs_cluster.types import Detection, FrameRef, Outcome

FRESH_S = 1.0
"""Results older than this are not drawn onto a newer frame."""
MAX_CAPTURE_TIMES = 512


class Preview:
    """The preview of one camera; called from both threads of the camera process."""

    def __init__(self, spec: CameraSpec, send: Callable[[Any], Any]) -> None:
        self._spec = spec
        self._send = send
        self._lock = threading.Lock()
        self._ring: Optional[PictureRing] = None
        self._watched = False
        self._detection_fps = 0.0
        self._newest: Dict[str, Outcome] = {}
        self._newest_s: Dict[str, float] = {}
        self._newest_frame = -1
        self._drawn_frame = -1
        self._captured_s: Dict[int, float] = {}
        self._pictures = 0
        self._lost_reason: Optional[str] = None
        self._lost_at = 0.0
        self._window: Any = None
        if spec.window:
            from ncs_cluster.render.window import Window

            self._window = Window(spec.name)

    @property
    def window_open(self) -> bool:
        return self._window is not None

    @property
    def _has_viewer(self) -> bool:
        return self._ring is not None and (self._watched or self._window is not None)

    def map_ring(self, fd: int, message: MapPictures) -> None:
        """Draw into this ring from now on. Takes ownership of the descriptor."""
        with self._lock:
            self._ring = PictureRing(fd, message.slots, message.max_width, message.max_height, writable=True)

    def set_detection_rate(self, message: DetectionRate) -> None:
        """Take the detection rate for the footer, and whether anybody watches."""
        self._watched, self._detection_fps = message.watched, message.detection_fps

    def record_capture(self, frame: int, captured_s: float) -> None:
        """Record the capture time of a frame, for the latency of its picture."""
        self._captured_s[frame] = captured_s
        if len(self._captured_s) > MAX_CAPTURE_TIMES:
            del self._captured_s[next(iter(self._captured_s))]

    def draw_live(self, ref: FrameRef, captured_s: float, pool: FramePool, capture_fps: float) -> None:
        """In `live` mode, draw a captured frame with the newest results. Called by the thread that writes slots."""
        if self._spec.picture == "live" and self._has_viewer:
            self._draw(ref, captured_s, pool, self.fresh_outcomes(time.monotonic()), capture_fps)

    def add_result(self, message: Measure, detections: List[Detection], pool: FramePool, capture_fps: float) -> None:
        """Take a result with its distances; in `exact` mode, draw it onto its frame, which is leased during this call."""
        ref = message.frame
        if ref.frame < self._newest_frame:
            return
        outcome = Outcome(detections, message.outcome.classes, message.outcome.error)
        # in `exact` mode a later frame replaces the results of all graphs, in `live` mode only those of this graph
        keep = self._newest if ref.frame == self._newest_frame or self._spec.picture == "live" else {}
        # the time first: the other thread may read between these two lines
        self._newest_s[message.graph] = time.monotonic()
        self._newest = {**keep, message.graph: outcome}
        self._newest_frame = ref.frame
        if self._spec.picture == "exact" and self._has_viewer:
            self._draw(ref, self._captured_s.get(ref.frame, 0.0), pool, self._newest, capture_fps)

    def fresh_outcomes(self, now_s: float) -> Dict[str, Outcome]:
        """The newest result of each graph that has given one within FRESH_S."""
        return {graph: outcome for graph, outcome in self._newest.items() if now_s - self._newest_s[graph] < FRESH_S}

    def source_opened(self) -> None:
        """The source gives frames again: end the no-signal picture."""
        self._lost_reason = None

    def source_lost(self, detail: str) -> None:
        """The source fails: draw the reason instead of a frozen picture."""
        if self._lost_reason is None:
            self._lost_at = time.time()
        self._lost_reason = detail
        self._draw_no_signal()

    def each_second(self, now_s: float) -> None:
        if self._lost_reason is not None:
            self._draw_no_signal()

    def take_picture_count(self) -> float:
        """Pictures drawn since the last call."""
        pictures, self._pictures = self._pictures, 0
        return float(pictures)

    def show_window(self) -> bool:
        """Show the newest picture in the window. False when q was pressed or the window was closed."""
        ring = self._ring
        picture = None if ring is None else ring.newest()
        return bool(self._window.show(None if picture is None else picture.pixels))

    def _draw(self, ref: FrameRef, captured_s: float, pool: FramePool, outcomes: Dict[str, Outcome], capture_fps: float) -> None:
        from ncs_cluster.render.picture import Overlay, draw

        with self._lock:
            ring = self._ring
            if ring is None or ref.frame < self._drawn_frame or ref.width * ref.height > ring.max_width * ring.max_height:
                return
            self._drawn_frame = ref.frame
            picture = ring.begin(ref.width, ref.height)
            picture[:] = pool.image(ref)
            depth = pool.depth(ref.slot, ref.width, ref.height)
            if self._spec.background == "remove" and depth is not None and pool.layout.depth_scale_m is not None:
                from ncs_cluster.render.background import remove_background

                found = [detection for outcome in outcomes.values() for detection in outcome.detections]
                remove_background(picture, depth, pool.layout.depth_scale_m, found)
            draw(picture, outcomes, Overlay(self._spec.name, capture_fps, self._detection_fps, has_depth=depth is not None))
            ring.commit(ref.frame, ref.width, ref.height)
        self._pictures += 1
        self._send(Drawn(ref.frame, captured_s, time.monotonic()))

    def _draw_no_signal(self) -> None:
        with self._lock:
            ring = self._ring
            if ring is None or not self._has_viewer or self._lost_reason is None:
                return
            from ncs_cluster.render.no_signal import no_signal

            width, height = ring.max_width, ring.max_height
            since = time.strftime("since %H:%M:%S", time.localtime(self._lost_at))
            no_signal(ring.begin(width, height), self._lost_reason, since=since, camera=self._spec.name)
            ring.commit(self._drawn_frame, width, height)
        self._send(Drawn(self._drawn_frame, 0.0, time.monotonic()))
