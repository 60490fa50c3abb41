"""Tables of the configuration file: what a key is, and a plugin's `Options` as a table."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from ncs_cluster.config.error_text import shown
from ncs_cluster.errors import ConfigError
from ncs_cluster.plugins import REMEDY, Registry, load, reason


class Table(BaseModel):
    """A table of the file: unknown keys, wrong types and NaN are refused at every depth."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def key(
    default: Any,
    description: str,
    group: str = "",
    metavar: str = "",
    choices: Sequence[str] = (),
    shown: str = "",
    **limits: Any,
) -> Any:
    """A key: with a group it is a flag too. `choices`: what help and docs name; plugins of other packages come on top. `shown`: its
    type, for docs."""
    extra: dict[str, Any] = {"group": group, "metavar": metavar, "choices": choices, "shown": shown}
    if isinstance(default, (list, dict)):
        return Field(default_factory=lambda: default.copy(), description=description, json_schema_extra=extra, **limits)
    return Field(default, description=description, json_schema_extra=extra, **limits)


def named(registry: Registry[Any], *besides: str, offered: Sequence[str] | None = None) -> Any:
    """The type of a key whose value is a plugin's name. `offered`: the names that an error lists; None: all."""

    def known(value: str) -> str:
        if value not in besides and value not in registry:
            raise ValueError(f"must be one of {', '.join(offered or [*besides, *registry.names()])}, not {shown(value)}")
        return value

    return Annotated[str, AfterValidator(known)]


def options_table(path: str, **more: Any) -> type[Table]:
    """The `Options` that "module:attribute" names as a table, with `more` keys beside them. The dataclass's own checks run when it
    is made of the values. Raises ConfigError where `options` is no dataclass, or pydantic cannot validate a type of its fields."""
    options = load(path)
    try:
        # what is no class may have no hash
        return _table(path, options) if isinstance(options, type) and not more else _made_table(path, options, more)
    except Exception as error:
        raise ConfigError(f"{path} cannot be used as Options: {reason(error)}; {REMEDY}") from error


@functools.lru_cache(maxsize=64)
def _table(path: str, options: type) -> type[Table]:
    """Kept: settings of one pool are validated by it four times."""
    return _made_table(path, options, {})


def _made_table(path: str, options: Any, more: dict[str, Any]) -> type[Table]:
    hints = typing.get_type_hints(options)
    fields: dict[str, Any] = dict(more)
    for each in dataclasses.fields(options):
        default: Any = ...
        if each.default is not dataclasses.MISSING:
            default = each.default
        elif each.default_factory is not dataclasses.MISSING:
            default = Field(default_factory=each.default_factory)
        fields[each.name] = (hints[each.name], default)
    return create_model(path, __base__=Table, **fields)
