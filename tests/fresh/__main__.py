"""Makes machines from nothing and runs the two README commands in a clone on each: `tests/fresh/run --help`.

`make run` passes when the daemon is ready within 15 minutes, infers frames, and ends by Ctrl-C with no process left. `make test`
passes when it exits 0. The table goes to standard output, logs into the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from tests.fresh import chroot
from tests.fresh.machines import MACHINES, Machine

PROJECT = Path(__file__).resolve().parents[2]
PAGE = "http://127.0.0.1:8080"
RUN_S, TEST_S, STOP_S = 900.0, 1800.0, 20.0
LEFT = "import os, sys; sys.exit([pid for pid in os.listdir('/proc') if pid.isdigit() and int(pid) not in (1, os.getpid())] != [])"
LEFT_CODE = 99


class Row(NamedTuple):
    """What became of one machine."""

    machine: Machine
    run: str
    test: str
    minutes: float
    data: bool = False
    """The published models and media were there."""


def main() -> int:
    names = [machine.name for machine in MACHINES]
    parser = argparse.ArgumentParser(prog="tests/fresh/run", description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("machine", nargs="*", help=f"which of {', '.join(names)}; all without any")
    parser.add_argument("--folder", type=Path, default=PROJECT / "build/fresh", help="for roots, caches and logs (build/fresh)")
    parser.add_argument("--keep", action="store_true", help="keep the machines' roots")
    parser.add_argument("--only", choices=("run", "test"), help="one of the two commands")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.machine) - set(names)):
        parser.error(f"there is no machine {', '.join(unknown)}; there are {', '.join(names)}")
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        parser.error("needs root and mmdebstrap (apt install mmdebstrap)")
    chosen = [machine for machine in MACHINES if machine.name in asked.machine or not asked.machine]
    folder = asked.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for machine in chosen:
        row = prove(machine, folder, asked.only)
        rows.append(row)
        print(f"{machine.name}: make run {row.run}; make test {row.test}; {row.minutes:.1f} min", file=sys.stderr, flush=True)
        if not asked.keep:
            shutil.rmtree(folder / machine.name, ignore_errors=True)
    print(table(rows))
    left_out = {"run": asked.only == "test", "test": asked.only == "run"}
    passed = [row.run.startswith("ok") or left_out["run"] for row in rows]
    passed += [row.test.startswith("ok") or left_out["test"] for row in rows]
    return 0 if all(passed) else 1


def prove(machine: Machine, folder: Path, only: str | None) -> Row:
    """Makes one machine, clones HEAD there and types the commands."""
    began_s = time.monotonic()
    if machine.python and chroot.lent_python(machine.python) is None:
        lack = f"no Python {machine.python} below ~/.pyenv"
        return Row(machine, lack, lack, 0.0)
    try:
        chroot.make(machine, folder)
    except subprocess.CalledProcessError as error:
        return Row(machine, f"no machine: {error.output.strip()[-300:]}", "-", (time.monotonic() - began_s) / 60)
    given = folder / "given"
    given.mkdir(exist_ok=True)
    bundle = given / "ncs_cluster.bundle"
    subprocess.run(["git", "-C", PROJECT, "bundle", "create", "--quiet", bundle, "HEAD"], check=True)
    bundle.chmod(0o644)
    data = Path(os.environ.get("NCS_CLUSTER_TEST_DATA", PROJECT.parent / "shared"))
    enter, environment = chroot.enter(machine, folder, given, data if data.is_dir() else None)
    clone = shlex.quote(f"{machine.home}/{machine.clone}")
    subprocess.run(
        [
            *enter,
            f"git -c advice.detachedHead=false -c init.defaultBranch=main clone --quiet /mnt/given/ncs_cluster.bundle {clone}",
        ],
        env=environment,
        check=True,
    )
    python = chroot.lent_python(machine.python) if machine.python else None
    make = f"cd {clone} && make %s" + (f" PYTHON={shlex.quote(f'{python}/bin/python3')}" if python else "")
    logs = {each: folder / f"{machine.name}-{each}.log" for each in ("run", "test")}
    typed = f"{make % 'run'}; code=$?; python3 -c {shlex.quote(LEFT)} || exit {LEFT_CODE}; exit $code"
    ran = run([*enter, typed], environment, logs["run"]) if only != "test" else "-"
    tested = test([*enter, make % "test"], environment, logs["test"]) if only != "run" else "-"
    return Row(machine, ran, tested, (time.monotonic() - began_s) / 60, machine.data and data.is_dir())


def run(command: list[str], environment: dict[str, str], log: Path) -> str:
    """`make run` until it is ready and has inferred, then Ctrl-C."""
    if ready() is not None:
        return f"{PAGE} answers already: end that daemon first"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    began_s = time.monotonic()
    try:
        while not (inferences := ready()):
            if process.poll() is not None:
                return f"ended with {process.returncode}: see {log.name}"
            if time.monotonic() - began_s > RUN_S:
                return f"not ready after {RUN_S:.0f} s: see {log.name}"
            time.sleep(0.5)
        ready_s = time.monotonic() - began_s
        time.sleep(5)
        more = (ready() or 0) - inferences
        if process.poll() is not None:
            return f"ended by itself with {process.returncode}: see {log.name}"
        os.killpg(process.pid, signal.SIGINT)
        try:
            code = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            return f"not ended {STOP_S:.0f} s after Ctrl-C: see {log.name}"
    finally:
        process.kill()
    if code == LEFT_CODE:
        return "processes are left after Ctrl-C"
    if code not in (0, 130):
        return f"Ctrl-C: exit code {code}: see {log.name}"
    if "Traceback" in log.read_text(errors="replace"):
        return f"a traceback: see {log.name}"
    return f"ok, ready after {ready_s:.0f} s, {more / 5:.0f}/s, Ctrl-C: {code}" if more > 0 else "no inference in 5 s"


def ready() -> int | None:
    """Inferences so far, 0 while the page says that not all is well, None while nothing answers."""
    try:
        with urllib.request.urlopen(f"{PAGE}/readyz", timeout=5), urllib.request.urlopen(f"{PAGE}/api/status", timeout=5) as answer:
            return sum(stick["inferences"] for stick in json.load(answer)["sticks"])
    except urllib.error.HTTPError:
        return 0
    except OSError:
        return None


def test(command: list[str], environment: dict[str, str], log: Path) -> str:
    """`make test`; the last line that pytest prints, and the tests that failed."""
    began_s = time.monotonic()
    with log.open("wb") as file:
        try:
            code = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=TEST_S, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            return f"not done after {TEST_S:.0f} s: see {log.name}"
    said = log.read_text(errors="replace")
    counts = re.findall(r"\d+ (?:passed|failed|skipped|errors?)\b", (said.splitlines() or [""])[-1] if code == 0 else said[-300:])
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
    told = f"{', '.join(counts) or 'no tests ran'}, {time.monotonic() - began_s:.0f} s"
    return f"ok, {told}" if code == 0 and counts else f"exit {code}, {told}: {' '.join(failed[:8])}"


def table(rows: list[Row]) -> str:
    lines = [
        "| machine | Debian | Python | user | folder | locale | installed | data | make run | make test | minutes |",
        "|---" * 11 + "|",
    ]
    for row in rows:
        machine = row.machine
        cells = (
            machine.name,
            machine.suite,
            machine.python or "Debian's",
            "root" if machine.root else "ordinary",
            machine.clone,
            machine.locale,
            " ".join(machine.installed) or "nothing",
            "yes" if row.data else "no",
            row.run,
            row.test,
            f"{row.minutes:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
