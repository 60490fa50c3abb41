"""The past as a picture: temperatures beside rates."""

from __future__ import annotations

from datetime import datetime

from ncs_cluster.history.reading import Past
from ncs_cluster.history.series import Series
from ncs_cluster.render import chart
from ncs_cluster.render.chart import Lines, Value

COLOURS = ((178, 114, 0), (0, 94, 213), (115, 158, 0), (167, 121, 204), (0, 159, 230), (233, 180, 86), (90, 90, 90), (60, 60, 180))
"""Six that colour-blind people can tell apart (Okabe and Ito), grey and red."""
TICKS = 6
DAY_S = 86400.0


def png(past: Past, title: str) -> bytes:
    """A PNG file; a picture without figures where there are none."""
    temperatures = [series for series in past.series if series.kind in ("temperature", "air")]
    rates = [series for series in past.series if series.kind in ("camera", "intake", "asked", "capacity")]
    panels = [
        _lines("Temperature, highest of each interval", "°C", past, temperatures, highest=True),
        _lines("Rate", "per second", past, rates, highest=False),
    ]
    notes = [f"One point per {past.span_s / 60:g} min. Lines are broken where nothing was recorded."]
    return chart.encoded(chart.draw(panels, title, notes))


def _lines(title: str, unit: str, past: Past, wanted: list[Series], *, highest: bool) -> Lines:
    drawn = []
    for series, colour in zip(wanted, COLOURS * len(wanted), strict=False):
        points = []
        for point in past.series[series]:
            value = point.high if highest else point.mean
            points.append(((point.at - past.since) / 3600, Value(value, value, value)))
        label = series.name if series.name and series.kind != "intake" else f"{series.kind} {series.name}".strip()
        drawn.append(chart.Series(label, colour, points, marked=False))
    places, names = _ticks(past)
    return Lines(title, "time", unit, drawn, places, names, widest_gap=2.5 * past.span_s / 3600)


def _ticks(past: Past) -> tuple[list[float], list[str]]:
    """Hours since the beginning, and the clock there; the day instead where the past is longer than two of them."""
    length_s = past.until - past.since
    form = "%H:%M" if length_s <= 2 * DAY_S else "%d %b"
    places = [length_s * number / TICKS / 3600 for number in range(TICKS + 1)]
    return places, [datetime.fromtimestamp(past.since + place * 3600).strftime(form) for place in places]
