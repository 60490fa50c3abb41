"""A picture whose answer is known: whether a stick still computes what it should.

The first answer of the stick itself is the reference; at its opening the picture is inferred several times, by every executor. That
shows a stick that answers differently from one time to the next, or nothing but zeros. One that is always wrong differs from other
sticks: the daemon compares their fingerprints. Runs on CPython 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Optional

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOLERANCE = 0.02
"""Share of an output's largest value: one stick computes the same each time, but for the order of its sums."""
Outputs = Dict[str, "NDArray[np.float32]"]


def draw(values: NDArray[np.generic]) -> None:
    """Fill a graph's input, flat, with the known picture: values 0..255 without a pattern, the same on every machine."""
    import numpy

    numbers = numpy.arange(1, values.size + 1, dtype=numpy.uint32)
    values[:] = ((numbers * numpy.uint32(2_654_435_761)) >> numpy.uint32(24)).astype(values.dtype)


class KnownAnswer:
    """The answer of one stick's graph to the known picture."""

    def __init__(self) -> None:
        self._reference: Optional[Outputs] = None

    def judge(self, outputs: Outputs) -> Optional[str]:
        """What is wrong with these outputs, in words; None: nothing. The first good ones are the reference."""
        import numpy

        if not all(bool(numpy.isfinite(values).all()) for values in outputs.values()):
            return "values that are no numbers"
        if self._reference is None:
            if not any(bool(values.any()) for values in outputs.values()):
                return "nothing but zeros"
            self._reference = {name: values.copy() for name, values in outputs.items()}
            return None
        for name, expected in self._reference.items():
            least = TOLERANCE * float(numpy.abs(expected).max(initial=0.0))
            if float(numpy.abs(outputs[name] - expected).max(initial=0.0)) > least:
                return f"another answer than at first (output {name})"
        return None

    def fingerprint(self) -> List[float]:
        """Of each output, by name: the mean, the mean of the absolute values, the largest of these. Empty without a reference."""
        import numpy

        figures: List[float] = []
        for _, values in sorted((self._reference or {}).items()):
            size = numpy.abs(values)
            figures += [float(values.mean()), float(size.mean()), float(size.max(initial=0.0))]
        return figures
