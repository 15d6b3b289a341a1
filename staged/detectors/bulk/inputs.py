"""Texts to judge, however many: all are looked at once, in bounded memory, and dealt into blocks
that any process can read for itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from staged.detectors.inputs import (
    InputFile,
    Text,
    TextsBehind,
    input_files,
    nothing_to_judge,
)
from staged.errors import CorpusError
from staged.files.places import first_fault_last
from staged.files.rows import Place
from staged.storage.digests import TextsDigest

LEAST, MOST = 16, 4096  # texts of a block
OF_A_SIZE = 256  # blocks, until they become larger
KEPT_BYTES = 2**24  # of texts that are kept when they were looked at; of more, none are


def block_size(first: int) -> int:
    """Texts of the block that begins with this text, from 0: 16 at first, so that a kill takes
    little of a slow detector's work; twice as many after 256 blocks of a size, up to 4,096.
    """
    return min(LEAST << (first // (LEAST * OF_A_SIZE) + 1).bit_length() - 1, MOST)


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Texts that are judged together.

    Attributes:
        first: how many texts lie before them.
        count: how many they are.
        digest: of their ids and texts.
        file, place: where the first of them stands: the file's number, and a place in it.
    """

    first: int
    count: int
    digest: str
    file: int
    place: Place

    @property
    def name(self) -> str:
        return f"{self.first:09d}-{self.digest}"


@dataclass(frozen=True)
class Inputs:
    """Texts that were looked at, in blocks.

    Attributes:
        kept: the texts themselves, where they are few; None where files are read again.
    """

    files: tuple[InputFile, ...]
    blocks: tuple[TextBlock, ...]
    kept: tuple[Text, ...] | None

    @property
    def count(self) -> int:
        """All texts."""
        return self.blocks[-1].first + self.blocks[-1].count


class InputReader:
    """Reads blocks of texts; in ascending order each file is read once."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._open: tuple[int, TextsBehind] | None = None

    def texts(self, number: int) -> Iterator[Text]:
        """The texts of a block, in order.

        Raises:
            CorpusError: they are not what they were when they were looked at.
        """
        block, digest = self._inputs.blocks[number], TextsDigest()
        for text in self._texts(block):
            for part in text:
                digest.add(part)
            yield text
        if digest.name != block.digest:
            raise CorpusError(
                f"{self._inputs.files[block.file].name}: was changed while its texts were judged;"
                " give the command again"
            )

    def _texts(self, block: TextBlock) -> Iterator[Text]:
        if self._inputs.kept is not None:
            return iter(self._inputs.kept[block.first : block.first + block.count])
        return islice(self._on_from(block), block.count)

    def _on_from(self, block: TextBlock) -> Iterator[Text]:
        place = block.place
        for number in range(block.file, len(self._inputs.files)):
            if self._open is None or self._open[0] != number:
                self._open = (number, self._inputs.files[number].opened(again=True))
            for _, text in self._open[1](place):
                yield text
            place = Place()


def look_at(places: Sequence[str], *, out: Path | None = None) -> Inputs:
    """All texts of these places, dealt into blocks.

    Args:
        places, out: as `read_texts` takes them.

    Raises:
        CorpusError: as `read_texts`; all texts are looked at first.
    """
    files, dealing = input_files(places, out=out), _Dealing(KEPT_BYTES)

    def look(number: int) -> Iterator[None]:
        place = Place()
        if files[number].is_read_once:
            files[number] = files[number].with_texts()
        for behind, text in files[number].opened()(place):
            dealing.take(text, number, place)
            place = behind
            yield

    for _ in first_fault_last(range(len(files)), look):
        pass
    if not dealing.first:
        raise nothing_to_judge(places)
    return dealing.dealt(files)


def given(texts: Iterable[Text]) -> Inputs:
    """Texts that are at hand, dealt into blocks."""
    dealing = _Dealing(sys.maxsize)
    for number, text in enumerate(texts):
        dealing.take(text, 0, Place(number))
    return dealing.dealt(())


class _Dealing:
    """Deals texts into blocks, one text after the other; keeps them while they are so small."""

    def __init__(self, most_bytes: int) -> None:
        self.first = 0  # texts taken
        self._room = most_bytes
        self._kept: list[Text] | None = []
        self._blocks: list[TextBlock] = []
        self._digest, self._start = TextsDigest(), (0, Place())

    def take(self, text: Text, file: int, place: Place) -> None:
        """The next text, and where it stands."""
        if self.first == self._end:
            self._start = (file, place)
        for part in text:
            self._digest.add(part)
        self.first += 1
        self._keep(text)
        if self.first - self._end == block_size(self._end):
            self._close()

    @property
    def _end(self) -> int:
        """Texts that are in blocks."""
        return self._blocks[-1].first + self._blocks[-1].count if self._blocks else 0

    def _keep(self, text: Text) -> None:
        self._room -= sum(map(len, text))
        if self._room < 0:
            self._kept = None
        if self._kept is not None:
            self._kept.append(text)

    def _close(self) -> None:
        end = self._end
        block = TextBlock(end, self.first - end, self._digest.name, *self._start)
        self._blocks.append(block)
        self._digest = TextsDigest()

    def dealt(self, files: Iterable[InputFile]) -> Inputs:
        """All of them; the last block may have less than the others."""
        if self.first > self._end:
            self._close()
        kept = None if self._kept is None else tuple(self._kept)
        return Inputs(tuple(files), tuple(self._blocks), kept)
