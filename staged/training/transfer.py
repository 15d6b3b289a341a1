"""How a detector trained on some generators' text carries over to others': the post's table, with
the generators of a plan.

Measures  the lexical reader and the zero-shot numbers, trained together on people's texts and on
          the machine texts of one family of generators (or one kind of text, or one year), and
          tested on each: AUROC, and what is found at 1% false positives.
Fails     to show what the encoder adds: it is not trained again for every row.
Source    the table of OpenAI's GPT-2 1.5B release (5 Nov 2019); the plan `evidence` names
          families, kinds and years.

What is cut from one human text, or was written beside it, is on one side: five parts in turn are
tested by a detector that learned from the other four. Sources are the same on both sides, as in the
post's table; what a new source does, facts.json of the detector shows. A part's threshold is the
one that 1% of the other parts' human texts reach.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from staged.detectors.kinds.readers.lexical import matrix
from staged.model.devices import chosen_device
from staged.pages.figures import figure, percent
from staged.pages.markdown import table
from staged.progress import Progress, silent
from staged.records import MACHINE
from staged.stats.comparing import rate
from staged.stats.metrics import auroc
from staged.stats.thresholds import threshold_at_fpr
from staged.storage.gate import check_replaceable, start_ledger
from staged.storage.json_files import write_json
from staged.storage.writing import disk_errors, locked, replacing, write_atomic
from staged.training.readers.crops import Crop
from staged.training.readers.detector import gather
from staged.training.readers.judging import are_machine, even_shares, judged
from staged.training.readers.lexical import fit_lexical
from staged.training.readers.numbers import fit_numbers
from staged.training.readers.plan import ReadersSettings, matching

ALL = "all"
PARTS = 5
FPR = 0.01
FEWEST = 30  # crops of a group, of either class: fewer say too little

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Transfer:
    """A cell: trained on `trained_on`, tested on `tested_on`; rates in [0, 1], 95% intervals."""

    view: str
    trained_on: str
    tested_on: str
    n_human: int
    n_machine: int
    auroc: float
    auroc_low: float
    auroc_high: float
    found: float | None  # None where people's texts are too few for a threshold
    found_low: float | None
    found_high: float | None


@dataclass(frozen=True)
class _Texts:
    """All crops: rows of `lexical.matrix`, zero-shot numbers, labels, shares in a loss."""

    rows: csr_matrix
    features: Floats
    machine: Bools
    shares: Floats

    def scored(self, tested: Bools, learns: Bools, settings: ReadersSettings) -> Floats:
        """Log-odds of some texts by a detector that learned from others."""
        even, labels = _even(self.shares, self.machine, learns), self.machine[learns]
        lexical = fit_lexical(
            self.rows[learns],
            labels.astype(int).tolist(),
            strength=settings.lexical.strength,
            shares=even,
        )
        trees = fit_numbers(self.features[learns], labels, even, seed=settings.seed)
        of_words = self.rows[tested] @ lexical.weights + lexical.bias
        return of_words + trees.log_odds(self.features[tested])


def transfer(
    crops: Sequence[Crop],
    features: Floats,
    settings: ReadersSettings,
    *,
    progress: Progress = silent,
) -> list[Transfer]:
    """All cells of the three views: `family`, `kind`, `year`.

    Args:
        crops, features: as `judged_crops` and `numbers_of` give them.
        progress: called with (detectors trained, all).
    """
    views = {
        "family": labels(crops, lambda crop: _fitting(settings.families, crop)),
        "kind": labels(crops, lambda crop: settings.kind(crop.example.source)),
        "year": labels(crops, lambda crop: _fitting(settings.years, crop)),
    }
    machine, parts = are_machine(crops), parts_of(crops)
    rows = matrix([one.text for one in crops])
    texts = _Texts(rows, features, machine, even_shares(crops, settings))
    names = {
        view: usable(groups, machine, of_people=view == "kind") for view, groups in views.items()
    }
    tried, total = count(1), sum(len(each) + 1 for each in names.values()) * PARTS

    def sides(view: str, group: str) -> tuple[Bools, Bools]:
        """People's and machines' texts of a group; where people have none, theirs are all."""
        chosen = np.ones(len(crops), bool) if group == ALL else views[view] == group
        return ~machine & chosen if view == "kind" else ~machine, machine & chosen

    cells = []
    for view in views:
        for trained_on in [*names[view], ALL]:
            people, machines = sides(view, trained_on)
            scores = np.zeros(len(crops))
            for part in range(PARTS):
                learns, tested = (people | machines) & (parts != part), parts == part
                scores[tested] = texts.scored(tested, learns, settings)
                progress(next(tried), total)
            for tested_on in [*names[view], ALL]:
                of_group = sides(view, tested_on)
                cells.append(_cell(view, trained_on, tested_on, scores, *of_group, parts))
    return cells


def labels(crops: Sequence[Crop], name: Callable[[Crop], str]) -> npt.NDArray[np.str_]:
    """(crops,) the group of each; empty where it is of none."""
    return np.asarray([name(crop) for crop in crops])


def usable(groups: npt.NDArray[np.str_], machine: Bools, *, of_people: bool) -> list[str]:
    """The groups with enough machine texts, and where people's are of groups too, enough of these;
    in order of their names.
    """
    names = sorted(set(groups.tolist()) - {""})
    return [
        name
        for name in names
        if ((groups == name) & machine).sum() >= FEWEST
        and (not of_people or ((groups == name) & ~machine).sum() >= FEWEST)
    ]


def parts_of(crops: Sequence[Crop]) -> npt.NDArray[np.int64]:
    """(crops,) which of `PARTS` each is in; all that was cut from or written beside one text is in
    the same.
    """
    return np.asarray(
        [int(hashlib.sha256(crop.example.pair.encode()).hexdigest(), 16) % PARTS for crop in crops]
    )


def _fitting(patterns: Mapping[str, object], crop: Crop) -> str:
    if crop.example.label != MACHINE:
        return ""
    pattern = matching(patterns, f"{crop.example.source} {crop.example.generator}")
    return "" if pattern is None else str(patterns[pattern])


def _even(shares: Floats, machine: Bools, learns: Bools) -> Floats:
    """Shares of the texts that are learned from, both classes alike."""
    machines = machine[learns]
    return np.where(
        machines,
        shares[learns] / shares[learns][machines].sum(),
        shares[learns] / shares[learns][~machines].sum(),
    )


def _cell(
    view: str,
    trained_on: str,
    tested_on: str,
    scores: Floats,
    people: Bools,
    machines: Bools,
    parts: npt.NDArray[np.int64],
) -> Transfer:
    cuts, hits = [], 0
    for part in range(PARTS):
        cuts.append(threshold_at_fpr(scores[people & (parts != part)].tolist(), FPR))
        hits += int((scores[machines & (parts == part)] > cuts[part]).sum())
    n = int(machines.sum())
    share = rate(hits, n) if np.isfinite(cuts).all() else (None, None, None)
    area = auroc(scores[people].tolist(), scores[machines].tolist())
    return Transfer(view, trained_on, tested_on, int(people.sum()), n, *area, *share)


def build_transfer(
    out: Path,
    settings: ReadersSettings,
    *,
    work: Path,
    device: str = "cpu",
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> list[Transfer]:
    """The matrix into `out`: `transfer.json`, tables in `transfer.md`, and a picture of each view.

    Args:
        work: where `build_readers` of the same plan keeps its samples and numbers; what is missing
            there is made there.

    Raises:
        CorpusError, CheckpointError, SamplingError, PlanError: as `build_readers`.
        ArtifactError: a place cannot be written, or holds something else.
    """
    device = chosen_device(device)
    work.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    with disk_errors(out), locked(out), locked(work):
        start_ledger(work, "detector's training")
        start_ledger(out, "transfer matrix")
        for name in ("transfer.json", "transfer.md", *(f"{view}.png" for view in VIEWS)):
            check_replaceable(out / name)  # before the work
        examples = gather(work, settings, device=device, progress=progress)
        crops, features = judged(work, examples, settings, device=device, progress=progress)
        cells = transfer(crops, features, settings, progress=partial(progress, "detectors"))
        readers, plan = ["lexical", "numbers"], asdict(settings)
        facts = {"readers": readers, "fpr": FPR, "parts": PARTS, "plan": plan}
        write_json(out / "transfer.json", facts | {"cells": list(map(asdict, cells))})
        write_atomic(out / "transfer.md", "\n".join(tables(cells)).encode())
        for view in VIEWS:
            draw(out / f"{view}.png", [cell for cell in cells if cell.view == view], VIEWS[view])
    return cells


VIEWS = {"family": "family of generators", "kind": "kind of text", "year": "year of the generator"}


def tables(cells: Sequence[Transfer]) -> list[str]:
    """Markdown: a table of AUROC for each view, then what is found at 1%."""
    lines = []
    for view, name in VIEWS.items():
        of_view = [cell for cell in cells if cell.view == view]
        columns = list(dict.fromkeys(cell.tested_on for cell in of_view))
        counts = {cell.tested_on: cell.n_machine for cell in of_view}
        header = [
            f"trained on ↓, tested on → ({name})",
            *(f"{column} (n {counts[column]:,})" for column in columns),
        ]
        for measure, value in (
            ("AUROC", lambda cell: figure(cell.auroc, cell.auroc_low, cell.auroc_high, form=".3f")),
            (
                "found at 1%, in %",
                lambda cell: percent(cell.found, cell.found_low, cell.found_high),
            ),
        ):
            rows = [
                [row, *(value(cell) for cell in of_view if cell.trained_on == row)]
                for row in dict.fromkeys(cell.trained_on for cell in of_view)
            ]
            lines += [f"{measure} [95% interval]", "", *table(header, rows), ""]
    return lines


def draw(path: Path, cells: Sequence[Transfer], name: str) -> None:
    """A view as a picture: AUROC of each cell, rows trained on, columns tested on."""
    from matplotlib.figure import Figure

    rows = list(dict.fromkeys(cell.trained_on for cell in cells))
    columns = list(dict.fromkeys(cell.tested_on for cell in cells))
    areas = np.asarray([cell.auroc for cell in cells]).reshape(len(rows), len(columns))
    sheet = Figure(figsize=(2.6 + 0.85 * len(columns), 1.8 + 0.5 * len(rows)), layout="constrained")
    axes = sheet.subplots()
    image = axes.imshow(areas, vmin=0.5, vmax=1, cmap="cividis", aspect="auto")
    for (i, j), area in np.ndenumerate(areas):
        color = "black" if area > 0.78 else "white"
        axes.text(j, i, f"{area:.2f}", ha="center", va="center", color=color, fontsize=9)
    counts = {one.tested_on: one.n_machine for one in cells}
    names = [f"{one}\nn {counts[one]:,}" for one in columns]
    axes.set_xticks(range(len(columns)), names, rotation=35, ha="right", fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set_xlabel(f"tested on ({name})")
    axes.set_ylabel("trained on")
    sheet.colorbar(image, ax=axes, label="AUROC (0.5 is chance)")
    with replacing(path) as temporary:
        sheet.savefig(temporary, format="png", dpi=110, metadata={"Software": None})
