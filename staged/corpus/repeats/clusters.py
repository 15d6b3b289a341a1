"""Documents that repeat one another, as clusters: who is similar to whom adds up, and the first of
each cluster is the one that stays.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class Clusters:
    """Documents 0 … n − 1, each a cluster of its own until it is joined to another: 4 bytes a
    document.
    """

    def __init__(self, documents: int) -> None:
        self.above = np.arange(documents, dtype=np.uint32)

    def first(self, document: int) -> int:
        """The first document of a document's cluster."""
        above = self.above
        while (over := above[document]) != document:
            above[document] = above[over]
            document = int(over)
        return int(document)

    def join(self, one: int, other: int) -> bool:
        """Make two clusters into one; False where they were one already."""
        low, high = sorted((self.first(one), self.first(other)))
        self.above[high] = low
        return low != high

    def removed(self) -> npt.NDArray[np.uint32]:
        """(document, first of its cluster) of every document that is not the first, in their
        order: [n, 2].
        """
        documents = np.flatnonzero(self.above != np.arange(len(self.above), dtype=np.uint32))
        firsts = [self.first(int(document)) for document in documents]
        return np.column_stack([documents, np.array(firsts, dtype=np.uint32)]).astype(np.uint32)
