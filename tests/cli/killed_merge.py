"""A merge that is killed again and again: `python -m tests.cli.killed_merge REFERENCE OUT DIR...`.

Each life is a process of its own (forked here, where one thread runs), which its own timer kills later than the one before. Prints
how many were killed. Exits with a traceback when a file under a final name is not the one of the folder REFERENCE.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path

from ncs_cluster.cli.merge import main as merge
from tests.cli.merged_job import outputs

FIRST_S, STEP_S = 0.0005, 0.003


def one_life(words: list[str], ends_s: float) -> int:
    """The exit code; -SIGALRM: it was killed."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            signal.setitimer(signal.ITIMER_REAL, ends_s)
            code = merge(words)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    reference, out, parts = outputs(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3:]
    for kills in itertools.count():
        code = one_life([*parts, "--out", str(out), "--quiet"], FIRST_S + kills * STEP_S)
        for name, text in outputs(out).items() if out.exists() else ():
            assert text == reference[name], name
        if code != -signal.SIGALRM:
            print(code, kills)
            return


if __name__ == "__main__":
    main()
