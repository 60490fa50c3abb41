"""A server, with its secrets read from files where it is used: settings of sticks and intakes, which are shown, hold their paths.
Runs on CPython 3.9."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from ncs_cluster.fleet import address, login
from ncs_cluster.fleet.connection import Server
from ncs_cluster.token_file import read_password


def server(
    url: str,
    user: Optional[str] = None,
    password_file: Optional[str] = None,
    ca_file: Optional[str] = None,
    nkey_file: Optional[str] = None,
    credentials_file: Optional[str] = None,
) -> Server:
    """`*_file`: absolute paths. Raises ValueError, one line without a part of a secret."""
    key = None
    if nkey_file is not None:
        key = login.read(Path(nkey_file), "nkey_file")
    elif credentials_file is not None:
        key = login.read(Path(credentials_file), "credentials_file")
    password = None if password_file is None else read_password(Path(password_file))
    return Server(address.parse(url), user, password, ca_file, key)
