"""Runs the trials one after another and prints a table of them."""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Sequence
from typing import NamedTuple

from ncs_cluster.cli.simulate.arguments import parse
from ncs_cluster.cli.text import Cell, Line, Terminal, duration, table
from ncs_cluster.errors import NcsClusterError, format_os_error
from ncs_cluster.testing.thermal_lab import bound
from ncs_cluster.testing.thermal_lab.scenario import HOUR_S, Scenario
from ncs_cluster.testing.thermal_lab.trial import ORIGINAL, Result, Trial

HEAD = ("POLICY", "PER SECOND", "OF BOUND", "HOTTEST", "OVER LIMIT", "THROTTLED", "SWITCHES", "LONGEST GAP", "WORK OF A STICK")


class Simulated(NamedTuple):
    """One policy's trial, and what came of it."""

    policy: str
    trial: Trial
    result: Result


def main(argv: Sequence[str]) -> int:
    """Returns the exit code."""
    try:
        given = parse(argv)
        seed = random.SystemRandom().randrange(1, 1_000_000) if given.seed is None else given.seed
        done = [_simulated(name, given, seed) for name in given.policies]
        terminal = Terminal()
        for line in _lines(done, given, seed):
            print(terminal.render(line).rstrip())
        if given.plot:
            from ncs_cluster.cli.simulate.plot import png

            with open(given.plot, "wb") as file:
                file.write(png(done, _what(given, seed)))
            print(f"\ndrawn: {given.plot}")
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except (NcsClusterError, ValueError) as error:
        print(f"ncsctl simulate: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"ncsctl simulate: {format_os_error(error)}", file=sys.stderr)
        return 2
    return 0


def scenario(given: argparse.Namespace) -> Scenario:
    """The air is `rise` warmer from half of the time on; rates are those of the last quarter."""
    until_s = given.hours * HOUR_S

    def air_c(now_s: float) -> float:
        return float(given.ambient + (given.rise if now_s >= until_s / 2 else 0.0))

    return Scenario(
        "", given.sticks, given.cluster_size, air_c, until_s, given.switch_temp, parameters=given.spread / 100, judged_s=until_s / 4
    )


def _simulated(policy: str, given: argparse.Namespace, seed: int) -> Simulated:
    story = scenario(given)
    if policy == ORIGINAL and not given.cluster_size:
        # without clusters all of the original's sticks are active
        story = story._replace(cluster_size=given.sticks)
    trial = Trial(story, policy, seed, interval_s=given.switch_interval)
    trial.traced = True
    return Simulated(policy, trial, trial.run())


def _lines(done: Sequence[Simulated], given: argparse.Namespace, seed: int) -> list[Line]:
    network, story = done[0].trial.plant.network, scenario(given)
    air_c = story.air_c(story.until_s)
    best = bound.steady(network, air_c, given.switch_temp, given.cluster_size)
    text = f"no policy can sustain more than {best:.1f} inferences a second under {given.switch_temp:g} °C"
    if given.cluster_size and (free := bound.steady(network, air_c, given.switch_temp)) > best + 0.05:
        text += f"; {free:.1f} without the cluster size"
    settled = "rates are those of the last quarter of the time; over 100 % where sticks still warm up or are over the limit"
    rows = [_row(each, given.switch_temp) for each in done]
    return [[Cell(_what(given, seed))], [Cell(text)], [Cell(settled)], [], *table(HEAD, rows, right=range(1, len(HEAD)))]


def _what(given: argparse.Namespace, seed: int) -> str:
    size = f", {given.cluster_size} at a time" if given.cluster_size else ""
    rise = f", {given.ambient + given.rise:g} °C from half of the time on" if given.rise else ""
    sticks = "1 stick" if given.sticks == 1 else f"{given.sticks} sticks"
    time = duration(given.hours * HOUR_S)
    return f"simulation: {sticks}{size}, air {given.ambient:g} °C{rise}, {time}; --seed {seed} --spread {given.spread:g}"


def _row(each: Simulated, limit_c: float) -> list[Cell]:
    result = each.result
    story = each.trial.scenario
    judged = [work for now_s, _, work in each.trial.trace if now_s > story.until_s - story.judged_s]
    shares = [sum(work) / len(judged) for work in zip(*judged, strict=True)]
    over = result.hottest_c > limit_c
    return [
        Cell(each.policy),
        Cell(f"{result.rate:.1f}"),
        Cell("-" if math.isnan(result.steady_share) else f"{result.steady_share:.1%}"),
        Cell(f"{result.hottest_c:.1f} °C", "bad" if over else ""),
        Cell(duration(result.over_s), "bad" if over else ""),
        Cell(f"{result.throttle_events} times", "bad" if result.throttle_events else ""),
        Cell(str(result.switches)),
        Cell(f"{result.gap_s:.2f} s"),
        Cell(f"{min(shares):.0%} to {max(shares):.0%}"),
    ]
