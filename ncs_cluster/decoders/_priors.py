"""SSD heads before DetectionOutput: offsets to priors, scores, and the priors themselves. Runs on CPython 3.9.

Formula: SSD, https://arxiv.org/abs/1512.02325, section 2.2, with variances as Caffe's CENTER_SIZE has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

from ncs_cluster.decoders._numpy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray  # numpy 1.19, which OpenVINO 2021.4 wants, has none


def found(outputs: Mapping[str, NDArray[Any]]) -> Optional[Dict[str, NDArray[Any]]]:
    """ "priors" [2, N, 4], corners and variances, "offsets" [N, 4] and "scores" [N, C]; None where the outputs are not such.

    They are outputs [1, 2, 4N], [1, 4N] and [1, N C] or [1, N, C], in any order. For three classes and their background the
    offsets are told by a name that has "loc" or "box" in it.
    """
    priors = [name for name, array in outputs.items() if array.ndim == 3 and array.shape[:2] == (1, 2) and array.shape[2] % 4 == 0]
    if len(priors) != 1 or len(outputs) != 3 or outputs[priors[0]].size == 0:
        return None
    count = outputs[priors[0]].shape[2] // 4
    others = {name: array for name, array in outputs.items() if name != priors[0]}
    if any(array.size % count or array.size < 2 * count for array in others.values()):
        return None
    offsets = [name for name, array in others.items() if array.size == 4 * count]
    if len(offsets) > 1:
        offsets = [name for name in offsets if "loc" in name.lower() or "box" in name.lower()]
    if len(offsets) != 1:
        return None
    scores = next(array for name, array in others.items() if name != offsets[0])
    return {
        "priors": outputs[priors[0]].reshape(2, count, 4),
        "offsets": outputs[offsets[0]].reshape(count, 4),
        "scores": scores.reshape(count, -1),
    }


def boxes(priors: NDArray[Any], offsets: NDArray[Any]) -> NDArray[Any]:
    """float64 [N, 4], x1, y1, x2, y2: each prior moved by its offsets times its variances, and its sides stretched by their
    exponentials."""
    corners, variances = priors.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        sides = corners[:, 2:] - corners[:, :2]
        scaled = offsets.astype(np.float64) * variances
        centres = (corners[:, :2] + corners[:, 2:]) / 2 + scaled[:, :2] * sides
        halves = np.exp(scaled[:, 2:]) * sides / 2
        placed: NDArray[Any] = np.concatenate([centres - halves, centres + halves], axis=1)
    return placed
