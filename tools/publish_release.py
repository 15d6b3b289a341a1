"""Writes docs/results/release/VERSION: what the plan `release` says of each stage today; see
docs/release.md.

A stage that was released shows its package's records, without weights, from out/release; one that
was not shows its card and the refusal that `staged release advance` would write.
"""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from staged.model.checkpoints import model_folder
from staged.plans.shipped import find_plan
from staged.release.advance import DECISIONS, Standing, status
from staged.release.card.card import card_of
from staged.release.card.paragraphs import read_words
from staged.release.card.read_measured import read_evidence
from staged.release.card.render import card_html, card_markdown
from staged.release.decision import decide, decision_markdown
from staged.release.plan import Release, read_release
from staged.storage.writing import write_atomic

ROOT = Path(__file__).parents[1]
PACKAGES, PUBLISHED = ROOT / "out" / "release", ROOT / "docs" / "results" / "release"
RECORDS = (
    "README.md",
    "card.html",
    "DECISION.md",
    "decision.json",
    "sbom.cdx.json",
    "manifest.json",
    "model.sig",
    "SHA256SUMS",
)

INDEX = """# The minis {version}

Judged by the plan `release` from the study in [mini-full](../../mini-full) ([cells](../../mini-full/cells.csv); its
[report](../../mini-full/report.html) has to be downloaded to be opened) and the bias probes in [bias](../../bias/bias.md).
The weights lie in `staged/model/minis`. What nobody has measured is said to be so, and holds a stage back like what failed.

{table}

Behind each state stand its numbers, n and the ids they were read from, in the stage's record.
"""


def index(release: Release, found: Sequence[Standing]) -> str:
    """Gates × stages as Markdown; what is not met stands out from what is not measured."""
    shown = {"not met": "**not met**", "not measured": "*not measured*"}
    rows = [("gate", *(one.stage for one in found)), ("---",) * (len(found) + 1)]
    for number, gate in enumerate(release.stages[0].gates):
        rows.append(
            (
                gate.title("STAGE"),
                *(
                    shown.get(one.outcomes[number].state, one.outcomes[number].state)
                    for one in found
                ),
            )
        )
    rows.append(
        ("verdict", *(one.decision.verdict if one.decision else "refused" for one in found))
    )
    record = {True: "DECISION.md", False: "REFUSED.md"}
    links = (
        f"[card]({one.stage}/README.md), [page]({one.stage}/card.html),"
        f" [record]({one.stage}/{record[one.released]})"
        for one in found
    )
    rows.append(("", *links))
    return INDEX.format(
        version=release.version, table="\n".join(f"| {' | '.join(row)} |" for row in rows)
    )


def publish_package(stage: str, folder: Path) -> None:
    """Copy a package's records, and the refusal before it where there was one."""
    for name in RECORDS:
        shutil.copyfile(PACKAGES / stage / name, folder / name)
    shutil.copyfile(PACKAGES / stage / "release.pub", folder.parent / "release.pub")
    refusal = PACKAGES / DECISIONS / f"{stage}.refused.md"
    if refusal.is_file():
        shutil.copyfile(refusal, folder / "REFUSED.md")


def publish_refusal(release: Release, one: Standing, folder: Path) -> None:
    """Write a stage's card and the decision on it as things stand."""
    date = datetime.datetime.now(datetime.UTC).date()
    decision = decide(
        one.stage, one.outcomes, release=f"{release.title} {release.version}", date=date
    )
    words = replace(read_words(release.words), title=one.stage)
    (model,) = (stage.model for stage in release.stages if stage.name == one.stage)
    evidence = read_evidence([*release.evidence, model_folder(model)])
    card = card_of(evidence, words, models=[one.stage], decision=decision)
    for name, form in (("README.md", card_markdown), ("card.html", card_html)):
        shown = form(card).replace("DECISION.md", "REFUSED.md")
        write_atomic(folder / name, shown.encode())
    write_atomic(folder / "REFUSED.md", decision_markdown(decision).encode())


def main() -> None:
    """Write the version's folder anew."""
    release = read_release(find_plan("release"))
    found = status(release, PACKAGES)
    folder = PUBLISHED / release.version
    shutil.rmtree(folder, ignore_errors=True)
    for one in found:
        (folder / one.stage).mkdir(parents=True)
        if one.released:
            publish_package(one.stage, folder / one.stage)
        else:
            publish_refusal(release, one, folder / one.stage)
    write_atomic(folder / "README.md", index(release, found).encode())


if __name__ == "__main__":
    main()
