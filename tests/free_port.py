"""A port for a program that cannot choose one itself."""

from __future__ import annotations

import random
from socket import create_server

BELOW_EPHEMERAL = range(20_000, 32_000)
"""Ports that the kernel gives to nobody who asks for any, so that none is taken before the program binds it."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    while True:
        port = random.SystemRandom().choice(BELOW_EPHEMERAL)
        try:
            with create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
