"""The Open Inference Protocol: requests in a closed loop, as many at once as keep every stick busy.

The sticks run a graph of a dozen operations, and the client sends the same bytes again and again, without a library. A real graph,
which simulated sticks run on this CPU, or a client's library would take more CPU than the daemon does.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ncs_cluster.config import load
from ncs_cluster.testing.daemon import Daemon, running
from tests import small_graph
from tests.benchmarks.house import cpu_per_unit, percentile
from tests.benchmarks.table import Line

STICKS, LATENCY_MS, AT_ONCE = 8, 50.0, 16

CLIENT = """
import asyncio, json, sys, time
address, at_once, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
host, _, port = address.rpartition(":")
picture = bytes(8 * 8 * 3)
tensor = {"name": "input", "shape": [1, 8, 8, 3], "datatype": "UINT8", "parameters": {"binary_data_size": len(picture)}}
head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
lines = ["POST /v2/models/small/infer HTTP/1.1", f"Host: {address}", f"Inference-Header-Content-Length: {len(head)}"]
request = "\\r\\n".join([*lines, f"Content-Length: {len(head) + len(picture)}", "", ""]).encode() + head + picture

async def ask(reader, writer):
    writer.write(request)
    answer = (await reader.readuntil(b"\\r\\n\\r\\n")).lower().split(b"\\r\\n")
    length = next(int(line[15:]) for line in answer if line.startswith(b"content-length:"))
    content = await reader.readexactly(length)
    if b" 200 " not in answer[0]:
        sys.exit(f"{answer[0]!r} {content[:200]!r}")

async def loop(until_s, took):
    reader, writer = await asyncio.open_connection(host, int(port))
    while (sent_s := time.monotonic()) < until_s:
        await ask(reader, writer)
        took.append(time.monotonic() - sent_s)

async def main():
    took, began_s = [], time.monotonic()
    await asyncio.gather(*(loop(began_s + seconds, took) for _ in range(at_once)))
    return {"took": took, "wall_s": time.monotonic() - began_s}

print(json.dumps(asyncio.run(main())))
"""


def oip(quick: bool) -> Iterator[Line]:
    """Two requests for each stick."""
    with tempfile.TemporaryDirectory(prefix="ncs-bench-") as name:
        folder = Path(name)
        (folder / "small").mkdir()
        small_graph.write(folder / "small")
        argv = ["--backend", "simulated", "--sticks", str(STICKS), "--set", f"simulated.latency_ms={LATENCY_MS}"]
        argv += ["--set", "simulated.heat=false", "--graph", str(folder / "small"), "--listen", "127.0.0.1:0", "--api", "oip"]
        argv += ["--runtime-dir", str(folder / "run"), "--state-dir", str(folder / "state")]
        with running(load(argv, {})) as daemon:
            daemon.until(lambda status: all(stick["state"] == "active" for stick in status["sticks"]), "has all sticks ready")
            daemon.until(lambda _: serves(daemon), "serves the graph")
            ask(daemon, 1.0)
            said, used = cpu_per_unit(daemon, lambda: ask(daemon, 5.0 if quick else 30.0), lambda said: len(said["took"]))
            daemon.stop()
    took_ms = [1000 * each for each in said["took"]]
    per_s = len(took_ms) / said["wall_s"]
    share = per_s / (STICKS / LATENCY_MS * 1000)
    measured = (
        f"{share:.3f}: {per_s:.1f}/s; p50 {percentile(took_ms, 0.5):.1f}, p99 {percentile(took_ms, 0.99):.1f} ms; "
        f"CPU per inference in us: {', '.join(f'{who} {1e6 * each:.0f}' for who, each in used.items())}"
    )
    what = f"Open Inference Protocol, {AT_ONCE} requests at once, N={STICKS}, L={LATENCY_MS:.0f} ms"
    yield Line(what, "-", ">= 0.95 of N/L", measured, share >= 0.95)


def address(daemon: Daemon) -> str | None:
    """Host and port of the page, once it has said so."""
    found = [each for line in daemon.story("page") for each in re.findall(r"http://([^/\s]+:\d+)", line)]
    return found[-1] if found else None


def serves(daemon: Daemon) -> bool:
    """The page's process has been told of the graph."""
    found = address(daemon)
    try:
        with urllib.request.urlopen(f"http://{found}/v2/models/small/ready", timeout=60):
            return found is not None
    except urllib.error.URLError:
        return False


def ask(daemon: Daemon, seconds: float) -> Any:
    """What the client says of so many seconds."""
    command = [sys.executable, "-c", CLIENT, str(address(daemon)), str(AT_ONCE), str(seconds)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
