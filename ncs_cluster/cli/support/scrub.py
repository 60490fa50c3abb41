"""Takes secrets out of texts, in two ways: whatever is known to be a secret, wherever it stands, and whatever looks like one.

Known are values of settings whose keys say so, user and password of addresses, the contents of files of tokens, passwords and keys,
and the page's token.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote, unquote

from ncs_cluster.sources._secret import HIDDEN, redacted
from ncs_cluster.token_file import read_secret

SHORTEST = 4
"""A shorter word is no secret that may be replaced wherever it stands: it would tear texts to pieces."""
LONG = 8
"""A part of a path or query that is no shorter is left out of other texts too."""
LARGEST_FILE = 64 << 10
"""Bytes."""
_NAME = r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|api[-_]?key|auth(?:orization)?|bearer)"
SECRET_KEY = re.compile(rf"(?:^|[-_.]){_NAME}$", re.IGNORECASE)
FILE_KEY = re.compile(rf"(?:{_NAME}|nkey)[-_]file$", re.IGNORECASE)
_PAIR = re.compile(rf"({_NAME}[\"']?\s*[=:]\s*[\"']?)(?:(?:Bearer|Basic)\s+)?[^\s\"',;&]+|(\bBearer\s+)[^\s\"',;&]+", re.IGNORECASE)
_WORD = re.compile(r"[^\s\"'<>]+")
"""Addresses are looked for word by word: a pattern for them would take the square of the time for a long word."""
_SCHEME = re.compile(r"[A-Za-z0-9+.-]*$")
_KEY = re.compile(r"[\w.-]{1,80}=")


class Scrub:
    """What is known to be secret, and texts without it."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def learn(self, secret: str) -> None:
        """A secret, which is left out of every text from now on, also as it stands in addresses and in JSON."""
        in_json = (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
        for form in (secret, quote(secret, safe=""), quote(secret), unquote(secret), *in_json):
            if len(form.strip()) >= SHORTEST:
                self._known.add(form)

    def learn_address(self, text: str) -> None:
        """User and password of an address in a text, and the parts of its path and query that may be a secret."""
        for word in _WORD.findall(text):
            address = _split(word)[1]
            rest = address.partition("://")[2]
            if "@" in rest:
                user, _, password = rest.rpartition("@")[0].partition(":")
                self.learn(password or user)
                rest = rest.rpartition("@")[2]
            shown = redacted(address)
            hidden = [part for part in re.split(r"[/?&=]", rest) if part not in shown]
            for part in hidden:
                if len(part) >= LONG:
                    self.learn(part)

    def learn_file(self, path: Path) -> None:
        """What a file of a token, password or key holds, where this user may read it."""
        try:
            lines = read_secret(path, LARGEST_FILE).splitlines()
        except ValueError:
            return
        for line in lines:
            if len(lines) == 1 or len(line) >= LONG:
                self.learn(line)

    def settings(self, value: object, key: str = "", folder: Path = Path("/")) -> object:
        """A tree of settings without its secrets; they are learned. `folder`: that of its file, for the paths in it."""
        if isinstance(value, dict):
            return {str(name): self.settings(each, str(name), folder) for name, each in value.items()}
        if isinstance(value, list):
            return [self.settings(each, key, folder) for each in value]
        if SECRET_KEY.search(key):
            self.learn(str(value))
            return HIDDEN
        if isinstance(value, str):
            if FILE_KEY.search(key):
                self.learn_file(folder / Path(value).expanduser())
            self.learn_address(value)
            return self.text(value)
        return value if isinstance(value, (int, float, bool)) or value is None else str(value)

    def text(self, text: str) -> str:
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        text = _WORD.sub(lambda found: _plain(found[0]), text)
        return _PAIR.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}", text)


def _plain(word: str) -> str:
    if "://" not in word and "@" not in word:
        return word
    before, address = _split(word)
    return before + redacted(address)


def _split(word: str) -> tuple[str, str]:
    """What stands before the address in a word, such as a camera's name and "=", and the address."""
    before, slashes, _ = word.partition("://")
    if slashes:
        scheme = _SCHEME.search(before[-20:])
        start = len(before) - (len(scheme[0]) if scheme else 0)
    else:
        key = _KEY.match(word)
        start = key.end() if key else 0
    return word[:start], word[start:]
