"""Which mode to use, and why: one to three sentences from the figures alone. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ncs_cluster.cli.bench.modes import SERIAL
from ncs_cluster.cli.bench.report import Row, Spread
from ncs_cluster.cli.bench.summary import fastest, overlap
from ncs_cluster.cli.bench.text import how_many, seconds


def recommendation(rows: Sequence[Row]) -> str:
    """`rows`: of one bench, with the figures that compare them."""
    best = fastest(rows)
    if best is None:
        return "Nothing was measured."
    serial = next((row for row in rows if row.mode == SERIAL and row.batches), None)
    rivals = [row for row in rows if row is not best and row.batches and overlap(_total(row), _total(best))]
    if serial is not None and serial in rivals:
        return _undecided(best, serial)
    sentences = [_use(best, serial)]
    if serial is not None and best is not serial:
        sentences.append(_from_when(best, serial))
    if rivals:
        sentences.append(f"{_names(rivals)} {'is' if len(rivals) == 1 else 'are'} as fast within the spread of the repeats.")
    elif best is serial and (quicker := _quicker(rows, serial)) is not None:
        assert quicker.break_even is not None
        sentences.append(
            f"{_called(quicker).capitalize()} works {quicker.times_serial:.1f} times as fast, and makes up for its start "
            f"from {how_many(quicker.break_even)} on."
        )
    return " ".join(sentences)


def _undecided(best: Row, serial: Row) -> str:
    last = best.batches[-1]
    times = _total(serial).median / last.with_start.median
    return (
        f"No mode is ahead of serial by more than the spread of the repeats at {how_many(last.count)}, start included; "
        f"{_called(best)} has the best median, {times:.1f} times as fast. More repeats, or a quiet machine, may decide it."
    )


def _use(best: Row, serial: Row | None) -> str:
    last = best.batches[-1]
    if best is serial:
        return f"Use serial: no mode takes less time for {how_many(last.count)}, start included."
    if serial is None:
        took = seconds(last.with_start.median)
        return f"Use {_called(best)}: {took} for {how_many(last.count)}, start included, the least of what was measured."
    times = _total(serial).median / last.with_start.median
    return f"Use {_called(best)}: {times:.1f} times as fast as serial at {how_many(last.count)}, start included."


def _from_when(best: Row, serial: Row) -> str:
    assert best.start_s is not None
    assert serial.start_s is not None
    starts = f"it starts in {seconds(best.start_s.median)}, serial in {seconds(serial.start_s.median)}"
    if best.break_even is None:
        return f"It does not work faster than serial, it starts faster: {starts}."
    if best.break_even <= 1:
        return f"It is ahead from the first picture on: {starts}."
    return f"Below {how_many(best.break_even)} serial is done first: {starts}."


def _quicker(rows: Sequence[Row], serial: Row) -> Row | None:
    """The mode that overtakes serial soonest, beyond what was measured."""
    return min(
        (row for row in rows if row is not serial and row.batches and row.break_even is not None),
        key=lambda row: row.break_even or 0,
        default=None,
    )


def _total(row: Row) -> Spread:
    return row.batches[-1].with_start


def _called(row: Row) -> str:
    return row.mode if row.mode == SERIAL else f"{row.mode} with {row.devices} device{'s' * (row.devices != 1)}"


def _names(rows: Sequence[Row]) -> str:
    names = [_called(row) for row in rows]
    text = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return text[0].upper() + text[1:]
