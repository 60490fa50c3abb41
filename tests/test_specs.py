"""Settings may be printed: what is secret in them is not."""

from __future__ import annotations

from ncs_cluster.specs import CameraSpec, ClusterSpec, GatewaySpec, PoolSpec, Settings, SinkSpec
from ncs_cluster.types import CameraName


def test_printed_settings_show_neither_the_token_nor_a_camera_password() -> None:
    settings = Settings(
        pools=[PoolSpec(ClusterSpec())],
        sinks=[SinkSpec("mqtt", {"url": "mqtt://user:canary-3@host/"}, "mqtt://***@host/")],
        graphs=[],
        cameras=[CameraSpec(CameraName("door"), "rtsp", {"url": "rtsp://user:canary-1@host/"}, "rtsp://***@host/")],
        runtimes={},
        runtime_dir="/run/x",
        state_dir="/var/x",
        gateway=GatewaySpec("127.0.0.1", 8080, token="canary-2"),
    )
    for printed in (repr(settings), str(settings), f"{settings.cameras} {settings.gateway} {settings.sinks}"):
        assert "canary" not in printed
