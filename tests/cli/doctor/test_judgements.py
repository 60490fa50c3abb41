"""What facts mean, where a machine of files cannot have them: full disks, old clocks, a daemon's own figures."""

from __future__ import annotations

from typing import Any

import pytest

from ncs_cluster.cli.doctor.checks import (
    broker,
    clients,
    clock,
    daemon,
    disk,
    fallback,
    firmware,
    graphs,
    nats,
    packages,
    secrets,
    settings,
    sticks,
)
from ncs_cluster.cli.doctor.finding import Finding
from ncs_cluster.cli.doctor.machine import Access, Who
from ncs_cluster.status import IntakeStatus, LatencyStatus
from ncs_cluster.testing.control import some_status
from ncs_cluster.types import IntakeClient

Line = tuple[str, str, str | None]
NCS = Who("ncs", 990, frozenset({990, 44}))


def lines(found: list[Finding]) -> list[Line]:
    return [(each.level, each.text, each.remedy) for each in found]


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (
            {"free_mb": 20.0},
            ("FAIL", "/srv/found.jsonl: 20 MB are free", "sudo du -xh --max-depth=2 /srv | sort -h | tail; df -h /srv"),
        ),
        (
            {"free_mb": 300.0},
            ("WARN", "/srv/found.jsonl: 300 MB are free", "sudo du -xh --max-depth=2 /srv | sort -h | tail; df -h /srv"),
        ),
        (
            {"free_inodes": 0.0},
            (
                "FAIL",
                "/srv/found.jsonl: 0.0 % of the inodes are free",
                "df -i /srv; sudo du -x --inodes /srv | sort -n | tail",
            ),
        ),
        (
            {"read_only": True},
            (
                "FAIL",
                "/srv/found.jsonl is on a file system that can only be read",
                "sudo mount -o remount,rw $(findmnt -no TARGET -T /srv)",
            ),
        ),
        (
            {"access": Access("/srv", 0o755, 0, 0)},
            ("FAIL", "user ncs may not write into /srv", "sudo install -d -o ncs /srv/found.jsonl"),
        ),
        ({"access": Access("/srv", 0o775, 0, 44)}, ("PASS", "/srv/found.jsonl: 25 GB free, user ncs may write", None)),
    ],
)
def test_full_and_closed_disks(place: dict[str, object], line: Line) -> None:
    whole = disk.Place("/srv/found.jsonl", "/srv", 25_000.0, 0.8, False, None)._replace(**place)  # type: ignore[arg-type]
    assert lines(disk.judge(disk.Facts(NCS, [whole], {}))) == [line]


def test_a_clock_before_this_package_was_made() -> None:
    (line,) = lines(clock.judge(clock.Facts(86_400.0, None)))
    assert line == ("FAIL", "the clock says 1970-01-02 00:00 UTC", clock.SYNC)
    assert lines(clock.judge(clock.Facts(1_800_000_000.0, True))) == [("PASS", "2027-01-15 08:00 UTC, synchronised", None)]


def intake(*seen: IntakeClient, **changed: object) -> IntakeStatus:
    values: dict[str, Any] = {
        "name": "frigate",
        "address": "tcp://127.0.0.1:5555",
        "state": "running",
        "detail": None,
        **changed,
    }
    return IntakeStatus(
        open=0, fps=0.0, answered=0, failed=0, withdrawn=0, latency_ms=LatencyStatus(None, None), clients=list(seen), **values
    )


def test_each_client_of_frigate_with_its_handshakes_frames_late_answers_and_those_that_never_send() -> None:
    found = clients.judge(
        clients.Facts(
            [],
            [
                intake(
                    IntakeClient("local ssd", asked=9000, answered=8990, late=10, handshakes=2),
                    IntakeClient("10.0.0.7 yolo", handshakes=3, detail="has shaken hands and never sent a frame"),
                    IntakeClient("10.0.0.8 ssd", asked=100, answered=40, late=60, handshakes=61),
                    IntakeClient("10.0.0.9", asked=100, answered=90, shed=10),
                )
            ],
        )
    )
    assert lines(found) == [
        ("PASS", "frigate client local ssd: 2 handshakes, 9000 frames, 8990 answered, 10 late", None),
        (
            "WARN",
            "frigate client 10.0.0.7 yolo: 3 handshakes, 0 frames, 0 answered, 0 late: it has never sent a frame",
            "ncsctl frigate; then restart Frigate",
        ),
        (
            "WARN",
            "frigate client 10.0.0.8 ssd: 61 handshakes, 100 frames, 40 answered, 60 late: the sticks are slower than it asks",
            "ncsctl status; docs/integrations.md: fewer frames, or more sticks",
        ),
        (
            "WARN",
            "frigate client 10.0.0.9: 100 frames, 90 answered, 0 late, 10 shed: the sticks are slower than it asks",
            "ncsctl status; docs/integrations.md: fewer frames, or more sticks",
        ),
    ]


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (
            clients.Facts(["frigate at tcp://127.0.0.1:5555"], None),
            ("SKIP", "frigate at tcp://127.0.0.1:5555: clients are seen while the daemon runs", None),
        ),
        (clients.Facts([], [intake()]), ("WARN", "no client has come to frigate at tcp://127.0.0.1:5555", "ncsctl frigate")),
        (
            clients.Facts([], [intake(state="backoff", detail="another program has tcp://127.0.0.1:5555")]),
            (
                "WARN",
                "frigate at tcp://127.0.0.1:5555 is backoff: another program has tcp://127.0.0.1:5555",
                "ncsctl events",
            ),
        ),
        (clients.Facts([], [intake(name="api", state="open")]), ("SKIP", "no client has come", None)),
        (clients.Facts([], []), ("SKIP", "no other program's pictures are served", None)),
    ],
)
def test_intakes_without_clients(facts: clients.Facts, line: Line) -> None:
    assert lines(clients.judge(facts)) == [line]


def test_a_daemon_tells_each_reason_and_another_version() -> None:
    status = some_status().daemon
    assert lines(daemon.judge(daemon.Facts(status, None))) == [("PASS", f"ncs-clusterd 0.1.0, pid {status.pid}: ok", None)]
    import msgspec

    down = msgspec.structs.replace(status, state="down", reasons=["no stick is plugged in"], version="0.0.9")
    assert lines(daemon.judge(daemon.Facts(down, None))) == [
        ("FAIL", "the daemon is down: no stick is plugged in", "ncsctl status; ncsctl events"),
        ("WARN", "ncs-clusterd 0.0.9 runs, and 0.1.0 is installed", "sudo systemctl restart ncs-clusterd"),
    ]


@pytest.mark.parametrize(
    ("silence", "line"),
    [
        (None, ("SKIP", "no daemon runs: settings and machine are judged without its status", None)),
        (
            "no permission to use /run/ncs-cluster/control.sock: join",
            ("SKIP", "a daemon may run, but its control socket is closed to this user", "sudo ncsctl doctor"),
        ),
        ("ncs-clusterd is starting: x", ("SKIP", "ncs-clusterd is starting: x; try again when it has started", "ncsctl doctor")),
        ("ncs-clusterd does not answer", ("FAIL", "ncs-clusterd does not answer", "journalctl -u ncs-clusterd -n 50")),
    ],
)
def test_a_daemon_that_is_silent(silence: str | None, line: Line) -> None:
    assert lines(daemon.judge(daemon.Facts(None, silence))) == [line]


def test_the_daemon_s_word_on_its_sticks_goes_before_the_bus() -> None:
    driven = [
        sticks.Driven("ncs-1-1.1", "1-1.1", "active", None),
        sticks.Driven("ncs-1-1.2", "1-1.2", "absent", "unplugged"),
        sticks.Driven("ncs-1-1.3", "1-1.3", "quarantined", "computes wrongly"),
        sticks.Driven("ncs-1-1.4", "1-1.4", "resting", "unplugged"),
        sticks.Driven("ncs-1-1.5", "1-1.5", "parked", None),
    ]
    facts = sticks.Facts(True, True, [sticks.Seen("1-1.1", True, None)], {}, driven)
    assert lines(sticks.judge(facts)) == [
        ("PASS", "ncs-1-1.1 at port 1-1.1 is active", None),
        ("FAIL", "ncs-1-1.2 at port 1-1.2 is absent: unplugged", sticks.POWER),
        ("FAIL", "ncs-1-1.3 at port 1-1.3 is quarantined: computes wrongly", "ncsctl events"),
        (
            "WARN",
            "ncs-1-1.4 at port 1-1.4 is resting",
            "ncsctl status; docs/thermal.md: fewer sticks per cluster, or better cooling",
        ),
        ("WARN", "ncs-1-1.5 at port 1-1.5 is parked", "ncsctl stick work ncs-1-1.5"),
    ]


def test_sticks_that_the_settings_do_not_use() -> None:
    facts = sticks.Facts(False, False, [sticks.Seen("1-1.1", False, None)], {}, [])
    text = "port 1-1.1: sticks that the settings do not use"
    assert lines(sticks.judge(facts)) == [("WARN", text, 'ncs-clusterd --backend xlink, or backend = "xlink"')]


def test_what_another_user_may_not_look_at_is_not_judged() -> None:
    denied = "/etc/ncs-cluster.toml: cannot be read: Permission denied; give --config a file that can"
    file = "/etc/ncs-cluster.toml"
    facts = settings.Facts(file, {"settings": denied}, False, True, False)
    assert lines(settings.judge(facts)) == [("SKIP", f"not judged: {denied}", "sudo ncsctl doctor")]
    (line,) = lines(settings.judge(facts._replace(foreign=False)))
    assert line == (
        "FAIL",
        f"the daemon refuses its settings: {denied}",
        f"sudoedit {file}; then: sudo ncsctl config check --config {file}",
    )
    hidden = firmware.Facts(True, True, "/var/lib/ncs-cluster/firmware/usb-ma2x8x.mvcmd", None, False, False, "")
    (line,) = lines(firmware.judge(hidden))
    assert line == ("SKIP", f"{hidden.path}: not judged, this user may not look at it", "sudo ncsctl doctor")


def test_settings_that_take_too_long_to_read_are_not_called_wrong() -> None:
    facts = settings.Facts(None, {"settings": "reading them takes longer than 4 s"}, False, False, True)
    text = "reading them takes longer than 4 s: the rest is judged without them"
    assert lines(settings.judge(facts)) == [("WARN", text, "ncsctl doctor --patience 5")]


def test_a_graph_that_loads_slowly_is_no_failure() -> None:
    slow = "graph yolox: loading takes longer than 6 s: is a model damaged?"
    facts = graphs.Facts(["yolox"], None, {"openvino": slow}, None)
    text = "graph yolox: not loaded for backend openvino: loading takes longer than 6 s"
    assert lines(graphs.judge(facts)) == [("WARN", text, "ncsctl graphs check yolox")]
    assert lines(graphs.judge(graphs.Facts([], None, {}, ["demo"]))) == [("PASS", "the daemon has loaded demo", None)]


def test_packages_that_are_missing_or_of_an_untried_version() -> None:
    known = [
        packages.Package("numpy", ">=2.0.2,<2.5", "2.6.0", True),
        packages.Package("msgspec", ">=0.19,<0.23", None, True),
        packages.Package("pyzmq", ">=26.2,<27.4", None, False),
    ]
    assert lines(packages.judge(packages.Facts(known, {}, None))) == [
        ("WARN", "numpy 2.6.0 is installed; tried are >=2.0.2,<2.5", f"{packages.PIP} 'numpy>=2.0.2,<2.5'"),
        ("FAIL", "package msgspec is missing", f"{packages.PIP} 'msgspec>=0.19,<0.23'"),
    ]


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("2.4.6", ">=2.0.2,<2.5", True),
        ("2.5", ">=2.0.2,<2.5", False),
        ("2.5.0", "<2.5", False),
        ("4.12.0.88", ">=4.12.0.88,<5.1", True),
        ("4.9", ">=4.12.0.88", False),
        ("2025.0.0rc1", ">=2025.0", True),
        ("1.10", ">=1.9", True),
        ("1.0", "", True),
    ],
)
def test_versions_are_compared_by_number(version: str, wanted: str, fits: bool) -> None:
    assert packages.fits(version, wanted) is fits


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ('source = "rtsp://user:pw@host/stream"', True),
        ('mqtt.password = "pw"', True),
        ('password-file = "/etc/ncs-cluster.mqtt"', False),
        ('token-file = "/etc/ncs-cluster.token"', False),
        ('source = "rtsp://host:554/stream"', False),
        ('# source = "rtsp://user:pw@host/stream"', False),
        ('source = "http://user@host/"', False),
    ],
)
def test_which_settings_hold_a_secret(text: str, secret: bool) -> None:
    assert secrets.holds_secret(f"x = 1\n{text}\n") is secret


def test_a_password_on_the_daemon_s_command_line() -> None:
    text = "the daemon's command line holds a password, which every user can list"
    remedy = "write it into a file of mode 0600, and start the daemon with --config FILE"
    found = lines(secrets.judge(secrets.Facts(None, False, True)))
    assert found == [("WARN", text, remedy)]


def test_what_the_daemon_says_of_a_broker_that_answers() -> None:
    facts = broker.Facts("mqtt://b:1883", "b", 1883, None, "refuses user ncs")
    assert lines(broker.judge(facts)) == [("WARN", "mqtt://b:1883: refuses user ncs", "ncsctl events")]


def test_what_keeps_the_daemon_out_of_its_fleet() -> None:
    known = nats.Facts("nats://n:4222", "n", 4222, None, False, False, None)
    assert lines(nats.judge(known)) == [("PASS", "nats://n:4222 lets this daemon in", None)]
    said = known._replace(said="JetStream is off")
    assert lines(nats.judge(said)) == [("WARN", "nats://n:4222: JetStream is off", "ncsctl events")]
    lacking = known._replace(problem="--nats needs nats-py", lacking=True)
    assert lines(nats.judge(lacking)) == [("FAIL", "--nats needs nats-py", "pip install 'ncs-cluster[fleet]'")]


def test_a_fallback_of_a_running_daemon_that_does_not_stand_by_or_takes_too_long_to_try() -> None:
    facts = fallback.Facts("openvino", "the CPU", ["demo"], None, False, True)
    text = "the CPU does not stand by, though it could load the graphs"
    assert lines(fallback.judge(facts)) == [("WARN", text, "ncsctl status; ncsctl events --level warning")]
    assert [each.level for each in fallback.judge(facts._replace(standby=False))] == ["PASS"]
    slow = facts._replace(problem="graph demo: loading it takes longer than 6 s")
    (finding,) = fallback.judge(slow)
    assert (finding.level, finding.remedy) == ("WARN", "sudo ncsctl doctor fallback --patience 5")


def test_access_is_that_of_owner_group_or_others() -> None:
    node = Access("/dev/x", 0o660, 0, 44)
    assert node.allows(NCS)
    assert not node.allows(NCS._replace(groups=frozenset({990})))
    # the owner's rights count alone, though the group has more
    assert not Access("/dev/x", 0o060, 990, 44).allows(NCS)
    assert Access("/dev/x", 0o000, 5, 5).allows(Who("root", 0, frozenset()))
    assert Access("/dev/x", 0o600, 5, 5, mine=True).allows(NCS)
