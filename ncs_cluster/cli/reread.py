"""The process in which a running ncs-clusterd has its settings read again: `python -m ncs_cluster.cli.reread PID`.

Standard input is a reloading.Again, standard output a reloading.Answer. PID: the daemon's.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import msgspec

import ncs_cluster
from ncs_cluster.cli.settings import checked_again, encoded, printable, with_guests
from ncs_cluster.errors import ConfigError, format_os_error
from ncs_cluster.processes.child import ask_for_one_thread, die_with_parent
from ncs_cluster.processes.reloading import Again, Answer


def main() -> NoReturn:
    """The process. Exit code 0 with an answer."""
    die_with_parent(int(sys.argv[1]))
    ask_for_one_thread(os.environ)
    answer = os.dup(1)
    os.dup2(2, 1)  # libraries print to standard output, which is for the answer only
    given = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Again)
    with open(answer, "wb") as file:
        file.write(msgspec.msgpack.encode(read(given)))
    os._exit(0)


def read(given: Again) -> Answer:
    """The settings, or why they are refused."""
    version = ncs_cluster.__version__
    try:
        if given.guests is not None:
            return Answer(version, settings=msgspec.Raw(encoded(with_guests(given.running, given.guests))))
        found = checked_again(given.argv, given.running)
        return Answer(version, settings=msgspec.Raw(encoded(found.settings)), shown=found.shown)
    except ConfigError as error:
        return Answer(version, printable(str(error)))
    except OSError as error:
        return Answer(version, f"{printable(format_os_error(error))}; try again")


if __name__ == "__main__":
    main()
