"""Options that several commands of ncsctl share, as parents of their parsers."""

from __future__ import annotations

import argparse


def runtime_dir() -> argparse.ArgumentParser:
    """--runtime-dir; it may be named before and behind a command, and is not set where it is not given."""
    made = argparse.ArgumentParser(add_help=False)
    made.add_argument("--runtime-dir", metavar="DIR", default=argparse.SUPPRESS, help="folder of the daemon's control socket")
    return made
