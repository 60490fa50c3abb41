"""The preview of one camera. In `live` mode each frame is drawn when it is captured, with the newest results; in `exact` mode each
frame is drawn with its own results, once those of all graphs are there. Ordered sources are always `exact`. Frame numbers of
successive pictures never fall. Without a viewer nothing is drawn. Runs on CPython 3.9.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from msgspec import structs

from ncs_cluster.ipc.pictures import PictureRing
from ncs_cluster.ipc.pool import FramePool
from ncs_cluster.messages import DetectionRate, Drawn, MapPictures, Measure
from ncs_cluster.specs import CameraSpec
from ncs_cluster.types import Detection, FrameRef, Outcome

FRESH_S = 1.0
"""In `live` mode results are drawn onto frames captured at most this long after the frame they belong to."""
CAPTION_S = 5.0
"""The same for classes: they are of the whole picture, so nothing moves away from them, and slow classifiers keep their caption."""
HOLD_S = 0.5
"""A caption stays this long though a newer result has no class over the threshold: scores near it would make it flicker."""
SINGLE_S = 0.4
"""Least time between two live pictures for viewers who ask for single ones, as the page's strip does."""
MAX_FRAMES = 1024
"""Frames whose capture time and item are kept."""
MAX_WAITED = 64
"""In `exact` mode, after so many frames of which a graph gave no result, one is drawn without it."""


class Result(NamedTuple):
    """The newest result of one graph, and when its frame was captured."""

    frame: int
    captured_s: float
    outcome: Outcome


class Preview:
    """The preview of one camera; called from both threads of the camera process."""

    def __init__(self, spec: CameraSpec, send: Callable[[Any], Any]) -> None:
        self._spec = spec
        self._send = send
        self._lock = threading.Lock()
        self._ring: Optional[PictureRing] = None
        self._watched = False
        self._streamed = True
        self._detection_fps = 0.0
        self._exact = spec.picture == "exact" or spec.ordered
        self._newest: Dict[str, Result] = {}
        """The newest result of each graph. The dictionary is replaced, never changed: the other thread reads it."""
        self._waiting: Dict[int, Dict[str, Outcome]] = {}
        """In `exact` mode: results by frame and graph, of frames that are not drawn yet."""
        self._drawn_frame = -1
        self._drawn_s = float("-inf")
        self._captured: Dict[int, Tuple[float, Optional[str]]] = {}
        """Capture time and item, by frame."""
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
        if message.watched and not self._watched:
            # without a viewer results without distances do not come: the newest of before is not the newest there was
            self._newest = {}
        self._watched, self._streamed, self._detection_fps = message.watched, message.streamed, message.detection_fps

    def record_capture(self, frame: int, captured_s: float, item: Optional[str] = None) -> None:
        """Record when a frame was captured, and the name of its file."""
        self._captured[frame] = (captured_s, item)
        if len(self._captured) > MAX_FRAMES:
            del self._captured[next(iter(self._captured))]

    def draw_live(self, ref: FrameRef, pool: FramePool, capture_fps: float) -> None:
        """In `live` mode, draw a captured frame with the newest results. Called by the thread that writes slots."""
        if not self._exact and self._has_viewer and self._is_due():
            captured_s = self._captured[ref.frame][0]
            self._draw(ref, pool, self.fresh_outcomes(captured_s), capture_fps, self._stale_notes(captured_s))

    def _is_due(self) -> bool:
        """False while the viewers ask for single pictures and the last one is young enough for them."""
        return self._streamed or self._window is not None or time.monotonic() - self._drawn_s >= SINGLE_S

    def add_result(self, message: Measure, detections: List[Detection], pool: FramePool, capture_fps: float) -> None:
        """Take a result with its distances. In `exact` mode, draw its frame, which is leased during this call, unless the result of
        another graph follows for it."""
        ref = message.frame
        outcome = structs.replace(message.outcome, detections=detections)
        if not self._exact:
            before, captured = self._newest.get(message.graph), self._captured.get(ref.frame)
            if captured is not None and (before is None or before.frame <= ref.frame):
                newer = Result(ref.frame, captured[0], outcome)
                if before is None or not _held(before, newer):
                    self._newest = {**self._newest, message.graph: newer}
            return
        if ref.frame < self._drawn_frame:
            return
        self._waiting.setdefault(ref.frame, {})[message.graph] = outcome
        if not (message.last or len(self._waiting) > MAX_WAITED):
            return
        outcomes = self._waiting[ref.frame]
        self._waiting = {frame: results for frame, results in self._waiting.items() if frame > ref.frame}
        if self._has_viewer:
            self._draw(ref, pool, outcomes, capture_fps, [])

    def fresh_outcomes(self, captured_s: float) -> Dict[str, Outcome]:
        """The results to draw onto a frame captured then: the newest of each graph, if it is not too old."""
        return {graph: each.outcome for graph, each in self._newest.items() if captured_s - each.captured_s <= _fresh_s(each)}

    def _stale_notes(self, captured_s: float) -> List[str]:
        """A line for each graph whose newest result is too old to be drawn."""
        newest = self._newest
        notes = []
        for graph, result in newest.items():
            age_s = captured_s - result.captured_s
            if age_s > _fresh_s(result):
                age = f"{age_s:.1f} s" if age_s < 60 else f"{age_s / 60:.0f} min"
                notes.append(f"{graph + ': ' if len(newest) > 1 else ''}newest result {age} old, not drawn")
        return notes

    def source_opened(self, *, ordered: bool) -> None:
        """The source gives frames again: end the no-signal picture."""
        self._exact = self._exact or ordered
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

    def _draw(self, ref: FrameRef, pool: FramePool, outcomes: Dict[str, Outcome], capture_fps: float, notes: List[str]) -> None:
        from ncs_cluster.render.picture import Overlay, draw

        # without a time: a process before this one captured it
        captured_s, item = self._captured.get(ref.frame, (0.0, None))
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
                if not remove_background(picture, depth, pool.layout.depth_scale_m, found):
                    why = "found objects have no distance" if found else "nothing found" if outcomes else "no result yet"
                    notes = [*notes, f"{why}, all is background"]
            has_depth = depth is not None
            draw(picture, outcomes, Overlay(self._spec.name, capture_fps, self._detection_fps, has_depth, item or "", notes))
            ring.commit(ref.frame, ref.width, ref.height)
        self._pictures += 1
        self._drawn_s = time.monotonic()
        self._send(Drawn(ref.frame, captured_s, self._drawn_s))

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


def _fresh_s(result: Result) -> float:
    """How long a result is drawn onto frames captured after its own, seconds."""
    return CAPTION_S if result.outcome.classes else FRESH_S


def _held(before: Result, newer: Result) -> bool:
    """Whether the caption of `before` stays although `newer` has none."""
    emptied = bool(before.outcome.classes) and not newer.outcome.classes and newer.outcome.error is None
    return emptied and newer.captured_s - before.captured_s < HOLD_S
