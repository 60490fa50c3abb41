"""Visitors of the gateway, by address, and their wrong tokens."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

from starlette.requests import Request

BURST = 20.0
"""Wrong tokens of one visitor that are looked at without waiting."""
PER_S = 2.0
"""Wrong tokens of one visitor that are looked at per second after that: a program with an old token never reaches it."""
MAX_VISITORS = 1024
REPORT_S = 60.0
"""Least time between two reports of wrong tokens."""


def network(address: str) -> str:
    """The address, of IPv6 its /64: one host may use all addresses of that."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if ip.version == 6:
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False).network_address)
    return str(ip)


def visitor_of(request: Request) -> str:
    """The visitor of a request. A proxy on this machine names it in X-Forwarded-For, whose last entry is the proxy's own."""
    address = request.client.host if request.client else ""
    forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    try:
        if forwarded and ipaddress.ip_address(address.removeprefix("::ffff:")).is_loopback:
            return network(str(ipaddress.ip_address(forwarded)))
    except ValueError:
        pass
    return network(address)


class WrongTokens:
    """Wrong tokens by visitor: a token bucket each. `now_s`: seconds of any one monotonic clock."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By visitor: attempts left at a time, and that time. The visitor of the last attempt is last."""
        self._unreported: dict[str, int] = {}
        self._reported_s = float("-inf")

    def wait_s(self, visitor: str, now_s: float) -> float:
        """Seconds until the visitor may send another token; 0: now."""
        return max(0.0, (1.0 - self._attempts(visitor, now_s)) / PER_S)

    def count(self, visitor: str, now_s: float) -> None:
        """Count one wrong token of the visitor, or one that was refused unread."""
        self._left[visitor] = (max(0.0, self._attempts(visitor, now_s) - 1.0), now_s)
        self._left.move_to_end(visitor)
        if len(self._left) > MAX_VISITORS:
            self._left.popitem(last=False)
        if visitor in self._unreported or len(self._unreported) < MAX_VISITORS:
            self._unreported[visitor] = self._unreported.get(visitor, 0) + 1

    def report(self, now_s: float) -> str | None:
        """The warning about wrong tokens since the last report; None without wrong tokens, and within REPORT_S of the
        last report."""
        if not self._unreported or now_s - self._reported_s < REPORT_S:
            return None
        found, self._unreported, self._reported_s = self._unreported, {}, now_s
        count, most = sum(found.values()), max(found, key=lambda each: found[each])
        tokens = "1 wrong token" if count == 1 else f"{count} wrong tokens"
        return f"{tokens} from {most}" if len(found) == 1 else f"{tokens} from {len(found)} addresses, most of them from {most}"

    def _attempts(self, visitor: str, now_s: float) -> float:
        left, at_s = self._left.get(visitor, (BURST, now_s))
        return min(BURST, left + (now_s - at_s) * PER_S)
