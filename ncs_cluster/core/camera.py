"""What the core knows of one camera: its process, its source, its slots, and what of it is being measured and put in order."""

from __future__ import annotations

from ncs_cluster.core.child import Child, Limits
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.publish import LiveOrder, Reorder
from ncs_cluster.core.rates import Latency, Rate
from ncs_cluster.core.slots import Slots
from ncs_cluster.core.work import Unit
from ncs_cluster.messages import Rates, SourceOpened
from ncs_cluster.specs import CameraSpec
from ncs_cluster.types import Outcome


class Camera:
    """One camera."""

    def __init__(self, spec: CameraSpec, limits: Limits) -> None:
        self.spec = spec
        self.child = Child(Endpoint("camera", spec.name), spec.runtime, limits)
        self.info: SourceOpened | None = None
        self.detail: str | None = None
        self.signal = False
        self.ended = False
        self.slots: Slots | None = None
        self.retired: list[Slots] = []
        self.next_frame = 0
        self.frames = 0
        self.unreadable = 0
        self.reads = True
        """The last frame could be read."""
        self.measuring: dict[int, tuple[Unit, Outcome]] = {}
        self.measuring_since_s = 0.0
        """Since when the oldest of them waits."""
        self.orders: dict[int, LiveOrder] = {}
        self.reorders: dict[int, Reorder] = {}
        self.viewers = 0
        self.told: Rates | None = None
        self.detection = Rate()
        self.latency = Latency()
        self.drawing = Latency()
        self.capture_fps = 0.0
        self.preview_fps = 0.0
        self.range_errors: list[float] = []
        self.published: dict[int, int] = {}

    @property
    def drawn(self) -> bool:
        """Somebody looks at its pictures."""
        return self.viewers > 0 or self.spec.window

    @property
    def ordered(self) -> bool:
        return self.spec.ordered or (self.info is not None and self.info.ordered)
