"""The best rate that any policy can reach on a plant while every die stays at or under the limit: linear programs.

A die's temperature is a linear function of all work done before, with no negative coefficient. So the average of any policy over a
long time obeys the steady program, and its whole history the dynamic one, which knows every parameter and the future. The dynamic
one has thousands of unknowns and needs scipy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ncs_cluster.testing.thermal_lab.plant import INFERENCE_S, Network, Values

STEP_S = 20.0


def steady(network: Network, air_c: float, limit_c: float, cluster_size: int = 0) -> float:
    """Inferences per second that can be sustained for ever: the largest sum of u / INFERENCE_S under

        air + M (idle + work u) <= limit,  0 <= u <= 1,  sum u <= cluster_size (0: no such limit).

    0 when the sticks are over the limit though they rest.
    """
    rise = network.die_k_w()
    left_k = limit_c - air_c - rise @ network.idle_w
    if left_k.min() < 0.0:
        return 0.0
    rows, ends = [rise * network.work_w, np.eye(network.count)], [left_k, np.ones(network.count)]
    if cluster_size:
        rows.append(np.ones((1, network.count)))
        ends.append(np.array([float(cluster_size)]))
    return _largest_sum(np.vstack(rows), np.concatenate(ends)) / INFERENCE_S


def dynamic(
    network: Network,
    air_c: Callable[[float], float],
    powered: Callable[[int, float], bool],
    until_s: float,
    limit_c: float,
    cluster_size: int = 0,
    *,
    step_s: float = STEP_S,
) -> float:
    """Inferences that can be done from 0 to `until_s`, beginning at the temperature of the air. Work is constant for `step_s`, the
    limit holds at the end of each step. NaN when no work keeps the limit."""
    optimize, sparse = _scipy()
    steps, count, nodes = math.ceil(until_s / step_s), network.count, network.nodes
    kept, driven, _ = network.step_matrices(step_s)
    worked = driven * network.work_w
    ends: list[float] = []
    width = nodes + count
    highest = np.full((steps, width), np.inf)
    highest[:, :count], highest[:, nodes:] = limit_c, 1.0
    lowest = np.full((steps, width), -np.inf)
    lowest[:, nodes:] = 0.0
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    before = np.full(nodes, air_c(0.0))
    for step in range(steps):
        now_s = step * step_s
        air = air_c(now_s)
        on = np.array([powered(number, now_s) for number in range(count)])
        came = [number for number in range(count) if on[number] and step and not powered(number, now_s - step_s)]
        fixed = driven @ (network.idle_w * on) + air - kept.sum(axis=1) * air
        begins = before if step == 0 else np.zeros(nodes)
        reset = [place for number in came for place in (number, count + number)]
        reset += [network.package[number] for number in came if number in network.package]
        fixed = fixed + kept @ begins + kept[:, reset].sum(axis=1) * air
        before_here = kept.copy()
        before_here[:, reset] = 0.0
        _block(rows, columns, values, step * nodes, step * width, np.eye(nodes))
        _block(rows, columns, values, step * nodes, step * width + nodes, -worked)
        if step:
            _block(rows, columns, values, step * nodes, (step - 1) * width, -before_here)
        ends += list(fixed)
        highest[step, nodes:] = on
        highest[step, :count] = np.where(on, limit_c, np.inf)
    equal = sparse.csr_matrix((values, (rows, columns)), shape=(steps * nodes, steps * width))
    cost = np.tile(np.concatenate([np.zeros(nodes), -np.ones(count)]), steps)
    cap = None
    if cluster_size:
        cap = sparse.kron(sparse.eye(steps), np.concatenate([np.zeros(nodes), np.ones(count)])[None, :]).tocsr()
    found = optimize.linprog(
        cost,
        cap,
        None if cap is None else np.full(steps, float(cluster_size)),
        equal,
        np.array(ends),
        np.column_stack([lowest.ravel(), highest.ravel()]),
        method="highs",
    )
    return -found.fun * step_s / INFERENCE_S if found.status == 0 else math.nan


def _largest_sum(rows: Values, ends: Values) -> float:
    """max sum u under rows u <= ends, u >= 0, where ends >= 0 and every u is bounded: the simplex method on a tableau, with Bland's
    rule, under which it ends (Bland, Mathematics of Operations Research 2, 1977)."""
    count, width = rows.shape
    tableau = np.zeros((count + 1, width + count + 1))
    tableau[:count, :width], tableau[:count, width:-1], tableau[:count, -1] = rows, np.eye(count), ends
    tableau[count, :width] = -1.0
    basis = list(range(width, width + count))
    while (able := np.flatnonzero(tableau[count, :-1] < -1e-9)).size:
        column = int(able[0])
        rising = np.flatnonzero(tableau[:count, column] > 1e-12)
        ratios = tableau[rising, -1] / tableau[rising, column]
        least = rising[ratios <= ratios.min() + 1e-12]
        row = int(min(least, key=lambda each: basis[int(each)]))
        tableau[row] /= tableau[row, column]
        others = np.arange(count + 1) != row
        tableau[others] -= np.outer(tableau[others, column], tableau[row])
        basis[row] = column
    return float(tableau[count, -1])


def _block(rows: list[int], columns: list[int], values: list[float], row: int, column: int, block: Any) -> None:
    at, to = np.nonzero(block)
    rows += list(at + row)
    columns += list(to + column)
    values += list(block[at, to])


def _scipy() -> tuple[Any, Any]:
    from scipy import optimize, sparse

    return optimize, sparse
