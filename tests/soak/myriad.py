"""`python -m tests.soak.myriad [LIVES]`: 2,000 lives of four emulated sticks, each ended at random by a hand, a fault or nonsense.

One process drives each stick through its lives, as a worker does; the emulator's boots are shortened to some milliseconds. Each
frame carries a number that its result must bring back. Printed at the end, and judged by the exit code: results that were another
frame's; links that were lost though nothing was done to them; growth of the drivers' descriptors, memory and threads between a
tenth of the lives and the last; what the sticks found wrong in what they were told.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from ncs_cluster.emulator import build
from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.errors import StickError
from tests.backends.numbered import Driver, graphs, write_blobs

PORTS = ("1-1.1", "1-1.2", "1-1.3", "1-1.4")
STICK = {"boot_s": 0.01, "reset_s": 0.01, "latency_s": 0.001, "watchdog_s": 2.5}
ENDS = ("close", "close", "pull", "hang", "silent", "garbage", "refused", "io", "leave")
"""What a life ends by. "leave": the link is dropped and the stick left running, as by a killed process."""
MIB = 1 << 20


def make(emulator: Emulator, port: str, end: str, choice: random.Random) -> None:
    """Let it go wrong."""
    if end == "pull":
        emulator.pull(port, again_s=0.02)
    elif end in ("hang", "silent", "garbage"):
        emulator.fault(port, end)
    elif end == "refused":
        emulator.fault(port, "status", code=9)
    elif end == "io":
        emulator.fault(port, "libusb", call="transfer", error="io", endpoint=choice.choice((1, 0x81)), after=choice.randrange(30))


class Lives:
    """One process's stick, life after life."""

    def __init__(self, port: str, folder: Path, library: Path, seed: int) -> None:
        self._port, self._folder, self._library = port, folder, library
        self._choice = random.Random(seed)
        self.told: Counter[str] = Counter()
        self.results = self.mixed = self.boots = 0

    def live(self, driver: Driver, tell: Any) -> None:
        """From an open stick to whatever ends it."""
        choice = self._choice
        driver.run(choice.randrange(1, 40))
        end = choice.choice(ENDS)
        self.told[end] += 1
        if end == "leave":
            driver.leave()
        if end in ("close", "leave"):
            return
        tell(end)
        try:
            driver.run(100_000, timeout_s=20)
        except StickError as error:
            self.told[f"-> {error.reason}"] += 1
            if error.reason in ("hang", "link"):
                driver.reopen()
                self.boots += 1
                driver.run(choice.randrange(1, 10))

    def all(self, count: int, tell: Any) -> dict[str, Any]:
        early: dict[str, int] = {}
        while self.boots < count:
            driver = Driver(self._port, self._folder / "firmware", self._library, graphs(self._folder), infer_timeout_s=1.0)
            try:
                driver.open()
                self.boots += 1
                self.live(driver, tell)
            except StickError as error:
                if error.reason == "open":
                    raise
                # a pulled stick may still be away, or the next fault has met its boot
                self.told[f"open -> {error.reason}"] += 1
            driver.backend.close()
            self.results += driver.back
            self.mixed += driver.mixed
            if not early and self.boots >= count // 10:
                early = usage()
        return {
            "told": self.told,
            "results": self.results,
            "mixed": self.mixed,
            "boots": self.boots,
            "early": early,
            "late": usage(),
        }


def usage() -> dict[str, int]:
    """Of this process."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "memory": int(status["VmRSS"].split()[0]) << 10,
        "threads": int(status["Threads"]),
    }


def drive(port: str, folder: str, library: str, seed: str, count: str) -> None:
    """The process of one stick: asks for its faults by a line, and waits for the answer, before they happen."""

    def tell(end: str) -> None:
        print(json.dumps({"fault": end}), flush=True)
        sys.stdin.readline()

    said = Lives(port, Path(folder), Path(library), int(seed)).all(int(count), tell)
    print(json.dumps(said), flush=True)


def oversee(emulator: Emulator, port: str, process: subprocess.Popen[str], seed: int, said: dict[str, Any]) -> None:
    """Do what the process of one stick asks for; its last word is its report."""
    assert process.stdin is not None
    assert process.stdout is not None
    choice = random.Random(seed)
    with process:
        for line in process.stdout:
            message = json.loads(line)
            if "fault" not in message:
                said[port] = message
                continue
            with LOCK:
                make(emulator, port, message["fault"], choice)
            process.stdin.write("\n")
            process.stdin.flush()


LOCK = threading.Lock()


def main(lives: int) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library = build.compile_library(folder)
        (folder / "firmware").write_bytes(artificial_firmware(100_000))
        write_blobs(folder)
        began_s, said = time.monotonic(), dict[str, Any]()
        with Emulator(folder / "bus", library) as emulator:
            overseers = []
            for seed, port in enumerate(PORTS):
                emulator.add(port, **STICK)
                command = [sys.executable, "-m", "tests.soak.myriad", "drive", port, name, str(library), str(seed), str(lives // 4)]
                process = subprocess.Popen(
                    command, env={**os.environ, **emulator.env}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
                overseers.append(threading.Thread(target=oversee, args=(emulator, port, process, seed, said)))
                overseers[-1].start()
            for overseer in overseers:
                overseer.join()
            states = [emulator.state(port) for port in PORTS]
        return judge(said, states, time.monotonic() - began_s)


def judge(said: dict[str, Any], states: list[dict[str, Any]], took_s: float) -> int:
    """Print what was seen; 0 when all is well."""
    told: Counter[str] = sum((Counter(each["told"]) for each in said.values()), Counter())
    mixed = sum(each["mixed"] for each in said.values())
    boots, results = sum(each["boots"] for each in said.values()), sum(each["results"] for each in said.values())
    sticks = sum(state["boots"] for state in states)
    print(f"{boots} boots by us, {sticks} by the sticks' count, in {took_s:.0f} s, load {os.getloadavg()[0]:.1f}")
    print("; ".join(f"{name} {count}" for name, count in sorted(told.items())))
    done = {
        "hang": told["hang"] + told["silent"],
        "link": told["garbage"] + told["refused"] + told["io"],
        "gone": told["pull"],
    }
    unexplained = sum(max(0, told[f"-> {reason}"] - count) for reason, count in done.items())
    violations = [text for state in states for text in (state["chip"] or {}).get("violations", [])]
    print(f"{results} results, {mixed} mixed, {unexplained} links lost for no reason, {len(violations)} complaints of the sticks")
    bad = mixed + unexplained + len(violations) + (len(said) < len(PORTS))
    for port, each in sorted(said.items()):
        early, late = each["early"], each["late"]
        memory = (late["memory"] - early["memory"]) / MIB
        flat = ", ".join(f"{what} {early[what]} -> {late[what]}" for what in ("descriptors", "threads"))
        print(f"{port}: {flat}, memory {early['memory'] / MIB:.1f} -> {late['memory'] / MIB:.1f} MiB")
        bad += late["descriptors"] > early["descriptors"] + 2 or late["threads"] > early["threads"] or memory > 10
    print("well" if not bad else "NOT WELL")
    return 1 if bad else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["drive"]:
        drive(*sys.argv[2:])
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
