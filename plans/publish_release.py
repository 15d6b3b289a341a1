"""Copies the records of the minis' release, without weights, from out/release into docs/results/release; see docs/release.md."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from staged.artifacts import write_atomic
from staged.release.plan import Release, read_release
from staged.release.stages import DECISIONS, Standing, status

ROOT = Path(__file__).parents[1]
PACKAGES, PUBLISHED = ROOT / "out" / "release", ROOT / "docs" / "results" / "release"
RECORDS = ("README.md", "card.html", "DECISION.md", "decision.json", "sbom.cdx.json", "manifest.json", "model.sig", "SHA256SUMS")

INDEX = """# The minis, released in stages

Made by `plans/release.toml` from the study in [mini-full](../mini-full): its [report](../mini-full/report.html) (download
it to open it) and its [cells](../mini-full/cells.csv) are in every package. The weights lie in `staged/model/minis`; here are each
stage's card, decision, SBOM, signature and sums, as they are in its package. [release.pub](release.pub) is the public key.

Every stage was refused at first ([mini-s](mini-s/REFUSED.md)): its gates on bias, credibility and samples at temperature 1 are
open. What follows is released by override, as a worked example that no person has put a name to: the weights had shipped inside
`staged` before there were gates.

{table}

{gates}
"""


def index(release: Release, found: Sequence[Standing]) -> str:
    """The table of stages × gates as Markdown, from the decisions."""
    lines = [
        "| stage | verdict | "
        + " | ".join(f"gate {i}" for i in range(1, len(release.stages[0].gates) + 1))
        + " | card | decision |"
    ]
    lines.append("|---" * (lines[0].count("|") - 1) + "|")
    for one in found:
        verdict = f"{one.decision['verdict']}, {one.decision['date']}" if one.decision else "waiting"
        links = f"[card]({one.stage}/README.md), [page]({one.stage}/card.html) | [record]({one.stage}/DECISION.md)"
        lines.append(
            f"| {one.stage} | {verdict} | "
            + " | ".join(gate.state for gate in one.outcomes)
            + f" | {links if one.released else ' | '} |"
        )
    gates = [f"{i}. {gate.title('STAGE')}" for i, gate in enumerate(release.stages[0].gates, 1)]
    return INDEX.format(table="\n".join(lines), gates="\n".join(gates))


def main() -> None:
    """Write docs/results/release anew."""
    release = read_release(ROOT / "plans" / "release.toml")
    found = status(release, PACKAGES)
    shutil.rmtree(PUBLISHED, ignore_errors=True)
    for one in found:
        if one.released:
            (PUBLISHED / one.stage).mkdir(parents=True)
            for name in RECORDS:
                shutil.copyfile(PACKAGES / one.stage / name, PUBLISHED / one.stage / name)
            shutil.copyfile(PACKAGES / one.stage / "release.pub", PUBLISHED / "release.pub")
            shutil.copyfile(PACKAGES / DECISIONS / f"{one.stage}.refused.md", PUBLISHED / one.stage / "REFUSED.md")
    write_atomic(PUBLISHED / "README.md", index(release, found).encode())


if __name__ == "__main__":
    main()
