"""Runs inside the machine, as root: does with the package what its owner does, and writes down what became of it.

python3 inside.py FIRST.deb SECOND.deb FILE     the answers, one JSON object
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

CONFIG, TOKEN = Path("/etc/ncs-cluster/ncs-cluster.toml"), Path("/etc/ncs-cluster/token")
STATE = Path("/var/lib/ncs-cluster")
MINUTE_S = 75.0
"""A minute of the history is whole after so long."""
READY_S = 240.0
NOT_THE_PACKAGES = (
    "proc",
    "sys",
    "dev",
    "run",
    "tmp",
    "out",
    "rig",
    "var/lib/dpkg",
    "var/lib/apt",
    "var/cache",
    "var/log",
    "var/tmp",
)
"""dpkg's and the running system's own."""
OF_DEBIAN = {"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/.pwd.lock", "/var/lib/systemd/linger"}
"""Backups and a lock that any change of users leaves, and a folder of systemd-logind's."""
INSTALL = ["apt-get", "install", "--yes", "--quiet", "-o", "APT::Sandbox::User=root"]


def call(*command: str) -> tuple[int, str]:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=False, env=environment, stdin=subprocess.DEVNULL
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def ready() -> str:
    """What /readyz answers at last: "200" as soon as it is so."""
    until_s, answer = time.monotonic() + READY_S, "no answer"
    while time.monotonic() < until_s:
        try:
            with urllib.request.urlopen("http://127.0.0.1:8080/readyz", timeout=10) as said:
                return str(said.status)
        except urllib.error.HTTPError as error:
            answer = f"{error.code} {error.read()[:200]!r}"
        except OSError as error:
            answer = str(error)
        time.sleep(0.2)
    return answer


def owner(path: Path) -> str:
    seen = path.stat()
    return f"{pwd.getpwuid(seen.st_uid).pw_name}:{grp.getgrgid(seen.st_gid).gr_name} {seen.st_mode & 0o777:o}"


def files() -> set[str]:
    """All files and folders of the machine but those of dpkg and of the running system."""
    found = set()
    for folder, folders, names in os.walk("/"):
        inside = folder.lstrip("/")
        folders[:] = [each for each in folders if f"{inside}/{each}".lstrip("/") not in NOT_THE_PACKAGES]
        found.update(os.path.join(folder, each) for each in (*folders, *names))
    return found


def service() -> str:
    _, text = call("systemctl", "show", "ncs-clusterd", "--property=ActiveState,UnitFileState,LoadState", "--value")
    return " ".join(sorted(text.split()))


def pid() -> str:
    return call("systemctl", "show", "ncs-clusterd", "--property=MainPID", "--value")[1]


def history() -> dict[str, list[list[Any]]]:
    """All rows of the history's file, by table."""
    queries = {
        "minutes": "SELECT kind, name, at, low, mean, high FROM minutes JOIN series ON series.id = series ORDER BY at, kind, name",
        "events": "SELECT id, at, level, who, name, text FROM events ORDER BY id",
    }
    database = sqlite3.connect(f"file:{STATE}/history.db?mode=ro", uri=True)
    try:
        return {table: [list(row) for row in database.execute(query)] for table, query in queries.items()}
    finally:
        database.close()


def story(first: str, second: str) -> dict[str, Any]:
    before = files()
    told: dict[str, Any] = {"install": call(*INSTALL, first), "installed": service(), "ready": ready(), "pid": pid()}
    told["owners"] = {str(path): owner(path) for path in (CONFIG.parent, CONFIG, TOKEN, STATE)}
    told["url"] = call("ncsctl", "url")
    told["own token"] = TOKEN.read_text().strip()
    told["user"] = Path(f"/proc/{told['pid']}").owner()
    told["verify"] = call("dpkg", "--verify", "ncs-cluster")
    told["uncompiled"] = [
        str(path)
        for path in Path("/usr/lib/ncs-cluster/lib").rglob("ncs_cluster/**/*.py")
        if not list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))
    ]
    told["man"] = {name: call("man", "-w", name) for name in ("ncsctl", "ncs-clusterd")}
    told["completion"] = call("bash", "-n", "/usr/share/bash-completion/completions/ncsctl")

    changed = CONFIG.read_text().replace('backend = "auto"', 'backend = "simulated"\nsticks = 3')
    CONFIG.write_text(changed)
    (STATE / "kept").write_text("history")
    call("systemctl", "restart", "ncs-clusterd")
    told["ready when simulated"] = ready()
    told["status"] = call("ncsctl", "status", "--json")
    time.sleep(MINUTE_S)
    # a daemon that stops writes what it has
    call("systemctl", "restart", "ncs-clusterd")
    told["history"] = history()
    kept_token = TOKEN.read_text()
    told["upgrade"] = call(*INSTALL, second)
    told["ready after the upgrade"], told["pid after the upgrade"] = ready(), pid()
    told["history after the upgrade"] = history()
    told["history shown after the upgrade"] = call("ncsctl", "history", "--state-dir", str(STATE), "--since", "1h", "--json")
    told["version"] = call("dpkg-query", "--show", "--showformat=${Version}", "ncs-cluster")
    told["kept by the upgrade"] = [
        CONFIG.read_text() == changed,
        TOKEN.read_text() == kept_token,
        (STATE / "kept").read_text() == "history",
    ]
    told["owner after the upgrade"] = owner(CONFIG)

    call("systemctl", "disable", "--now", "ncs-clusterd")
    told["reinstall while disabled"] = call(*INSTALL, "--allow-downgrades", first)
    told["disabled"] = service()
    told["remove"] = call("apt-get", "remove", "--yes", "--quiet", "ncs-cluster")
    told["removed"] = service()
    told["left by remove"] = sorted(files() - before - OF_DEBIAN)
    told["install again"] = call(*INSTALL, second)
    told["kept by remove"] = [CONFIG.read_text() == changed, TOKEN.read_text() == kept_token]
    told["still disabled"] = service()
    told["purge"] = call("apt-get", "purge", "--yes", "--quiet", "ncs-cluster")
    told["left by purge"] = sorted(files() - before - OF_DEBIAN)
    told["taken by purge"] = sorted(before - files() - OF_DEBIAN)
    told["users left"] = [call("getent", "passwd", "ncs")[0], call("getent", "group", "ncs")[0]]
    return told


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(story(sys.argv[1], sys.argv[2]), indent=1))
    print(call("journalctl", "--unit=ncs-clusterd", "--no-pager", "--lines=60")[1])
