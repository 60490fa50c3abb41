"""`make bench`: the table of what this daemon does, measured on the whole daemon with simulated sticks.

    python -m tests.benchmarks [--quick] [ROW...]

A row's name is one of ROWS; without any, all are measured. Exit code 1 when a target was missed.
"""

from __future__ import annotations

import sys

from tests.benchmarks import clients, cost, frames, frigate, inference, inference_api, jitter, jobs, pictures, preview, sticks
from tests.benchmarks.table import Load, head, row

ROWS = {
    "throughput": frames.throughput,
    "latency": frames.latency,
    "drawn": pictures.drawn,
    "preview": preview.preview,
    "cpu": cost.cpu,
    "resting": cost.resting,
    "memory": cost.memory,
    "start": cost.start,
    "order": frames.order,
    "jitter": jitter.jitter,
    "switching": frames.switching,
    "dispatcher": cost.dispatcher,
    "ncsctl": cost.ncsctl,
    "clients": clients.clients,
    "frigate": frigate.frigate,
    "oip": inference_api.oip,
    "openvino": inference.openvino,
    "jobs": jobs.jobs,
    "myriad": sticks.myriad,
}


def main(arguments: list[str]) -> int:
    quick = "--quick" in arguments
    names = [argument for argument in arguments if not argument.startswith("-")] or list(ROWS)
    if unknown := [name for name in names if name not in ROWS]:
        print(f"no such row: {', '.join(unknown)}; choose from {', '.join(ROWS)}", file=sys.stderr)
        return 2
    print(head(), flush=True)
    missed = 0
    for name in names:
        lines = ROWS[name](quick)
        while True:
            load = Load()
            line = next(lines, None)
            if line is None:
                break
            missed += line.good is False
            print(row(line, load.seen()), flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
