"""Keys of NATS made for a test: nkeys, and a server's operator, account and user with their JWTs (docs.nats.io, "JWT Guide")."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from typing import Any, NamedTuple

import nkeys

from ncs_cluster.fleet.login import Key, as_file


class Pair(NamedTuple):
    """Of an operator, account or user."""

    seed: str
    public: str


def pair(kind: int = nkeys.PREFIX_BYTE_USER) -> Pair:
    raw = bytearray([nkeys.PREFIX_BYTE_SEED | kind >> 5, (kind & 31) << 3]) + os.urandom(32)
    seed = base64.b32encode(raw + nkeys.crc16_checksum(raw)).decode().rstrip("=")
    return Pair(seed, nkeys.from_seed(bytearray(seed, "ascii")).public_key.decode())


def signed(by: Pair, subject: Pair, name: str, claims: dict[str, Any]) -> str:
    """A JWT: what `by` says of `subject`."""
    about: dict[str, Any] = {"iat": int(time.time()), "iss": by.public, "name": name, "sub": subject.public}
    about["jti"] = base64.b32encode(hashlib.sha256(json.dumps(about).encode()).digest()).decode().rstrip("=")
    about["nats"] = {"version": 2, **claims}
    body = ".".join(_part(json.dumps(each).encode()) for each in ({"typ": "JWT", "alg": "ed25519-nkey"}, about))
    return f"{body}.{_part(nkeys.from_seed(bytearray(by.seed, 'ascii')).sign(body.encode()))}"


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Site:
    """An operator with one account that may use JetStream; `lines`: for the server's configuration."""

    def __init__(self) -> None:
        self._operator, self._account = pair(nkeys.PREFIX_BYTE_OPERATOR), pair(nkeys.PREFIX_BYTE_ACCOUNT)
        everything = dict.fromkeys(
            ["subs", "data", "payload", "imports", "exports", "conn", "leaf", "mem_storage", "disk_storage"], -1
        )
        limits = {**everything, "streams": -1, "consumer": -1, "wildcards": True}
        account = signed(self._operator, self._account, "site", {"type": "account", "limits": limits})
        # the server's own account, which must not have JetStream
        system, bare = (
            pair(nkeys.PREFIX_BYTE_ACCOUNT),
            {"type": "account", "limits": {**limits, "mem_storage": 0, "disk_storage": 0}},
        )
        self.lines = (
            f"operator: {signed(self._operator, self._operator, 'op', {'type': 'operator'})}",
            "resolver: MEMORY",
            f"system_account: {system.public}",
            f"resolver_preload: {{ {self._account.public}: {account}",
            f"{system.public}: {signed(self._operator, system, 'SYS', bare)} }}",
        )

    def credentials(self, name: str, publish: list[str] | None = None) -> str:
        """A user's credentials file; without `publish` the user may do everything."""
        user = pair()
        rights = {"pub": {} if publish is None else {"allow": publish}, "sub": {}}
        claims = {"type": "user", "subs": -1, "data": -1, "payload": -1, **rights}
        return as_file(Key(user.seed, signed(self._account, user, name, claims)))
