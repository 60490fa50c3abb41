"""Machines whose service, its files, ports and surroundings are broken, each made of files, and what doctor says to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.doctor.tree import NCS, OWN, Tree

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
LOG = "journalctl -u ncs-clusterd -n 30"


def systemctl(tree: Tree, **properties: object) -> None:
    lines = "; ".join(f"echo {name}={value}" for name, value in properties.items())
    tree.program("systemctl", lines)


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        (
            {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": 78},
            (
                "FAIL",
                "the service has stopped: it refuses a setting (exit code 78)",
                f"{LOG}; then sudo systemctl restart ncs-clusterd",
            ),
        ),
        (
            {"ActiveState": "failed", "Result": "oom-kill", "ExecMainStatus": 9},
            ("FAIL", "the service has failed (oom-kill, exit code 9)", f"{LOG}; then sudo systemctl restart ncs-clusterd"),
        ),
        (
            {"ActiveState": "activating", "SubState": "auto-restart", "NRestarts": 12, "Result": "signal"},
            ("FAIL", "the service ends again and again, 12 restarts so far (signal)", LOG),
        ),
        (
            {"ActiveState": "inactive", "UnitFileState": "disabled"},
            ("FAIL", "the service is inactive", "sudo systemctl enable --now ncs-clusterd"),
        ),
        (
            {"ActiveState": "active", "UnitFileState": "disabled", "NRestarts": 0},
            ("WARN", "the service runs, but does not start at boot: it is not enabled", "sudo systemctl enable ncs-clusterd"),
        ),
        (
            {"ActiveState": "active", "UnitFileState": "enabled", "NRestarts": 2},
            ("PASS", "ncs-clusterd is active, enabled, 2 restarts", None),
        ),
    ],
)
def test_the_state_of_the_service(tree: Tree, properties: dict[str, object], said: tuple[str, str, str | None]) -> None:
    systemctl(tree, **properties)
    assert tree.said("service", everything=True) == [said]


def test_a_unit_whose_user_does_not_exist(tree: Tree) -> None:
    tree.file("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
    remedy = "sudo adduser --system --group --no-create-home --home /nonexistent ncs"
    text = "/etc/systemd/system/ncs-clusterd.service runs as user ncs, which this machine does not have"
    assert tree.said("service") == [("FAIL", text, remedy)]


def test_settings_that_the_daemon_refuses(tree: Tree) -> None:
    tree.config('switch-temp = "hot"\n')
    ((level, text, remedy),) = tree.said("settings")
    check = "sudo ncsctl config check --config /etc/ncs-cluster.toml"
    assert (level, remedy) == ("FAIL", f"sudoedit /etc/ncs-cluster.toml; then: {check}")
    assert text.startswith("the daemon refuses its settings: /etc/ncs-cluster.toml: switch_temp: ")


def test_a_fault_in_one_part_of_the_settings_hides_nothing_else(tree: Tree) -> None:
    tree.config('[cameras.door]\nsource = "nothing.xyz"\n[mqtt]\nbroker = "a/b"\n')
    said = [text for _, text, _ in tree.said("settings", "firmware")]
    assert [text.split(":")[2].strip() for text in said[:2]] == ["cameras.door.source", "mqtt.broker"]
    assert said[2].startswith("there is no firmware ")


def test_files_in_folders_that_are_closed_to_the_service(tree: Tree) -> None:
    demo = Path(__file__).parents[3] / "graphs/demo"
    for name in ("graph.toml", "labels.txt", "demo.xml", "demo.bin"):
        tree.file(f"/home/pi/mine/{name}", (demo / name).read_bytes())
    (tree.root / "home/pi").chmod(0o700)
    token = tree.file("/etc/ncs-cluster.token", "0123456789abcdef0123", 0o600)
    tree.config(f'token-file = "{token}"\ngraphs.mine.path = "{tree.root}/home/pi/mine"\n', 0o644, backend="simulated")
    file = tree.root / "etc/ncs-cluster.toml"
    file.write_text(file.read_text().replace('["demo"]', '["mine"]'))
    model = "/home/pi/mine/demo.xml"
    assert tree.said("files") == [
        (
            "FAIL",
            "the token: user ncs may not read /etc/ncs-cluster.token",
            "sudo chgrp ncs /etc/ncs-cluster.token && sudo chmod g+r /etc/ncs-cluster.token",
        ),
        (
            "FAIL",
            f"graph mine: user ncs may not enter /home/pi, on the way to {model}",
            "sudo chmod o+x /home/pi; or move the file, to /opt or /var/lib/ncs-cluster",
        ),
    ]
    (tree.root / "home/pi").chmod(0o711)
    tree.unit(f"SupplementaryGroups={OWN}\n")
    token.chmod(0o640)
    assert tree.said("files", everything=True) == [("PASS", "user ncs may read what the settings name, 3 files", None)]


def test_secrets_that_every_user_may_read(tree: Tree) -> None:
    tree.config('[cameras.door]\nsource = "rtsp://user:geheim@192.168.1.20/stream"\n', 0o646)
    assert tree.said("secrets") == [
        ("FAIL", "every user may change /etc/ncs-cluster.toml", "sudo chmod go-w /etc/ncs-cluster.toml"),
        ("FAIL", "/etc/ncs-cluster.toml holds a password, and every user may read it", "sudo chmod o-rwx /etc/ncs-cluster.toml"),
    ]
    tree.config('# source = "rtsp://user:geheim@192.168.1.20/stream"\ntoken-file = "/etc/ncs-cluster.token"\n', 0o644)
    assert tree.said("secrets", everything=True) == [("PASS", "/etc/ncs-cluster.toml: mode 0644", None)]


def test_a_runtime_directory_that_is_open_to_all_and_a_daemon_that_does_not_answer(tree: Tree) -> None:
    lock = tree.file("/run/ncs-cluster/daemon.lock", "4711\n")
    lock.parent.chmod(0o757)
    tree.file("/proc/locks", f"1: FLOCK  ADVISORY  WRITE 4711 fe:00:{lock.stat().st_ino} 0 EOF\n")
    tree.file("/tmp/mvnc.mutex", "", 0o640)
    # the user of the service owns the folder, as where systemd has made it
    tree.file("/etc/passwd", f"root:x:0:0::/root:/bin/sh\nncs:x:{os.getuid()}:{NCS}::/nonexistent:/bin/false\n")
    assert tree.said("locks") == [
        ("FAIL", "every user may write into /run/ncs-cluster: the daemon refuses it", "sudo chmod o-w /run/ncs-cluster"),
        (
            "FAIL",
            "process 4711 holds /run/ncs-cluster/daemon.lock and answers nothing",
            "ps -o user,stat,args -p 4711; sudo kill 4711",
        ),
    ]


def test_the_vendors_lock_of_another_user(tree: Tree) -> None:
    tree.file("/tmp/mvnc.mutex", "", 0o640)
    owner = "root" if os.getuid() == 0 else str(os.getuid())
    text = f"/tmp/mvnc.mutex belongs to user {owner}: the vendor's plugin of user ncs would abort"
    assert tree.said("locks") == [("WARN", text, "sudo rm /tmp/mvnc.mutex")]
    tree.unit("PrivateTmp=yes\n")
    assert tree.said("locks") == []


def test_a_port_that_another_program_has(tree: Tree) -> None:
    tree.config('listen = "127.0.0.1:8080"\n')
    row = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0\n"
    tree.file(
        "/proc/net/tcp", "  sl  local_address rem_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n" + row
    )
    remedy = "sudo ss -ltnp 'sport = :8080'; or choose another: ncs-clusterd --listen 127.0.0.1:8081"
    assert tree.said("ports") == [("FAIL", "the page: another program listens on 127.0.0.1:8080 already", remedy)]
    tree.file("/proc/99/comm", "node-red\n")
    tree.link("/proc/99/fd/7", "socket:[4242]")
    assert tree.said("ports") == [("FAIL", "the page: node-red (pid 99) listens on 127.0.0.1:8080 already", remedy)]
    tree.config('listen = "127.0.0.1:80"\n')
    low = "ncs-clusterd --listen 127.0.0.1:8080"
    assert tree.said("ports") == [("FAIL", "the page: port 80 is not for ordinary users", low)]
    tree.config('listen = "127.0.0.1:8081"\n')
    assert tree.said("ports", everything=True) == [("PASS", "the page: 127.0.0.1:8081 is free", None)]


def test_results_in_a_folder_that_is_missing_and_a_state_directory_of_another_user(tree: Tree) -> None:
    (tree.root / "var/lib/ncs-cluster").mkdir(parents=True, mode=0o755)
    text = "user ncs may not write into /var/lib/ncs-cluster"
    assert tree.said("disk") == [("FAIL", text, "sudo chown -R ncs /var/lib/ncs-cluster")]


def test_little_memory_and_a_clock_that_is_not_synchronised(tree: Tree) -> None:
    tree.file("/proc/meminfo", "MemTotal:  949448 kB\nMemAvailable:  101000 kB\n")
    tree.file("/run/systemd/timesync/other")
    tree.stick("1-1.2")
    tree.stick("1-1.3")
    memory, clock = tree.said("memory", "clock")
    need = "101 MB are free; workers (2), cameras (1) and the rest take about 230 MB"
    assert memory == ("WARN", need, "ps -eo pmem,rss,pid,comm --sort=-rss | head -n 15")
    assert (clock[0], clock[1][16:], clock[2]) == (
        "WARN",
        " UTC: the clock is not synchronised",
        "sudo timedatectl set-ntp true && timedatectl timesync-status",
    )
    tree.file("/run/systemd/timesync/synchronized")
    assert tree.said("clock") == []
