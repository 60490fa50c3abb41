"""One stick as the core knows it: its process, its zone, what it has said of itself."""

from __future__ import annotations

from ncs_cluster.core.child import Child, Limits
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.zone import Zone
from ncs_cluster.messages import Telemetry
from ncs_cluster.specs import StickSpec


class Stick:
    """One stick, present or not."""

    def __init__(self, spec: StickSpec, switch_temp_c: float, limits: Limits) -> None:
        self.spec = spec
        self.child = Child(Endpoint("worker", spec.id), spec.runtime, limits)
        self.zone = Zone(switch_temp_c)
        self.present = True
        self.removed = False
        """No longer configured; it is forgotten once its process is gone."""
        self.device: str | None = None
        self.firmware: str | None = None
        self.resets = 0
        """How often it was reset in place, its process living on."""
        self.reset_epoch = 0
        """StickLost messages of its present worker."""
        self.throttle_level: int | None = None
        self.throttled_s = 0.0
        """Plant seconds at a throttle level above 0."""
        self.reported_missing = False
        """Its worker ended because it could not find the stick any more."""
        self.renamed = False
        """It is gone, but nothing is missing: another name means the same stick."""
        self.inferences = 0
        self.measured_s: float | None = None
        """Plant time of the newest telemetry."""

    @property
    def usable(self) -> bool:
        """It may be given work, if it is not too hot."""
        return self.present and self.child.running and self.zone.has_reading

    def measured(self, message: Telemetry, plant_s: float, age_s: float) -> bool:
        """Telemetry came at plant time `plant_s`; its reading is `age_s` plant seconds old. True: the stick may work now and might
        not before, or the other way round."""
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
