"""What the plan's own generators write: continuations of human passages, each of another passage's
first words.

    human examples ─► prompts ─► samples/MODEL.METHOD/ ─► machine examples

Public sets have next to no text of small models at temperature 1, which is rougher than people
write.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from staged.detectors.kinds.readers.plain import plain
from staged.detectors.normal.normalize import normalize
from staged.engines.choice import HERE, Engine
from staged.errors import PlanError
from staged.progress import Progress, shifted
from staged.records import HUMAN, MACHINE, count_words
from staged.samples.dataset import SampleSettings, read_samples
from staged.samples.methods import method
from staged.samples.sample_stage import FILE, keep_folder
from staged.storage.stage_folders import is_complete
from staged.streams import derive
from staged.training.readers.labelled import SHORTEST, Example
from staged.training.readers.plan import OWN, ReadersSettings

PROMPT_WORDS = 25
LENGTH_TOKENS = 260
FEWEST_WORDS = 150  # of a passage that is continued


def own_texts(
    folder: Path,
    people: Sequence[Example],
    settings: ReadersSettings,
    *,
    device: str = "cpu",
    engine: Engine = HERE,
    progress: Progress,
) -> list[Example]:
    """The generators' texts, without the words that they continue: of each generator and method a
    stage, made again where the plan, the passages or the generator's weights changed.

    Args:
        folder: receives the stages.
        people: human examples, of which `settings.prompts` takes its share a source.
        engine: what computes; a shard lets its own generators write.
        progress: called with (texts written, all).

    Raises:
        SamplingError, CheckpointError: as `write_samples`.
        ShardDone: other shards' generators have not written.
        PlanError: a source of `prompts` that no example has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total, before = sum(settings.generators.values()), 0
    prompts, places = _passages(people, settings), {}
    for number, (name, count) in enumerate(settings.generators.items()):
        sources = [
            example
            for source, share in settings.prompts.items()
            for example in _next(prompts[source], round(count * share))
        ]
        wanted = _wanted(name, sources, settings, device)
        place = folder / f"{Path(wanted.model).name}.{name.partition(' ')[2]}"
        if engine.own([number]):
            further = shifted(progress, before, total)
            keep_folder(place, wanted, engine=engine.whole, progress=further)
        places[place] = (name, sources)
        before += count
        progress(before, total)
    if engine.shard:
        engine.check_shares(folder, missing=sum(not is_complete(place) for place in places))
    return [
        example
        for place, (name, sources) in places.items()
        for example in _examples(place / FILE, name, sources)
    ]


def _wanted(
    name: str, sources: Sequence[Example], settings: ReadersSettings, device: str
) -> SampleSettings:
    """A continuation of each source by one of the plan's generators, `MODEL METHOD`."""
    model, _, way = name.partition(" ")
    return SampleSettings(
        model=model,
        method=method(way),
        count=len(sources),
        length=LENGTH_TOKENS,
        prompts=tuple(map(_prompt, sources)),
        seed=derive(settings.seed, OWN, name),
        batch=64,
        context="stop",
        device=device,
    )


def _passages(people: Sequence[Example], settings: ReadersSettings) -> dict[str, Iterator[Example]]:
    """Of each source of prompts its passages in a random order, over and over."""
    piles = {}
    for source in settings.prompts:
        pile = [
            example
            for example in people
            if example.label == HUMAN and example.source == source and example.words >= FEWEST_WORDS
        ]
        if not pile:
            raise PlanError(
                f"readers: prompts names {source!r}, of which there is no human text of"
                f" {FEWEST_WORDS} words"
            )
        piles[source] = _shuffled(pile, derive(settings.seed, "prompts", source))
    return piles


def _shuffled(pile: list[Example], seed: int) -> Iterator[Example]:
    stream = random.Random(seed)
    while True:
        yield from stream.sample(pile, len(pile))


def _next(passages: Iterator[Example], count: int) -> list[Example]:
    return [next(passages) for _ in range(count)]


def _prompt(source: Example) -> str:
    return " ".join(source.text.split()[:PROMPT_WORDS])


def _examples(out: Path, generator: str, sources: Sequence[Example]) -> Iterator[Example]:
    rows = read_samples(out)
    for number, (row, source) in enumerate(zip(rows, sources, strict=True)):
        text = plain(normalize(str(row["text"])).text)
        if (words := count_words(text)) >= SHORTEST:
            name = f"{OWN}:{generator}:{number}"
            yield Example(
                name, text, MACHINE, source.source, source.domain, generator, source.pair, words
            )
