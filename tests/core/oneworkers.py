"""One ordered camera that runs, and sticks whose workers have started: what workers share, without the engine's clock."""

from __future__ import annotations

from ncs_cluster import messages as m
from ncs_cluster.core.actions import Action, LogEvent, MakePictures, MakePool, Send
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.regulator import Regulator
from ncs_cluster.core.stick import Stick
from ncs_cluster.core.work import Count, Unit
from ncs_cluster.specs import CameraSpec, PoolSpec, Settings, SinkSpec
from ncs_cluster.types import CameraName, FrameRef, PoolLayout, StickId
from tests.core.onepool import GRAPH, pool_of, spec, stick_id

CAM0, CAMERA = CameraName("cam0"), Endpoint("camera", "cam0")
# two slots are granted in advance; twice (2 granted + 1 graph + 4 + at least 8)
POOL = PoolLayout(1, 30, 640, 480)


def settings_of(*pools: PoolSpec, ordered: bool = True) -> Settings:
    """Sticks of these pools, one graph, one camera, and the sink of --results."""
    camera = CameraSpec(CAM0, "images", {}, "images", ordered=ordered)
    sink = SinkSpec("jsonl", {"path": "results.jsonl"}, "results.jsonl")
    return Settings(list(pools), [GRAPH], [camera], {}, "runtime", "state", [sink])


class WorkersSetup:
    """The sticks sim-1, sim-2, ... found at 0 s."""

    def __init__(
        self, count: int = 2, *, stagger_s: float = 0.0, exclusive_boot: bool = False, pools: list[PoolSpec] | None = None
    ) -> None:
        counted = pool_of(*range(1, count + 1), stagger_s=stagger_s or None)
        for index, each in enumerate(counted.sticks):
            counted.sticks[index] = spec(int(each.id[-1]), exclusive_boot=exclusive_boot)
        self.settings = settings_of(*(pools or [counted]))
        self.engine = Engine(self.settings, 0.0)
        self.sticks, self.workers, self.dispatcher = self.engine.sticks, self.engine.workers, self.engine.dispatcher
        self.tally, self.outbox = self.engine.tally, self.engine.sinks.by_name[""].outbox
        self.engine.cameras.add(self.settings.cameras[0], 0.0)
        self.camera = self.engine.cameras.by_name[CAM0]
        self.camera.handle(m.Hello(m.PROTOCOL, 21, "3.11"), 0.0)
        assert self.camera.handle(m.SourceOpened(640, 480, None, None, True, True, "pictures"), 0.0) == [
            LogEvent("info", "cam0", "opened: pictures, 640x480"),
            MakePool(POOL),
            Send(CAMERA, m.MapPool(POOL), pool=1),
            MakePictures(CAM0, 4, 640, 480),
            Send(CAMERA, m.MapPictures(CAM0, 4, 640, 480), pictures=CAM0),
            Send(CAMERA, m.Grant(1, 0)),
            Send(CAMERA, m.Grant(1, 1)),
        ]
        for each in self.settings.sticks:
            self.sticks.found(each, 0.0)

    def __getitem__(self, number: int) -> Stick:
        return self.sticks.by_id[stick_id(number)]

    @property
    def regulator(self) -> Regulator:
        return self.workers.regulators["default"]

    def receive(self, number: int, message: object, now_s: float) -> list[Action]:
        known = self.workers.of(stick_id(number))
        assert known is not None
        return known.handle(message, now_s)  # type: ignore[arg-type]

    def open(self, *numbers: int, sensor: bool = False, can_reset: bool = False) -> None:
        """Their workers have opened them, at 1 s; without a sensor they work."""
        for number in numbers:
            self.receive(number, m.Hello(m.PROTOCOL, 100 + number, "3.11"), 1.0)
            self.receive(number, m.StickOpened("a device", sensor, 2, None, can_reset), 1.0)

    def hand_over(self, frame: int, now_s: float) -> Unit:
        """A frame is captured into the slot of its number and given to a stick."""
        ref = FrameRef(CAM0, 1, frame, frame, 640, 480)
        self.camera.handle(m.FrameCaptured(ref, now_s, 1.7e9), now_s)
        (unit,) = self.dispatcher.assign(now_s)
        return unit

    @property
    def duties(self) -> dict[StickId, float]:
        return {stick: queue.duty for stick, queue in self.dispatcher.queues.items()}

    @property
    def count(self) -> Count:
        return self.tally.count("cam0")
