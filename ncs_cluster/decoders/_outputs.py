"""What decoders share about outputs: which one is meant, and what they are called in errors. Runs on CPython 3.9."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Optional

if TYPE_CHECKING:
    from numpy.typing import NDArray


def shapes(outputs: Mapping[str, NDArray[Any]]) -> str:
    """Names and shapes of the outputs, for errors: "boxes [1, 4420, 4], scores [1, 4420, 2]"."""
    return ", ".join(f"{name} {list(array.shape)}" for name, array in outputs.items()) or "nothing"


def chosen(outputs: Mapping[str, NDArray[Any]], name: str) -> Optional[NDArray[Any]]:
    """The output of this name, without a name the only one; None where there is none, or no only one."""
    if name:
        return outputs.get(name)
    return next(iter(outputs.values())) if len(outputs) == 1 else None


def complaint(decoder: str, outputs: Mapping[str, NDArray[Any]], name: str) -> str:
    """Why `chosen` has found nothing, in one line."""
    if name:
        return f'decoder "{decoder}" wants the output "{name}" and the graph gives {shapes(outputs)}'
    return f'decoder "{decoder}" reads one output and the graph gives {shapes(outputs)}: name one as decoder.output in graph.toml'
