"""Tries every graph once, in a process of its own, before the daemon starts anything else.

A damaged model may crash or hang the library that reads it; the daemon must neither load that library nor crash with it. The
process prints nothing and exits 0, or prints one line for the operator and exits 78. Runs on CPython 3.9; `check` imports
no vendor library.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from typing import Any, Dict, Iterator, List, Mapping, Optional

import msgspec

from ncs_cluster import decoders
from ncs_cluster.backends import BACKENDS
from ncs_cluster.errors import EX_CONFIG, ConfigError, StickError
from ncs_cluster.plugins import load
from ncs_cluster.processes import child
from ncs_cluster.specs import GraphSpec

LIMIT_S = 60.0


class Trial(msgspec.Struct, frozen=True):
    """The input of the process: the graphs, and the backend's hook that loads them."""

    preflight: str
    graphs: List[GraphSpec]


def check(
    graphs: List[GraphSpec],
    backend: str,
    python: str = sys.executable,
    env: Optional[Mapping[str, str]] = None,
    limit_s: Optional[float] = None,
) -> Optional[str]:
    """One line that names the graph that is refused and the reason; None when all load. Takes 1 to 2 s; blocks at most `limit_s`,
    without it LIMIT_S."""
    limit_s = limit_s or LIMIT_S
    plugin = BACKENDS.get(backend)
    if not graphs or plugin.preflight is None:
        return None
    if not plugin.preflight_may_crash:
        return refused(graphs, plugin.preflight)
    names = ", ".join(graph.name for graph in graphs)
    environment: Dict[str, str] = {**os.environ, **(env or {})}
    try:
        ended = subprocess.run(
            [python, "-m", "ncs_cluster.processes.preflight", str(os.getpid())],
            input=msgspec.msgpack.encode(Trial(plugin.preflight, graphs)),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=limit_s,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"graph {names}: loading takes longer than {limit_s:.0f} s: is a model damaged?"
    except OSError as error:
        return f"the interpreter {python} cannot be started: {error.strerror}"
    if ended.returncode == 0:
        return None
    if ended.returncode == EX_CONFIG:
        return ended.stdout.decode(errors="replace").strip()
    if len(graphs) > 1:
        each = (check([graph], backend, python, env, limit_s) for graph in graphs)
        return next((line for line in each if line is not None), None)
    how = signal.Signals(-ended.returncode).name if ended.returncode < 0 else f"exit code {ended.returncode}"
    return f"graph {names}: {graphs[0].model}: the process that tried to load it died ({how}): is the file damaged?"


def refused(graphs: List[GraphSpec], preflight: str) -> Optional[str]:
    """Load every graph by the backend's hook and check its outputs by its decoder. None, or the reason for the first refusal."""
    tried: Iterator[Mapping[str, Any]] = load(preflight)(graphs)
    for graph in graphs:
        try:
            decoders.create(graph)
            complaint = decoders.check_outputs(graph, next(tried))
        except StickError as error:
            return error.detail
        except (ConfigError, ValueError) as error:
            return f"graph {graph.name}: {error}"
        if complaint is not None:
            return f"graph {graph.name}: {graph.blob or graph.model}: {complaint}"
    return None


def unfit(graphs: List[GraphSpec]) -> Optional[str]:
    """As `check`, for graphs compiled for a Myriad X, with any backend."""
    return refused(graphs, "ncs_cluster.backends._preflight:of_blobs")


def main() -> None:
    """The process: a Trial as msgpack on standard input."""
    child.die_with_parent(int(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer = os.dup(1)
    os.dup2(2, 1)  # libraries print to standard output, which is for the answer only
    trial = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Trial)
    try:
        line = refused(trial.graphs, trial.preflight)
    except ConfigError as error:
        line = str(error)
    if line is not None:
        os.write(answer, " ".join(line.split()).encode() + b"\n")
    os._exit(EX_CONFIG if line is not None else 0)


if __name__ == "__main__":
    main()
