"""Figures as people read them. Pure."""

from __future__ import annotations

from ncs_cluster.cli.bench.report import Spread


def figure(value: float) -> str:
    """With three significant digits, at least as many as stand before the point."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def seconds(value: float) -> str:
    return f"{figure(value)} s"


def how_many(count: int) -> str:
    return f"{count:,} picture{'s' * (count != 1)}"


def on_devices(mode: str, devices: int) -> str:
    return f"{mode}, {devices} device{'s' * (devices != 1)}"


def with_spread(spread: Spread) -> str:
    """Median, and in brackets least and most; the median alone where there is one value."""
    if spread.least == spread.most:
        return figure(spread.median)
    return f"{figure(spread.median)} ({figure(spread.least)}..{figure(spread.most)})"
