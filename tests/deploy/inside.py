"""Runs inside the container, as root, beside the service: does to it what happens to services, and writes down what became of it.

python inside.py FILE     the answers, one JSON object
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

UNIT = "ncs-clusterd.service"
CTL = ["/opt/ncs-cluster/bin/ncsctl"]
DOCTOR = ["doctor", "--json", "--patience", "4", "daemon", "service", "settings", "files", "ports", "locks"]
CONFIG = Path("/etc/ncs-cluster/ncs-cluster.toml")
TOKEN = Path("/etc/ncs-cluster/token")
PROPERTIES = "MainPID,ActiveState,SubState,Result,StatusText,NRestarts,ExecMainStatus,ControlGroup"


def call(*command: str) -> tuple[int, str]:
    # a stranger may not look where the interpreter remembers its own library to be
    env = {**os.environ, "LD_LIBRARY_PATH": "/rig/python/lib"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
    return done.returncode, (done.stdout + done.stderr).strip()


def shown() -> dict[str, str]:
    _, text = call("systemctl", "show", UNIT, "--property", PROPERTIES)
    return dict(line.split("=", 1) for line in text.splitlines())


def until(holds: Callable[[dict[str, str]], bool], timeout_s: float = 40.0) -> dict[str, str]:
    """What systemd shows as soon as it holds, or at last when it never does."""
    until_s = time.monotonic() + timeout_s
    while not holds(now := shown()) and time.monotonic() < until_s:
        time.sleep(0.05)
    return now


def at_work(restarts: int) -> Callable[[dict[str, str]], bool]:
    """Started again so many times, and at work: "active: sim-1, sim-2; sticks present: 4"."""
    return lambda now: (
        now["NRestarts"] == str(restarts) and now["ActiveState"] == "active" and now["StatusText"].startswith("active: sim-")
    )


def page(token: str) -> int | str:
    """The answer's code, as soon as there is one."""
    asked = urllib.request.Request("http://127.0.0.1:8080/api/status", headers={"Authorization": f"Bearer {token}"})
    for _ in range(200):
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError as error:
            why = str(error)
            time.sleep(0.1)
    return why


def journal() -> str:
    return call("journalctl", "--unit", UNIT, "--output", "short-precise", "--no-hostname")[1]


def processes() -> list[int]:
    """All whose user is ncs."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.owner() == "ncs":
                found.append(int(folder.name))
        except (OSError, KeyError):
            continue
    return found


def story() -> dict[str, Any]:
    told: dict[str, Any] = {"start": call("systemctl", "start", UNIT), "started": shown()}
    told["at work"] = until(at_work(0))
    told["status"] = call(*CTL, "status", "--json")
    pid = int(told["at work"]["MainPID"])
    told["core size"] = next(line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if "core file" in line)
    told["seccomp"] = "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()
    told["user"] = Path(f"/proc/{pid}").owner()
    told["no new privileges"] = "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()
    told["runtime directory"] = oct(Path("/run/ncs-cluster").stat().st_mode & 0o777)
    told["children"] = len(processes()) - 1
    told["page"] = page(TOKEN.read_text().strip())
    told["page to a stranger"] = page("guessed")
    told["a stranger asks"] = call("setpriv", "--reuid=65534", "--clear-groups", *CTL, "status")

    told["doctor at work"] = call(*CTL, *DOCTOR)

    good = CONFIG.read_text()
    CONFIG.write_text(f"switch_temp = 61\n{good}")
    told["reload"] = call("systemctl", "reload", UNIT)
    CONFIG.write_text(good + "stiks = 4\n")
    told["reload with a wrong setting"] = call("systemctl", "reload", UNIT)[0]
    CONFIG.write_text(good)
    told["after reloads"] = shown()
    told["events"] = call(*CTL, "events")[1]

    os.kill(pid, signal.SIGKILL)
    told["killed"] = until(at_work(1))
    os.kill(int(told["killed"]["MainPID"]), signal.SIGSTOP)
    told["stopped by a signal"] = until(at_work(2))

    began_s = time.monotonic()
    told["stop"] = call("systemctl", "stop", UNIT)
    told["stop took"] = time.monotonic() - began_s
    told["stopped"] = shown()
    told["left"] = processes()
    told["runtime directory left"] = Path("/run/ncs-cluster").exists()

    CONFIG.write_text(good + "stiks = 4\n")
    told["start with a wrong setting"] = call("systemctl", "start", UNIT)
    told["refused"] = shown()
    told["doctor when refused"] = call(*CTL, *DOCTOR)
    told["journal"] = journal()
    return told


if __name__ == "__main__":
    try:
        Path(sys.argv[1]).write_text(json.dumps(story(), indent=1))
    except Exception:
        print(journal())
        raise
