"""The tables [fan] and [ambient]."""

from __future__ import annotations

import os

from ncs_cluster.config.context import Context
from ncs_cluster.specs import AmbientSpec, FanSpec


def fan(context: Context) -> FanSpec | None:
    """None: no chip is named."""
    table = context.root.fan
    if table.full_below >= table.off_above:
        because = f"full_below ({table.full_below:g} K) must be less than off_above ({table.off_above:g} K)"
        context.refuse("fan", "full_below", because=because)
    if table.chip is None:
        if given := sorted(table.model_fields_set):
            context.refuse(
                "fan", given[0], because="chip is missing; name the fan's hwmon chip, as the file `name` in its folder says"
            )
        return None
    return FanSpec(
        chip=table.chip,
        channel=table.channel,
        sysfs=_sysfs(context, table.sysfs, "fan"),
        off_above_k=table.off_above,
        full_below_k=table.full_below,
        hysteresis_k=table.hysteresis,
        least_run_s=table.least_run_s,
        least_duty=table.least_duty,
    )


def ambient(context: Context) -> AmbientSpec | None:
    """None: neither a file nor a chip is named."""
    table = context.root.ambient
    if table.file is None and table.chip is None:
        if given := sorted(table.model_fields_set):
            context.refuse("ambient", given[0], because="file and chip are missing; give one of them")
        return None
    if table.file is not None and table.chip is not None:
        context.refuse("ambient", "chip", because="file and chip name two sensors; leave one of them out")
    if table.file is not None and (os.path.isabs(table.file) or ".." in table.file.split("/") or "\0" in table.file):
        context.refuse("ambient", "file", because=f"{table.file!r} must lie inside sysfs; give it relative to that, without ..")
    return AmbientSpec(table.file or "", table.chip or "", table.channel, _sysfs(context, table.sysfs, "ambient"))


def _sysfs(context: Context, text: str, table: str) -> str:
    path = context.path(text, table, "sysfs")
    if not path.is_dir():
        context.refuse(table, "sysfs", because=f"{path} is not a folder; leave it out for /sys")
    return str(path)
