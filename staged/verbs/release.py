"""Verbs that release a model: its card, its stages, its packages."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from staged.verbs.given import names_of, path_of

if TYPE_CHECKING:  # what only a checker reads: `import staged` loads no model's library
    from staged.release.advance import Advance, Standing
    from staged.release.card.contents import Blank
    from staged.release.package.verify import Problem

__all__ = ["WrittenCard", "advance_release", "card", "make_keys", "release_status", "verify"]


@dataclass(frozen=True)
class WrittenCard:
    """A card's files.

    Attributes:
        files: the card as Markdown, as a page, or both.
        words: its hand-written paragraphs, a TOML file.
        words_are_new: whether that was written now, for a person to fill in.
        blanks: what the card lacks, and what fills it.
    """

    files: tuple[Path, ...]
    words: Path
    words_are_new: bool
    blanks: tuple[Blank, ...]


def card(
    studies: str | Path | Sequence[str | Path],
    out: str | Path = "README.md",
    *,
    html: bool = False,
    models: str | Sequence[str] = (),
) -> WrittenCard:
    """Write a hub-ready model card from measured cells; called again, it keeps every
    hand-written paragraph.

    Args:
        studies: folders of finished studies, release or fine-tuning, of bias probes, of surveys and
            of trained models, and files that `evaluate_lm` wrote.
        out: the card, .md or .html; `card.toml` beside it holds what people write.
        html: also write the same card as a page, beside `out`.
        models: only these; else all of the studies'.

    Raises:
        PlanError: `out` is no such file's name, or the words name another licence than the
            LICENSE beside the card.
        ReleaseError, ArtifactError: a study is not finished, or the place cannot be written.

    Example:
        >>> import staged
        >>> card = staged.card(["out/mini", "out/bias"], "out/README.md")  # doctest: +SKIP
        >>> [blank.what for blank in card.blanks]  # doctest: +SKIP
    """
    from staged.errors import PlanError
    from staged.release.card.card import card_of
    from staged.release.card.paragraphs import WORDS, Words, read_words, write_skeleton
    from staged.release.card.read_measured import read_evidence
    from staged.release.card.render import card_html, card_markdown
    from staged.release.licences import contradiction
    from staged.storage.forms import is_sealed, sealed
    from staged.storage.gate import check_replaceable
    from staged.storage.writing import disk_errors, write_atomic

    out = Path(out)
    if out.is_dir() or out.suffix.lower() not in (".md", ".html"):
        raise PlanError(f"{out}: give a file that ends in .md or .html, such as README.md")
    words, page = out.parent / WORDS, out.with_suffix(".html")
    forms = {out: card_markdown if out.suffix.lower() == ".md" else card_html}
    if html:
        forms[page] = card_html
    for place in forms:
        check_replaceable(place, is_sealed)
    evidence = read_evidence([Path(study) for study in names_of(studies)])
    chosen = names_of(models)
    title = ", ".join(chosen or evidence.models)
    written = read_words(words) if words.exists() else Words(title=title)
    licence = out.parent / "LICENSE"
    if licence.is_file() and (fault := contradiction(written.license, licence)):
        raise PlanError(f"{words}: {fault}")
    contents = card_of(evidence, written, models=chosen)
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        is_new = write_skeleton(words, title)
        for place, form in forms.items():
            write_atomic(place, sealed(form(contents)).encode(), form=is_sealed)
    return WrittenCard(tuple(forms), words, is_new, tuple(contents.blanks))


def release_status(
    plan: str | Path = "release", out: str | Path = "out/release", *, key: str | Path | None = None
) -> list[Standing]:
    """Every stage of a release with its gates: met, not met or not measured.

    Args:
        plan: the release's plan, by name or as a TOML file.
        out: the folder of its packages.
        key: the releaser's public key, a PEM file; else each package's own.

    Raises:
        PlanError, ReleaseError, ArtifactError: the plan, or what it names.
    """
    from staged.plans.shipped import find_plan
    from staged.release.advance import status
    from staged.release.plan import read_release

    return status(read_release(find_plan(plan, command="release")), Path(out), public=path_of(key))


def advance_release(
    key: str | Path,
    plan: str | Path = "release",
    out: str | Path = "out/release",
    *,
    override: str = "",
    by: str = "",
    date: datetime.date | None = None,
) -> Advance:
    """Decide on the next stage; build, sign and check its package, or refuse with reasons.

    Args:
        key: the private key that signs, a PEM file, as `make_keys` writes one.
        plan, out: as `release_status` takes them.
        override: a person's written reason to release in spite of open gates; printed on the card
            and in the record.
        by: the name of who overrides.
        date: of the decision; today by default.

    Raises:
        PlanError, ReleaseError, ArtifactError: the plan, the key, or what they name.

    Example:
        >>> import staged
        >>> private, public = staged.make_keys("keys")
        >>> step = staged.advance_release(private, "release.toml")  # doctest: +SKIP
    """
    from staged.plans.shipped import find_plan
    from staged.release.advance import advance
    from staged.release.plan import read_release

    day = date or datetime.datetime.now(datetime.UTC).date()
    release = read_release(find_plan(plan, command="release"))
    return advance(release, Path(out), private=Path(key), date=day, reason=override, by=by)


def verify(package: str | Path, *, key: str | Path | None = None) -> list[Problem]:
    """Check a package: sums, missing and added files, signature, SBOM, and the card's numbers
    against its cells.

    Args:
        key: the releaser's public key, got from elsewhere than the package; else its own, which
            proves no author.

    Returns:
        What is wrong; nothing of a whole package.

    Raises:
        PlanError: no such folder.

    Example:
        >>> import staged
        >>> problems = staged.verify("out/release/small", key="release.pub")  # doctest: +SKIP
    """
    from staged.errors import PlanError
    from staged.release.package.verify import verify as check

    package = Path(package)
    if not package.is_dir():
        raise PlanError(f"{package}: no such folder; give the folder of a package")
    return check(package, path_of(key))


def make_keys(folder: str | Path) -> tuple[Path, Path]:
    """Make a key pair to sign packages with, release.key and release.pub; the private half is
    readable by its owner only.

    Raises:
        ArtifactError: a key is there already, or the place cannot be written.
    """
    from staged.release.package.signing import make_keys as make

    return make(Path(folder))
