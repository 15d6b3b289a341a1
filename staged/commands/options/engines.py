"""Options of commands whose work an engine can hand out."""

from __future__ import annotations

from typing import Annotated

import typer

from staged.engines.choice import ALL_CORES, HERE, Engine, parse_shard
from staged.threads import processors

EngineOption = Annotated[
    str,
    typer.Option(
        help="What computes: local, processes of this machine, or ray, a cluster (docs/scale.md)."
    ),
]
AddressOption = Annotated[
    str,
    typer.Option(
        help=(
            "Of a Ray cluster: auto for the one that this machine belongs to, or HOST:PORT; by"
            " default one is started here."
        )
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        help="Processes at work, one thread each; 0 takes one a GPU where there are some, else one"
        " a core."
    ),
]
ShardOption = Annotated[
    str,
    typer.Option(
        help=(
            "i/N: do the i-th of N shares of the work, such as 0/4, in a folder that all shares"
            " write to."
        )
    ),
]


def engine_of(
    name: str,
    address: str,
    workers: int | None,
    shard: str,
    *,
    device: str,
    otherwise: Engine = HERE,
) -> Engine:
    """The engine that the options name; `otherwise` where they say nothing, or all GPUs where there
    are several.

    Args:
        device: as the command takes it; where GPUs are kept out, processors are counted.

    Raises:
        PlanError: one of them cannot be.
    """
    if not (name or address or shard) and workers is None:
        from staged.engines.started import count_gpus

        has_several = otherwise == HERE and device != "cpu" and count_gpus() > 1
        return ALL_CORES if has_several else otherwise
    if device == "cpu" and name != "ray":
        workers = workers or processors()
    return Engine(name or "local", address, workers or 0, parse_shard(shard))
