"""Which of the layouts of YOLO heads an output has: told by its shape, the input's size and the number of names.

| layout | output | a row |
|---|---|---|
| v5 | [1, N, 5 + C], 3 rows for each cell | centre x, y, width, height, objectness, a score for each class |
| yolox | [1, N, 5 + C], 1 row for each cell | the same; x, y are offsets in the cell, width and height logarithms, all in strides |
| v8 | [1, 4 + C, N] or [1, N, 4 + C], 1 for each cell | centre x, y, width, height, a score for each class |
| end2end | [1, N, 6] | x1, y1, x2, y2, score, class, after non-maximum suppression |
| v5-heads | 2 to 4 of [1, A (5 + C), H, W] or [1, A, H, W, 5 + C] | logits of v5, before sigmoids, grid and anchors |

Runs on CPython 3.9.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Any, List, Mapping, NamedTuple, Optional, Tuple, Union

from ncs_cluster.decoders._outputs import shapes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ncs_cluster.types import ResizeTransform

LAYOUTS = ("v5", "v5-heads", "v8", "yolox", "end2end")
MOST_END2END = 1000
"""Rows of an output that suppression has thinned out; 300 is usual."""
BESIDE = (32, 51)
"""Numbers behind the classes of v8: coefficients of masks, and 17 key points."""
GRIDS = ((8, 16, 32), (8, 16, 32, 64))
"""Strides of the detection levels, pixels."""


class Head(NamedTuple):
    """Outputs whose layout is known."""

    layout: str
    arrays: List[NDArray[Any]]
    """One [N, D], or for v5-heads [A, H, W, 5 + C] each, the finest first."""
    classes: int


def head(
    outputs: Mapping[str, NDArray[Any]], layout: str, output: str, classes: int, names: int, size: Tuple[int, int]
) -> Union[Head, str]:
    """The outputs by `layout`, or by what fits them where it is "auto"; else why that cannot be told, in one line.

    `output`: the name of the output; empty: the one that fits. `classes`: their number; 0: as outputs and names tell. `names`: the
    number of names of classes; 0: unknown. `size`: the input's width and height; zeros: unknown.
    """
    if output and output not in outputs:
        return f'decoder "yolo" wants the output "{output}" and the graph gives {shapes(outputs)}'
    considered = {output: outputs[output]} if output else outputs
    tables = [table for table in map(_table, considered.values()) if table is not None]
    maps = _maps(outputs) if layout in ("auto", "v5-heads") else []
    fits = [heads for table in tables if (heads := _fitting(table, layout, classes, names, size))]
    if maps and not fits:
        return _judged(Head("v5-heads", maps, classes or maps[0].shape[-1] - 5), classes, names)
    # of zeros, whose size is not at hand, v5 and yolox may both be possible: the first frame tells
    if len(fits) == 1 and (len(fits[0]) == 1 or size == (0, 0)):
        return _judged(fits[0][0], classes, names)
    told = f'decoder "yolo" cannot tell the layout of {shapes(outputs)}' + (f" for {names} names of classes" if names else "")
    if len(tables) > 1 and not output:
        return f"{told}: name the output as decoder.output in graph.toml, and decoder.layout, one of {', '.join(LAYOUTS)}"
    return f"{told}: set decoder.layout in graph.toml to one of {', '.join(LAYOUTS)}"


def cells(size: Tuple[int, int]) -> List[int]:
    """Cells of all levels together, for each set of strides."""
    return [sum((size[0] // stride) * (size[1] // stride) for stride in strides) for strides in GRIDS]


def input_size(transform: ResizeTransform, rows: int) -> Optional[Tuple[int, int]]:
    """Width and height of the graph's input; where the backend does not tell, of the square that has a row, or three, for each of
    its cells; None where there is none."""
    if transform.width and transform.height:
        return transform.width, transform.height
    for each in (21, 63):
        side = isqrt(rows // each)
        if rows and side * side * each == rows:
            return 32 * side, 32 * side
    return None


def _table(array: NDArray[Any]) -> Optional[NDArray[Any]]:
    """[N, D] of [1, N, D]; None for another shape."""
    if array.ndim < 2 or array.size == 0 or any(side != 1 for side in array.shape[:-2]) or min(array.shape[-2:]) < 5:
        return None
    return array.reshape(array.shape[-2:])


def _maps(outputs: Mapping[str, NDArray[Any]]) -> List[NDArray[Any]]:
    """[A, H, W, 5 + C] of each level, the finest first; empty where the outputs are not such."""
    found = []
    for array in outputs.values():
        if array.ndim == 4 and array.shape[0] == 1 and array.shape[1] % 3 == 0 and array.shape[1] >= 18:
            levels = array.reshape(3, array.shape[1] // 3, *array.shape[2:]).transpose(0, 2, 3, 1)
        elif array.ndim == 5 and array.shape[0] == 1 and array.shape[-1] >= 6:
            levels = array[0]
        else:
            return []
        found.append(levels)
    found.sort(key=lambda level: -level.shape[1] * level.shape[2])
    widths = [level.shape[2] for level in found]
    halves = all(2 * after == before for before, after in zip(widths, widths[1:]))
    alike = len({(level.shape[0], level.shape[3]) for level in found}) == 1
    return found if 2 <= len(found) <= 4 and halves and alike else []


def _fitting(table: NDArray[Any], layout: str, classes: int, names: int, size: Tuple[int, int]) -> List[Head]:
    """The layouts that an output may have. What has one without the input's size has one with any: what was checked before the
    start is decoded later."""
    rows, columns = table.shape
    upright = rows > columns
    if layout == "v8":
        table = table if upright else table.T
        return [Head(layout, [table], classes or table.shape[1] - 4)]
    if layout == "end2end":
        return [Head(layout, [table], 0)] if columns == 6 else []
    if layout != "auto":
        fits = layout == "v5" or (layout == "yolox" and _is_multiple(rows, 1))
        return [Head(layout, [table], classes or columns - 5)] if fits and columns >= 6 else []
    count = classes or names
    if not upright:
        beside = rows - 4 - names if names else 0
        fits = count > 0 or _is_multiple(columns, 1)
        return [Head("v8", [table.T], classes or (names if beside in BESIDE else rows - 4))] if fits else []
    if columns == 6 and rows <= MOST_END2END and not _is_multiple(rows, 1):
        return [Head("end2end", [table], 0)]
    if count == columns - 4:
        return [Head("v8", [table], count)]
    if columns < 6 or count not in (0, columns - 5) or (count == 0 and not _is_multiple(rows, 3)):
        return []
    v5, yolox = Head("v5", [table], columns - 5), Head("yolox", [table], columns - 5)
    if size == (0, 0):
        return [v5, yolox] if _is_multiple(rows, 1) else [v5]
    # boxes of other grids than YOLOX has are decoded ones
    return [yolox] if rows in cells(size) else [v5]


def _is_multiple(rows: int, each: int) -> bool:
    """Whether an input with sides of whole strides may have so many cells, with `each` rows for each of them."""
    return rows % (21 * each) == 0 or rows % (85 * each) == 0


def _judged(found: Head, classes: int, names: int) -> Union[Head, str]:
    """The head, unless its number of classes is not that of the names."""
    if found.layout == "end2end" or names in (0, found.classes) or names < found.classes == classes:
        return found
    told = f'decoder "yolo" reads {found.classes} classes in layout {found.layout}, and the labels name {names}'
    return f"{told}: correct labels in graph.toml, or decoder.classes where the numbers are not all classes"
