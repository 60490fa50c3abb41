"""Options that several commands of ncsctl share."""

from __future__ import annotations

import argparse


def runtime_dir() -> argparse.ArgumentParser:
    """--runtime-dir; it may be named before and behind a command, and is not set where it is not given."""
    made = argparse.ArgumentParser(add_help=False)
    made.add_argument("--runtime-dir", metavar="DIR", default=argparse.SUPPRESS, help="folder of the daemon's control socket")
    return made


def nats_login(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """As whom a NATS server is asked: see fleet_server.server_of."""
    parser.add_argument("--user", metavar="NAME", help="to log in with; wants a --password-file")
    parser.add_argument("--password-file", metavar="FILE", help="a file that holds the password alone, not world-readable")
    parser.add_argument("--nkey-file", metavar="FILE", help="instead of them: the seed of an nkey, not world-readable")
    parser.add_argument("--credentials-file", metavar="FILE", help="instead of them: a credentials file, not world-readable")
    parser.add_argument("--ca-file", metavar="FILE", help="the authority that has signed the server's certificate")
