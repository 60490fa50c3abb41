"""URLs for logs and status, without passwords."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "***"


def redacted(url: str) -> str:
    """The URL with user, password and every value in its path or query replaced by ***.

    Many cameras take the password as /user=admin_password=1234 or ?pwd=1234.
    """
    scheme, slashes, rest = url.partition("://")
    if slashes and "@" in rest:
        # a password may contain "/" or "@": the last @ counts
        url = f"{scheme}://{HIDDEN}@{rest.rpartition('@')[2]}"
    try:
        parts = urlsplit(url)
        _, at, host = parts.netloc.rpartition("@")
    except ValueError:
        return HIDDEN
    pairs = [pair.partition("=") for pair in parts.query.split("&")] if parts.query else []
    query = "&".join(f"{key}={HIDDEN}" if equals else HIDDEN for key, equals, _ in pairs)
    return urlunsplit((parts.scheme, f"{HIDDEN}@{host}" if at else host, re.sub(r"=[^/]*", f"={HIDDEN}", parts.path), query, ""))
