"""`ncsctl fleet`, as the command line has it."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ncs_cluster.cli import options

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def add(command: Add) -> None:
    """Add the commands to ncsctl's parser."""
    kinds = command("fleet", lambda _: 2, "the hosts at a NATS server").add_subparsers(metavar="WHAT", required=True)

    def kind(name: str, run: Callable[[argparse.Namespace], int], sentence: str) -> argparse.ArgumentParser:
        made = kinds.add_parser(
            name,
            parents=[options.runtime_dir(), _server()],
            help=sentence,
            description=sentence[0].upper() + sentence[1:] + ".",
        )
        made.set_defaults(run=run)
        return made

    status = kind("status", _status, "hosts with their sticks, heat and rates; exit code 0 when all are healthy, 1 when not")
    status.add_argument("--json", action="store_true", help="every field of every host")
    kind("top", _top, "the hosts, the busiest first, renewed every 2 s until Ctrl-C")
    events = kind("events", _events, "what has happened on the hosts, oldest first")
    events.add_argument("--json", action="store_true", help="a JSON object on each line")
    events.add_argument("--follow", action="store_true", help="later ones too, until Ctrl-C")
    events.add_argument("--host", metavar="HOST", help="of this host alone")
    events.add_argument("--level", choices=("info", "warning", "error"), help="of this level and above")
    events.add_argument("--last", metavar="N", type=_count, default=100, help="at most so many to begin with (100)")
    jobs = kind("jobs", _jobs, "jobs over hosts that the server has something of, the longest abandoned first")
    jobs.add_argument("--json", action="store_true", help="every field of every job")
    forget = kind(
        "forget", _forget, "remove a job over hosts that nobody goes on with: its offer, chunks and results at the server"
    )
    forget.add_argument("job", metavar="ID", help="as `ncsctl fleet jobs` has it")
    for name, run, sentence in (
        ("drain", _drain, "take a host out of the work of the fleet, also over restarts; its own cameras and jobs go on"),
        ("return", _give_back, "let a drained host take work of the fleet again"),
    ):
        changing = kind(name, run, sentence)
        changing.add_argument("host", metavar="HOST", help="as `ncsctl fleet status` has it")
        if name == "drain":
            wait = changing.add_mutually_exclusive_group()
            wait.add_argument(
                "--timeout", metavar="S", type=_seconds, default=600.0, help="seconds to wait for the work that the host has (600)"
            )
            wait.add_argument("--no-wait", action="store_true", help="return once the host takes no more")


def _server() -> argparse.ArgumentParser:
    """Options that say which server is asked, and as whom."""
    made = argparse.ArgumentParser(add_help=False)
    made.add_argument("--nats", metavar="URL", help="nats://HOST[:PORT] or tls://HOST[:PORT]; without it: as [nats] says")
    options.nats_login(made)
    made.add_argument("--config", metavar="FILE", help="settings whose [nats] is used; without it: as for ncs-clusterd")
    return made


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError("must be 1 to 10000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 7 * 86400:
        raise argparse.ArgumentTypeError("must be 0 to 604800 seconds")
    return seconds


# imported where they are run: other commands do not pay for an event loop


def _status(given: argparse.Namespace) -> int:
    from ncs_cluster.cli import fleet_status

    return fleet_status.status(given)


def _top(given: argparse.Namespace) -> int:
    from ncs_cluster.cli import fleet_status

    return fleet_status.top(given)


def _events(given: argparse.Namespace) -> int:
    from ncs_cluster.cli import fleet_events

    return fleet_events.run(given)


def _jobs(given: argparse.Namespace) -> int:
    from ncs_cluster.cli import fleet_jobs

    return fleet_jobs.jobs(given)


def _forget(given: argparse.Namespace) -> int:
    from ncs_cluster.cli import fleet_jobs

    return fleet_jobs.forget_one(given)


def _drain(given: argparse.Namespace) -> int:
    from ncs_cluster.cli import fleet_drain

    return fleet_drain.drain(given)


def _give_back(given: argparse.Namespace) -> int:
    from ncs_cluster.cli import fleet_drain

    return fleet_drain.give_back(given)
