"""The writer of some settings: a model on this machine, or one behind a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from staged.model.sources.served import parse_served
from staged.samples.writers.contract import SampleSettings, Writer
from staged.samples.writers.local import open_local
from staged.samples.writers.served import open_served


@contextmanager
def opened(settings: SampleSettings) -> Iterator[Writer]:
    """A writer, ready; closed at the end.

    Raises:
        CheckpointError, SamplingError, PlanError: the model, or what is asked of it.
    """
    served = parse_served(settings.model)
    if served is None:
        yield open_local(settings)
    else:
        with open_served(settings, served) as writer:
            yield writer
