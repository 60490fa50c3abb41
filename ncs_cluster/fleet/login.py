"""Keys to log in at a NATS server with: the seed of an nkey, or a credentials file with a user's JWT and seed, as `nk` and `nsc`
write them. The seed signs what the server asks, and does not leave this machine. Runs on CPython 3.9.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple, Optional

from ncs_cluster.token_file import read_secret

LARGEST = 64 << 10
"""Bytes of a file."""
_SEED = re.compile(r"^\s*(SU[A-Z2-7]{56})\s*$", re.MULTILINE)
_JWT = re.compile(r"^-+BEGIN NATS USER JWT-+\s+([\w-]+\.[\w-]+\.[\w-]+)\s", re.MULTILINE | re.ASCII)


class Key(NamedTuple):
    """Of a user."""

    seed: str
    jwt: Optional[str]

    def __repr__(self) -> str:
        return "Key(...)"


def read(path: Path, kind: str) -> Key:
    """The key of a file that not everybody can read; `kind`: "nkey_file" or "credentials_file". Raises ValueError, one line."""
    text = read_secret(path, LARGEST)
    try:
        return nkey(text) if kind == "nkey_file" else credentials(text)
    except ValueError as error:
        raise ValueError(f"{path} {error}") from None


def nkey(text: str) -> Key:
    """The key of a file with a seed, beside which more may stand. Raises ValueError, one line without a part of the text."""
    found = _SEED.search(text)
    if found is None:
        raise ValueError("holds no seed of a user, which begins with SU; make one with: nk -gen user")
    return Key(found[1], None)


def credentials(text: str) -> Key:
    """As `nkey`, of a credentials file."""
    seed, jwt = _SEED.search(text), _JWT.search(text)
    if seed is None or jwt is None:
        raise ValueError("is no credentials file, which holds a user's JWT and seed; make one with: nsc generate creds")
    return Key(seed[1], jwt[1])


def as_file(key: Key) -> str:
    """A credentials file."""
    begin, end = "-----BEGIN {}-----", "------END {}------"
    parts = (("NATS USER JWT", key.jwt), ("USER NKEY SEED", key.seed))
    return "\n".join(line for name, value in parts for line in (begin.format(name), value or "", end.format(name), ""))
