"""Settings may be printed: what is secret in them is not."""

from __future__ import annotations

from ncs_cluster.specs import CameraSpec, ClusterSpec, GatewaySpec, Settings


def test_printed_settings_show_neither_the_token_nor_a_camera_password() -> None:
    settings = Settings(
        sticks=[],
        graphs=[],
        cameras=[CameraSpec("door", "rtsp", {"url": "rtsp://user:canary-1@host/"}, "rtsp://***@host/")],
        clusters=ClusterSpec(),
        runtimes={},
        runtime_dir="/run/x",
        state_dir="/var/x",
        gateway=GatewaySpec("127.0.0.1", 8080, token="canary-2"),
    )
    for printed in (repr(settings), str(settings), f"{settings.cameras} {settings.gateway}"):
        assert "canary" not in printed
