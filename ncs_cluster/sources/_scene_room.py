"""The room of the synthetic scene, painted once when the source opens.

Rule: everything here is a pure function of its random generator, takes time, and is never called per frame. Axes are the
camera's: x to the right, y down, z away from it, metres. Colours are BGR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Tuple

import cv2
import numpy as np

from ncs_cluster.sources._scene_shapes import STRIP, bgr

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ncs_cluster.sources._scene_shapes import Plane

FLOOR_M, CEILING_M, WALL_M, BACK_M = 1.15, -1.45, 2.7, 6.9
FOCAL = 0.95
"""Focal length in frame widths, about that of a D435's colour camera."""


def room(width: int, height: int, rng: np.random.Generator) -> Tuple[NDArray[np.uint8], Plane]:
    """An empty room: colour uint8 [height, width, 3] within 16..239, and depth float32 [height, width] in metres (0: glass)."""
    w, h = width * 2, height * 2
    plaster = 1 + 0.012 * _soft(rng, w, h, 160) + 0.02 * _soft(rng, w, h, 12)
    choices = int(rng.integers(1 << 32))
    colour, depth = np.empty((height, width, 3), np.uint8), np.empty((height, width), np.float32)
    for top in range(0, h, STRIP):
        rows = slice(top, min(h, top + STRIP))
        half = slice(rows.start // 2, rows.stop // 2)
        # Each strip makes the same choices anew.
        paint, z = _strip(w, h, rows, plaster[rows], np.random.default_rng(choices))
        small = cv2.resize(paint, (width, half.stop - half.start), interpolation=cv2.INTER_AREA)
        colour[half] = np.clip(small * 255, 16, 239)
        depth[half] = z[1::2, 1::2]
    return colour, depth


def _soft(rng: np.random.Generator, width: int, height: int, cells: int) -> Plane:
    """Soft blotches, mean 0, about -1..1."""
    grain = rng.normal(0, 0.5, (max(2, cells * height // width), cells)).astype(np.float32)
    soft: Plane = np.asarray(cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    return soft


def _strip(w: int, h: int, rows: slice, plaster: Plane, rng: np.random.Generator) -> Tuple[Plane, Plane]:
    """Some rows of a room of w x h pixels: colour 0..1 and depth in metres."""
    focal = FOCAL * w
    shape = (rows.stop - rows.start, w)
    dx = np.broadcast_to(((np.arange(w) - (w - 1) / 2) / focal).astype(np.float32), shape)
    dy = np.broadcast_to(((np.arange(rows.start, rows.stop) - (h - 1) / 2) / focal).astype(np.float32)[:, None], shape)
    side_z = WALL_M / np.maximum(np.abs(dx), 1e-6)
    flat_z = np.where(dy > 0, np.float32(FLOOR_M), np.float32(-CEILING_M)) / np.maximum(np.abs(dy), 1e-6)
    z = np.minimum(np.minimum(side_z, flat_z), BACK_M)
    x, y = dx * z, dy * z
    back, side = z >= BACK_M, (side_z < flat_z) & (side_z < BACK_M)
    floor, ceiling = ~back & ~side & (dy > 0), ~back & ~side & (dy < 0)

    wall = bgr(rng.choice([0.09, 0.11, 0.28, 0.40, 0.55, 0.58]), rng.uniform(0.10, 0.20), rng.uniform(0.76, 0.84))
    paint = plaster[..., None] * wall
    paint[side] *= np.float32(0.93)
    paint[ceiling] = [0.87, 0.89, 0.90]
    _boards(paint, floor, x, z, rng)
    wx, glass = _window(paint, back, x, y, rng)
    _picture(paint, back, x, y, -wx * 0.85, rng)
    skirting = ~floor & ~ceiling & (y > FLOOR_M - 0.12)
    paint[skirting] = [0.83, 0.86, 0.87]

    # Daylight: a pale patch on the floor below the window, dark corners where surfaces meet, a slight vignette.
    light = 1.02 - 0.22 * (dx * dx + dy * dy)
    light *= 1 + 0.12 * floor * np.exp(-_fourth((x - wx * 0.6) / 0.7) - _fourth((z - 5.6) / 0.7))
    for surface, gap in ((back, BACK_M - z), (side, WALL_M - np.abs(x)), (floor, FLOOR_M - y), (ceiling, y - CEILING_M)):
        light *= 1 - 0.24 * ~surface * np.exp(-np.maximum(gap, 0) / 0.30)
    return paint * light[..., None], np.where(glass, np.float32(0), z)


def _fourth(values: Plane) -> Plane:
    return np.square(np.square(values))


def _boards(paint: Plane, floor: NDArray[np.bool_], x: Plane, z: Plane, rng: np.random.Generator) -> None:
    """The floor: boards along z, each of its own tone, with joints and grain, and a rug on them."""
    oak = bgr(rng.uniform(0.06, 0.09), rng.uniform(0.28, 0.42), rng.uniform(0.56, 0.70))
    accent = bgr(rng.uniform(0, 1), rng.uniform(0.18, 0.32), rng.uniform(0.55, 0.70))
    tones = rng.uniform(-0.07, 0.07, 4096).astype(np.float32)
    rug_x, rug_z = rng.uniform(-0.5, 0.5), rng.uniform(4.2, 4.9)
    if not floor.any():
        return
    x, z = x[floor], z[floor]
    board = np.floor(x / 0.19)
    along = z / 1.3 + board * 0.37
    tone = tones[(board * 31 + np.floor(along) * 7).astype(np.int32) % 4096]
    joint = (np.abs(x / 0.19 - board - 0.5) > 0.482) | (np.abs(along - np.floor(along) - 0.5) > 0.494)
    grain = np.sin(x * 230 + 3 * np.sin(z * 2.1 + board)) * 0.012
    wood = (1 + tone + grain - 0.20 * joint)[:, None] * oak
    rug = np.square((x - rug_x) / 1.55) + np.square((z - rug_z) / 0.95)
    wood[rug < 1] = accent * 1.12
    wood[rug < 0.86] = accent
    wood[np.abs(rug - 0.55) < 0.05] = accent * 1.08
    paint[floor] = wood


def _window(paint: Plane, back: NDArray[np.bool_], x: Plane, y: Plane, rng: np.random.Generator) -> Tuple[float, NDArray[np.bool_]]:
    """A window on the back wall, with hills behind it. Its x and its panes."""
    centre, half_w, top, bottom = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.95, 1.2)), 0.85, -1.05, 0.30
    high, low, hue = bgr(0.56, 0.22, 0.88), bgr(0.10, 0.08, 0.92), rng.uniform(0.22, 0.38)
    waves = rng.uniform(0, 6, 3)
    u, v = (x - centre) / half_w, (y - top) / (bottom - top)
    frame = back & (np.abs(u) < 1.09) & (v > -0.06) & (v < 1.06)
    pane = back & (np.abs(u) < 1) & (v > 0) & (v < 1) & (np.abs(u) > 0.035) & (np.abs(v - 0.42) > 0.022)
    paint[frame] = [0.84, 0.87, 0.88]
    u, v = u[pane], v[pane]
    view = high + (low - high) * v[:, None]
    view[v > 0.70 + 0.07 * np.sin(u * 2.3 + waves[0]) + 0.03 * np.sin(u * 5.1 + waves[1])] = bgr(hue, 0.17, 0.76)
    view[v > 0.82 + 0.05 * np.sin(u * 3.1 + waves[2])] = bgr(hue, 0.25, 0.66)
    paint[pane] = view
    return centre, pane


def _picture(paint: Plane, back: NDArray[np.bool_], x: Plane, y: Plane, centre: float, rng: np.random.Generator) -> None:
    """A framed print of soft horizontal bands."""
    start = rng.uniform(0, 1)
    u, v = (x - centre) / 0.52, (y + 0.42) / 0.40
    frame, paper, art = (back & (np.abs(u) < k) & (np.abs(v) < k2) for k, k2 in ((1.0, 1.0), (0.93, 0.91), (0.74, 0.66)))
    bands = np.clip(np.floor((v[art] + 0.10 * np.sin(u[art] * 2.5) + 0.7) * 3.2), 0, 4).astype(np.int32)
    tones = np.array([bgr(start + 0.035 * i, 0.18 + 0.05 * i, 0.84 - 0.06 * i) for i in range(5)], np.float32)
    paint[frame] = bgr(0.08, 0.30, 0.42)
    paint[paper] = [0.86, 0.88, 0.89]
    paint[art] = tones[bands]
