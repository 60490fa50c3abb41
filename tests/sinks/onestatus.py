"""A status document of a daemon with sticks and cameras, in the fields that matter to sinks."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ncs_cluster.status import CameraStatus, SinkStatus, Status, StickStatus
from ncs_cluster.testing.control import some_camera, some_status, some_stick


def stick(id: str, **fields: Any) -> StickStatus:
    told: dict[str, Any] = {"state": "active", "temperature_c": 40.0, "throttle_level": 0, "fps": 20.0, "restarts": 0, **fields}
    return replace(some_stick(id, "active", 40.0), **told)


def camera(name: str, **fields: Any) -> CameraStatus:
    told: dict[str, Any] = {"state": "running", "detail": None, "detection_fps": 15.0, **fields}
    return replace(some_camera(name), **told)


def status(
    sticks: list[StickStatus],
    cameras: list[CameraStatus],
    *,
    reasons: list[str] | None = None,
    sinks: list[SinkStatus] | None = None,
) -> Status:
    made = some_status(0, cameras=())
    return replace(
        made,
        daemon=replace(made.daemon, state="degraded" if reasons else "ok", reasons=reasons or []),
        clusters=replace(made.clusters, active=[each.id for each in sticks if each.state == "active"]),
        sticks=sticks,
        cameras=cameras,
        sinks=sinks or [],
    )
