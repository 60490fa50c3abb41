"""One stick: its worker's child, its thermal zone, and its reported state."""

from __future__ import annotations

from ncs_cluster.core.child import Child, Limits
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.in_flight_limit import InFlightLimit
from ncs_cluster.core.throttling import Throttling
from ncs_cluster.core.zone import Zone
from ncs_cluster.messages import Telemetry
from ncs_cluster.specs import GraphSpec, StickSpec

ELSEWHERE_S = 1.5
"""A longer contradiction is no delay: the bus is scanned twice a second, and a worker notices a reset at once."""


class Stick:
    """One stick, present or not."""

    def __init__(self, spec: StickSpec, switch_temp_c: float, limits: Limits) -> None:
        self.spec = spec
        self.child = Child(Endpoint("worker", spec.id), spec.runtime, limits)
        self.zone = Zone(switch_temp_c)
        self.in_flight_limit = InFlightLimit()
        self.throttling = Throttling()
        self.present = True
        self.removed = False
        """No longer configured, or forgotten by an operator; deleted once its process has exited."""
        self.parked: str | None = None
        """Why an operator has taken it out of rotation; None: it is in."""
        self.restart_by_s: float | None = None
        """An operator wants its worker restarted: it gets no frame, and is stopped then at the latest."""
        self.device: str | None = None
        self.firmware: str | None = None
        self.resets = 0
        """How often the stick was reset without a restart of its process."""
        self.reset_epoch = 0
        """How many StickLost messages its present worker has sent."""
        self.throttle_level: int | None = None
        self.throttled_s = 0.0
        """Plant seconds at a throttle level above 0."""
        self.reported_missing = False
        """Its worker exited because it did not find the stick."""
        self.listed = ""
        """As events.StickListed.state; empty for a stick that is not found on a bus."""
        self.listed_s = self.opened_s = self.exited_s = 0.0
        """When `listed` changed; when its worker reported it open; when its last worker exited."""
        self.opened_as: StickSpec | None = None
        """Its spec as its present or last worker has it."""
        self.graphs: list[GraphSpec] = []
        """The graphs of its present or last worker; messages.Infer.graph is an index into them."""
        self.refuses_graphs = False
        """Its last worker could not load its graphs, and they are still those of the settings."""
        self.renamed = False
        """Gone under this id: the same stick has another id now."""
        self.inferences = 0
        self.failed = 0
        """Inferences that it answered with an error."""
        self.boots = 0
        """How often it was opened."""
        self.usb_mbps: float | None = None
        """Speed of its USB link, as events.StickListed has it."""
        self.measured_s: float | None = None
        """Plant time of the newest telemetry."""

    @property
    def label(self) -> str:
        """Its id, and the name of its port where it has one."""
        return f"{self.spec.id} ({self.spec.name})" if self.spec.name else self.spec.id

    @property
    def usable(self) -> bool:
        """Present, in rotation, open, and with a reading where it has a sensor. Heat is judged by `zone`."""
        in_rotation = self.parked is None and self.restart_by_s is None
        return self.present and in_rotation and self.child.running and self.zone.has_reading

    def elsewhere(self, now_s: float) -> bool:
        """A contradiction: its worker reports it open, while it waits in its boot ROM. The worker drives another stick."""
        since_s = max(self.listed_s, self.opened_s)
        return self.child.running and self.listed == "rom" and now_s >= since_s + ELSEWHERE_S

    def record_telemetry(self, message: Telemetry, plant_s: float, age_s: float) -> bool:
        """Telemetry arrived at plant time `plant_s`; its reading is `age_s` plant seconds old. True: `usable` or the zone's
        `is_hot` has changed."""
        before = self.usable, self.zone.is_hot
        if self.throttle_level and self.measured_s is not None:
            self.throttled_s += plant_s - self.measured_s
        self.throttle_level, self.measured_s = message.throttle_level, plant_s
        if self.zone.has_sensor:
            self.zone.read(message.temperature_c, plant_s - age_s)
            self.zone.throttle(message.throttle_level or 0)
        if self.zone.has_reading:
            self.zone.update(plant_s)
        return before != (self.usable, self.zone.is_hot)
