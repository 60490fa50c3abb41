"""Where a camera's picture is drawn, by its mode: `live`, every frame at once with the newest boxes, or `exact`, each result on its
own frame. A picture never goes back in time. What nobody looks at is not drawn. Runs on CPython 3.9.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, List, Optional

from ncs_cluster.ipc.pictures import PictureRing
from ncs_cluster.ipc.pool import FramePool
from ncs_cluster.messages import Drawn, MapPictures, Measure, Rates
from ncs_cluster.specs import CameraSpec
from ncs_cluster.types import Detection, FrameRef, Outcome

STALE_S = 1.0
"""Boxes older than this are not drawn on a newer frame."""
TIMES_KEPT = 512


class Easel:
    """One camera's picture. Called from both of the camera's threads."""

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
        self._lost: Optional[str] = None
        self._lost_at = 0.0
        self._window: Any = None
        if spec.window:
            from ncs_cluster.render.window import Window

            self._window = Window(spec.name)

    @property
    def window_open(self) -> bool:
        return self._window is not None

    @property
    def _wanted(self) -> bool:
        return self._ring is not None and (self._watched or self._window is not None)

    def map(self, fd: int, message: MapPictures) -> None:
        """The ring to draw into."""
        with self._lock:
            self._ring = PictureRing(fd, message.slots, message.max_width, message.max_height, writable=True)

    def rates(self, message: Rates) -> None:
        self._watched, self._detection_fps = message.watched, message.detection_fps

    def captured(self, frame: int, captured_s: float) -> None:
        """Remember when a frame was taken, for the time its picture took."""
        self._captured_s[frame] = captured_s
        if len(self._captured_s) > TIMES_KEPT:
            del self._captured_s[next(iter(self._captured_s))]

    def frame(self, ref: FrameRef, captured_s: float, pool: FramePool, capture_fps: float) -> None:
        """A frame was captured: in `live` mode it is drawn now. Called by the thread that writes slots."""
        if self._spec.picture == "live" and self._wanted:
            self._draw(ref, captured_s, pool, self.boxes(time.monotonic()), capture_fps)

    def result(self, message: Measure, detections: List[Detection], pool: FramePool, capture_fps: float) -> None:
        """A result has its distances: it gives the newest boxes, and in `exact` mode the picture. Its frame is leased until now."""
        ref = message.frame
        if ref.frame < self._newest_frame:
            return
        outcome = Outcome(detections, message.outcome.classes, message.outcome.error)
        # a later frame begins a new set of boxes only in `exact`; in `live` each graph keeps its newest
        keep = self._newest if ref.frame == self._newest_frame or self._spec.picture == "live" else {}
        # the time first: the other thread may look in between
        self._newest_s[message.graph] = time.monotonic()
        self._newest = {**keep, message.graph: outcome}
        self._newest_frame = ref.frame
        if self._spec.picture == "exact" and self._wanted:
            self._draw(ref, self._captured_s.get(ref.frame, 0.0), pool, self._newest, capture_fps)

    def boxes(self, now_s: float) -> Dict[str, Outcome]:
        """The newest of each graph, but of none that has fallen silent."""
        return {graph: outcome for graph, outcome in self._newest.items() if now_s - self._newest_s[graph] < STALE_S}

    def found(self) -> None:
        self._lost = None

    def lost(self, detail: str) -> None:
        """The source is away: say so instead of freezing."""
        if self._lost is None:
            self._lost_at = time.time()
        self._lost = detail
        self._no_signal()

    def each_second(self, now_s: float) -> None:
        if self._lost is not None:
            self._no_signal()

    def pictures_since_asked(self) -> float:
        pictures, self._pictures = self._pictures, 0
        return float(pictures)

    def show(self) -> bool:
        """Put the newest picture into the window. False: somebody pressed q."""
        ring = self._ring
        picture = None if ring is None else ring.newest()
        return bool(self._window.show(None if picture is None else picture.pixels))

    def _draw(self, ref: FrameRef, captured_s: float, pool: FramePool, boxes: Dict[str, Outcome], capture_fps: float) -> None:
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

                found = [detection for outcome in boxes.values() for detection in outcome.detections]
                remove_background(picture, depth, pool.layout.depth_scale_m, found)
            draw(picture, boxes, Overlay(self._spec.name, capture_fps, self._detection_fps, has_depth=depth is not None))
            ring.commit(ref.frame, ref.width, ref.height)
        self._pictures += 1
        self._send(Drawn(ref.frame, captured_s, time.monotonic()))

    def _no_signal(self) -> None:
        with self._lock:
            ring = self._ring
            if ring is None or not self._wanted or self._lost is None:
                return
            from ncs_cluster.render.no_signal import no_signal

            width, height = ring.max_width, ring.max_height
            since = time.strftime("since %H:%M:%S", time.localtime(self._lost_at))
            no_signal(ring.begin(width, height), self._lost, since=since, camera=self._spec.name)
            ring.commit(self._drawn_frame, width, height)
        self._send(Drawn(self._drawn_frame, 0.0, time.monotonic()))
