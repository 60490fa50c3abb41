"""Each message of the gateway leads to exact actions."""

from __future__ import annotations

from typing import cast

import msgspec
import pytest

from ncs_cluster import messages as m
from ncs_cluster.core.actions import Action, Kill, LogEvent, Send, Spawn
from ncs_cluster.core.child import Limits, State
from ncs_cluster.core.events import GATEWAY, Endpoint, Exited, SpawnFailed
from ncs_cluster.core.gateway import Gateway
from ncs_cluster.core.intake import Intake
from ncs_cluster.specs import GatewaySpec
from ncs_cluster.testing.world import installation
from ncs_cluster.types import CameraName, IntakeClient
from tests.core.onecamera import REFUSED, FakeDaemon, FakeIntake

SPEC = GatewaySpec("127.0.0.1", 8080, "token")
HELLO = m.Hello(m.PROTOCOL, 7, "3.11")


RING = Send(GATEWAY, m.MapPictures(CameraName("cam0"), 4, 640, 480), pictures=CameraName("cam0"))
TOLD = Send(Endpoint("camera", "cam0"), m.DetectionRate(0.0, True))


class Cameras:
    """What a gateway sees of the cameras."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, int, float, bool]] = []

    def rings(self) -> list[Action]:
        return [RING]

    def set_viewers(self, name: str | None, viewers: int, now_s: float, streamed: bool) -> list[Action]:
        self.asked.append((name, viewers, now_s, streamed))
        return [TOLD]


def started(cameras: Cameras | None = None, daemon: FakeDaemon | None = None, intake: FakeIntake | None = None) -> Gateway:
    cameras = cameras or Cameras()
    gateway = Gateway(
        SPEC,
        installation(gateway=True),
        daemon or FakeDaemon(),
        Limits(stopping_s=7.0),
        rings=cameras.rings,
        set_viewers=cameras.set_viewers,
        intake=cast("Intake", intake or FakeIntake()),
    )
    assert gateway.child.start(0.0) == [Spawn(GATEWAY, "default")]
    return gateway


def opened(cameras: Cameras | None = None, daemon: FakeDaemon | None = None) -> Gateway:
    gateway = started(cameras, daemon)
    gateway.handle(HELLO, 1.0)
    gateway.handle(m.GatewayOpened("127.0.0.1", 8080), 2.0)
    return gateway


def test_a_gateway_that_greets_is_told_what_to_open() -> None:
    gateway = started()
    assert gateway.address is None
    assert gateway.child.limits == Limits(stopping_s=7.0, silent_s=3.0)
    assert gateway.handle(HELLO, 1.0) == [Send(GATEWAY, m.OpenGateway(SPEC, "runtime", True, "state"))]
    assert gateway.child.state is State.OPENING


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("127.0.0.1", "serves http://127.0.0.1:8081/"),
        ("pi.local", "serves http://pi.local:8081/"),
        ("0.0.0.0", "listens on all addresses, port 8081"),
        ("::", "listens on all addresses, port 8081"),
    ],
)
def test_the_address_of_an_open_page_is_logged(host: str, text: str) -> None:
    gateway = started()
    gateway.handle(HELLO, 1.0)
    assert gateway.handle(m.GatewayOpened(host, 8081), 2.0) == [LogEvent("info", "page", text), RING]
    assert gateway.address == (host, 8081)
    assert (gateway.child.state, gateway.child.deadline_s) == (State.RUNNING, 5.0)


def test_the_addresses_of_apis_are_logged_too() -> None:
    gateway = started()
    gateway.handle(HELLO, 1.0)
    assert gateway.handle(m.GatewayOpened("127.0.0.1", 8081, ("0.0.0.0", 5), ("127.0.0.1", 8001)), 2.0)[:3] == [
        LogEvent("info", "page", "serves http://127.0.0.1:8081/"),
        LogEvent("info", "page", "for APIs alone: listens on all addresses, port 5"),
        LogEvent("info", "page", "gRPC for Open Inference: serves grpc://127.0.0.1:8001"),
    ]


def test_a_gateway_of_another_version_is_killed() -> None:
    text = f"killed: uses protocol {m.PROTOCOL + 1}, not {m.PROTOCOL}: install the daemon's version for its interpreter"
    assert started().handle(m.Hello(m.PROTOCOL + 1, 7, "3.11"), 1.0) == [LogEvent("warning", "gateway", text), Kill(GATEWAY)]


def test_an_open_page_is_sent_the_picture_rings() -> None:
    gateway = started()
    gateway.handle(HELLO, 1.0)
    where = LogEvent("info", "page", "serves http://127.0.0.1:8080/")
    assert gateway.handle(m.GatewayOpened("127.0.0.1", 8080), 2.0) == [where, RING]


def test_the_viewers_of_a_camera_are_told_to_the_cameras() -> None:
    cameras = Cameras()
    gateway = opened(cameras)
    assert gateway.handle(m.Watch(CameraName("cam0"), 2, streamed=False), 3.0) == [TOLD]
    assert cameras.asked == [("cam0", 2, 3.0, False)]


def test_a_page_that_ends_is_started_again_has_no_viewers_and_keeps_its_address() -> None:
    cameras = Cameras()
    gateway = opened(cameras)
    assert gateway.handle(Exited("killed by SIGSEGV", -11), 3.0) == [
        LogEvent("warning", "gateway", "ended (killed by SIGSEGV), restarting"),
        Spawn(GATEWAY, "default"),
    ]
    assert cameras.asked == [(None, 0, 3.0, True)]
    assert gateway.address == ("127.0.0.1", 8080)


def test_a_word_of_the_page_says_that_it_lives() -> None:
    gateway = opened()
    assert gateway.handle(m.Heartbeat(), 3.0) == []
    assert gateway.child.deadline_s == 6.0


def test_what_a_killed_page_still_says_does_not_count() -> None:
    cameras = Cameras()
    gateway = opened(cameras)
    gateway.child.kill(3.0, "it hangs")
    assert gateway.handle(m.Watch(CameraName("cam0"), 2), 4.0) == []
    assert cameras.asked == []


def test_a_page_that_cannot_be_started_is_tried_again_late() -> None:
    text = "ended (could not be started; no python), next try in 60 s"
    assert started().handle(SpawnFailed("no python"), 1.0) == [LogEvent("warning", "gateway", text)]


@pytest.mark.parametrize(("ever", "stopping", "refused"), [(False, False, True), (True, False, False), (False, True, False)])
def test_an_address_that_can_never_be_used_and_never_was_ends_the_daemon(ever: bool, stopping: bool, refused: bool) -> None:
    daemon = FakeDaemon()
    gateway = opened(daemon=daemon) if ever else started(daemon=daemon)
    daemon.stopping = stopping
    assert gateway.handle(m.Failed("open", "address in use", permanent=True), 3.0) == ([REFUSED] if refused else [])
    assert daemon.asked == ([("gateway", "address in use")] if refused else [])


def test_an_address_that_is_in_use_for_now_is_tried_again() -> None:
    daemon = FakeDaemon()
    gateway = started(daemon=daemon)
    assert gateway.handle(m.Failed("open", "busy"), 3.0) == []
    assert gateway.handle(Exited("exit code 1", 1), 4.0) == [
        LogEvent("warning", "gateway", "ended (exit code 1; busy), next try in 1 s")
    ]
    assert daemon.asked == []


def test_a_page_with_another_address_starts_again_and_is_told_it() -> None:
    gateway = opened()
    spec = GatewaySpec("127.0.0.1", 8081, "token")
    settings = msgspec.structs.replace(installation(gateway=True), runtime_dir="elsewhere")
    assert gateway.configure(spec, settings, 3.0) == [
        LogEvent("info", "page", "has new settings: restarting"),
        Send(GATEWAY, m.Stop()),
    ]
    assert gateway.handle(Exited("exit code 0", 0), 4.0) == [Spawn(GATEWAY, "default")]
    assert gateway.handle(HELLO, 5.0) == [Send(GATEWAY, m.OpenGateway(spec, "elsewhere", True, "state"))]


def test_a_page_whose_settings_are_the_same_goes_on() -> None:
    gateway = opened()
    assert gateway.configure(GatewaySpec("127.0.0.1", 8080, "token"), installation(gateway=True), 3.0) == []
    assert gateway.child.state is State.RUNNING


def test_a_warning_of_the_page_is_an_event() -> None:
    assert opened().handle(m.Warned("3 wrong tokens from 192.168.1.9"), 3.0) == [
        LogEvent("warning", "page", "3 wrong tokens from 192.168.1.9")
    ]


def test_a_replaced_token_is_kept_for_the_next_process_and_is_in_no_event() -> None:
    gateway = opened()
    (event,) = gateway.handle(m.TokenReplaced("another-token-of-16", viewer=False), 3.0)
    assert event == LogEvent("info", "page", "new token: sessions of the old one have ended")
    (event,) = gateway.handle(m.TokenReplaced("a-token-for-pictures", viewer=True), 3.0)
    assert event == LogEvent("info", "page", "new token for pictures")
    gateway.handle(Exited("exit code 1", 1), 4.0)
    (sent,) = gateway.handle(HELLO, 5.0)
    assert sent == Send(GATEWAY, m.OpenGateway(gateway.spec, "runtime", True, "state"))
    assert (gateway.spec.token, gateway.spec.viewer_token) == ("another-token-of-16", "a-token-for-pictures")


def test_clients_of_its_apis_are_known_until_it_ends() -> None:
    gateway, client = opened(), m.ClientsSeen([IntakeClient("10.0.0.2 oip", 3, 2, shed=1)])
    assert gateway.handle(client, 3.0) == []
    assert gateway.clients == client.clients
    gateway.handle(Exited("exit code 1", 1), 4.0)
    assert gateway.clients == []


def test_what_its_clients_ask_is_for_its_intake_which_ends_with_the_process() -> None:
    intake = FakeIntake()
    gateway = started(intake=intake)
    gateway.handle(HELLO, 1.0)
    assert gateway.handle(m.OpenIntake(), 2.0) == [LogEvent("info", "intake", "heard")]
    gateway.handle(m.Withdraw(5), 2.0)
    gateway.handle(Exited("exit code 1", 1), 3.0)
    assert intake.heard == [m.OpenIntake(), m.Withdraw(5), "lost"]
