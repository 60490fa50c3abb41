"""Types of values in the configuration file."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from ncs_cluster.config.error_text import shown
from ncs_cluster.config.spec import NAME, NAME_RULE


def _variables(given: dict[str, str]) -> dict[str, str]:
    for name, value in given.items():
        if not name or "=" in name or "\0" in name + value:
            raise ValueError(f'"{name}" cannot be in an environment; a name has no = in it, and neither has a zero byte')
    return given


Variables = Annotated[dict[str, str], AfterValidator(_variables)]
Lines = Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]


def _place(text: str) -> str:
    if not re.fullmatch(r"(\d{1,3}-)?\d{1,3}(\.\d{1,3}){0,6}", text):
        raise ValueError(
            f'{shown(text)} is no USB port; a port is written "1-1.3" (bus 1), or "1.3" for any bus, as in /sys and lsusb -t'
        )
    return text


def _names(given: dict[str, str]) -> dict[str, str]:
    for place, name in given.items():
        _place(place)
        if not NAME.fullmatch(name):
            raise ValueError(f"{shown(name)}: {NAME_RULE}")
    if len(set(given.values())) < len(given):
        raise ValueError("two ports have one name; give each a name of its own")
    return given


Places = Annotated[
    list[Annotated[str, AfterValidator(_place)]], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]
Names = Annotated[dict[str, str], AfterValidator(_names)]
Size = Annotated[str, Field(pattern=r"^[0-9]{2,5}x[0-9]{2,5}$")]
Rate = Annotated[float, Field(gt=0, le=1000)]
Threshold = Annotated[float, Field(ge=0, le=1)]
Picture = Literal["live", "exact"]
Background = Literal["keep", "remove"]


def _words(given: object) -> object:
    """The words of a text and of a list of texts, which are split at commas."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return given
    return list(dict.fromkeys(word.strip() for text in texts for word in text.split(",")))


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{shown(text)} is no address; write one as 192.168.1.20, a network as 192.168.1.0/24") from None
    return text


Networks = Annotated[
    list[Annotated[str, AfterValidator(_network)]], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]
Api = Literal["deepstack", "oip"]
Apis = Annotated[list[Api], BeforeValidator(_words)]
