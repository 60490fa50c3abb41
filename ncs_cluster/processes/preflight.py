"""Can these graphs be loaded? Asked once at start, in a throw-away process, before anything else is started.

A damaged model may crash the library that reads it, or hang it, and the daemon must neither load that library nor go down with
it. The process prints nothing and exits 0, or prints one line for the operator and exits 78. Runs on CPython 3.9; `check` imports
no vendor library.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

import msgspec

from ncs_cluster.decoders import DECODERS
from ncs_cluster.errors import EX_CONFIG, StickError
from ncs_cluster.specs import GraphSpec

LIMIT_S = 60.0
ON_OPENVINO = ("simulated", "openvino")
"""Backends whose graphs OpenVINO loads."""
LARGEST_BLOB = 512 << 20


def check(
    graphs: List[GraphSpec], backend: str, python: str = sys.executable, env: Optional[Mapping[str, str]] = None
) -> Optional[str]:
    """One line saying which graph is refused and why, or None when all load. Takes a second or two; blocks at most LIMIT_S."""
    if backend == "xlink":
        return unfit(graphs)
    if not graphs or backend not in ON_OPENVINO:
        return None
    names = ", ".join(graph.name for graph in graphs)
    environment: Dict[str, str] = {**os.environ, **(env or {})}
    try:
        ended = subprocess.run(
            [python, "-m", "ncs_cluster.processes.preflight"],
            input=msgspec.msgpack.encode(graphs),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT_S,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"graph {names}: loading takes longer than {LIMIT_S:.0f} s: is a model damaged?"
    except OSError as error:
        return f"the interpreter {python} cannot be started: {error.strerror}"
    if ended.returncode == 0:
        return None
    if ended.returncode == EX_CONFIG:
        return ended.stdout.decode(errors="replace").strip()
    if len(graphs) > 1:
        each = (check([graph], backend, python, env) for graph in graphs)
        return next((line for line in each if line is not None), None)
    how = signal.Signals(-ended.returncode).name if ended.returncode < 0 else f"exit code {ended.returncode}"
    return f"graph {names}: {graphs[0].model}: the process that tried to load it died ({how}): is the file damaged?"


def refused(graphs: List[GraphSpec]) -> Optional[str]:
    """Load every graph on this CPU, infer once, and ask its decoder whether it understands what came out."""
    try:
        from ncs_cluster.backends._compiled_models import CompiledModels

        loaded = CompiledModels("CPU")
        for graph in graphs:
            if graph.decoder not in DECODERS:
                return _complaint(graph, {})
            loaded.load([graph])
            (outputs,) = loaded.warm_up()
            if (complaint := _complaint(graph, outputs)) is not None:
                return complaint
    except StickError as error:
        return error.detail
    return None


def unfit(graphs: List[GraphSpec]) -> Optional[str]:
    """Of graphs compiled for a Myriad X: read what their blobs say of themselves. That cannot crash, so no process is needed."""
    from ncs_cluster.backends._tensors import Tensors
    from ncs_cluster.xlink.blob import Blob, BlobError

    for graph in graphs:
        path = Path(graph.blob or "")
        try:
            if path.stat().st_size > LARGEST_BLOB:
                return f"graph {graph.name}: {path}: is larger than 512 MB; that is no blob"
            tensors = Tensors(graph, Blob.parse(path.read_bytes()))
        except StickError as error:
            return error.detail
        except (OSError, BlobError) as error:
            return f"graph {graph.name}: {path}: {getattr(error, 'strerror', None) or error}"
        if (complaint := _complaint(graph, tensors.outputs(bytes(tensors.blob.outputs_size)))) is not None:
            return complaint
    return None


def _complaint(graph: GraphSpec, outputs: Mapping[str, Any]) -> Optional[str]:
    """What its decoder says of a graph's outputs."""
    if graph.decoder not in DECODERS:
        return f'graph {graph.name}: there is no decoder "{graph.decoder}": choose one of {", ".join(DECODERS)}'
    decoder = import_module(DECODERS[graph.decoder].split(":")[0])
    complaint: Optional[str] = getattr(decoder, "complaint", lambda _: None)(outputs)
    return None if complaint is None else f"graph {graph.name}: {graph.blob or graph.model}: {complaint}"


def main() -> None:
    """The process: graphs as msgpack on standard input."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer = os.dup(1)
    os.dup2(2, 1)  # libraries print to standard output too
    line = refused(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=List[GraphSpec]))
    if line is not None:
        os.write(answer, " ".join(line.split()).encode() + b"\n")
    os._exit(EX_CONFIG if line is not None else 0)


if __name__ == "__main__":
    main()
