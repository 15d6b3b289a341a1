"""Gates: met, not met, not measured; what was not measured is never met."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staged.errors import PlanError
from staged.release.card.card import blank_keys, card_of
from staged.release.card.measured import Credibility, Effect, Evidence, StudiedModel
from staged.release.card.paragraphs import Words
from staged.release.card.read_measured import read_evidence
from staged.release.card.render import card_html, card_markdown
from staged.release.decision import decide, decision_markdown
from staged.release.gates import judge
from staged.release.outcomes import AT_ADVANCE, MET, NOT_MEASURED, NOT_MET, Outcome, state_of
from staged.release.plan import Gate, ReleaseStage, read_release
from staged.storage.json_files import read_json, write_json
from staged.survey.results import Difference
from tests.release.conftest import (
    DATE,
    STAGES,
    WRITTEN,
    cell,
    write_bias,
    write_study,
    write_survey,
)

SMALL, LARGE = ReleaseStage("small", "m", "d"), ReleaseStage("large", "m", "d")
CELL = "tfidf/{stage}/mix/{stage}/nucleus/64"
LOW = cell("small", "mix", "small", "nucleus")["tpr_at_fpr_1_low"]


def outcome(
    gate: Gate, folders: list[Path], stage: ReleaseStage = SMALL, last: ReleaseStage | None = None
) -> Outcome:
    return judge(gate, stage, last, read_evidence(folders), Words(**WRITTEN))


@pytest.mark.parametrize(
    ("at_least", "state"),
    [
        (LOW, MET),
        (LOW + 1e-9, NOT_MEASURED),
        (LOW + 0.1, NOT_MEASURED),
        (LOW + 0.1 + 1e-9, NOT_MET),
        (0.0, MET),
    ],
)
def test_detection_is_judged_by_where_the_interval_lies(
    tmp_path: Path, at_least: float, state: str
) -> None:
    found = outcome(
        Gate("detection", cell=CELL, field="tpr_at_fpr_1", at_least=at_least),
        [write_study(tmp_path / "study")],
    )
    assert found.state == state
    assert found.cells == ("tfidf/small/mix/small/nucleus/64",)
    assert f"[{LOW:.3f}," in found.numbers
    assert "n = 400 human + 400 machine" in found.numbers
    assert ("reaches across the limit" in found.numbers) == (state == NOT_MEASURED)


@pytest.mark.parametrize(
    ("at_most", "state"), [(0.003, NOT_MET), (0.02, NOT_MEASURED), (0.03, MET)]
)
def test_a_false_positive_rate_is_judged_by_where_its_interval_lies(
    tmp_path: Path, at_most: float, state: str
) -> None:
    """4 of 400: 0.4% to 2.5%."""
    study = write_study(tmp_path / "study")
    gate = Gate("detection", cell=CELL, field="fpr_1", at_most=at_most)
    assert outcome(gate, [study]).state == state


def test_a_rate_of_few_texts_or_without_a_bound_is_not_measured(tmp_path: Path) -> None:
    gate = Gate("detection", cell=CELL, field="tpr_at_fpr_1", at_least=0.5)
    wide = {"tpr_at_fpr_1": 1.0, "tpr_at_fpr_1_low": 0.34, "tpr_at_fpr_1_high": 1.0}
    few = write_study(tmp_path / "few", n_human=120, n_machine=2, **wide)
    assert outcome(gate, [few]).state == NOT_MEASURED
    half = write_study(tmp_path / "half", **wide | {"tpr_at_fpr_1_low": None})
    found = outcome(gate, [half])
    assert (found.state, "without an interval" in found.numbers) == (NOT_MEASURED, True)


def test_a_missing_cell_and_a_missing_rate_are_not_measured(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    assert (
        outcome(
            Gate("detection", cell="tfidf/{stage}/none", field="auroc", at_least=0.0), [study]
        ).state
        == NOT_MEASURED
    )
    few = write_study(
        tmp_path / "few",
        tpr_at_fpr_1=None,
        tpr_at_fpr_1_low=None,
        tpr_at_fpr_1_high=None,
        fpr_1=None,
    )
    blank = outcome(Gate("detection", cell=CELL, field="tpr_at_fpr_1", at_least=0.0), [few])
    assert (blank.state, "too few human texts" in blank.numbers) == (NOT_MEASURED, True)


def test_bias_against_the_last_stage(tmp_path: Path) -> None:
    study, gate = write_study(tmp_path / "study"), Gate("bias", at_most=0.2)
    assert outcome(gate, [study]).state == NOT_MEASURED
    one = write_bias(tmp_path / "one", small=0.1)
    assert outcome(gate, [study, one]).state == MET
    assert outcome(gate, [study, one], LARGE, SMALL).state == NOT_MEASURED


@pytest.mark.parametrize(
    ("large", "half", "state", "said"),
    [  # a rise of |large| − 0.1, ± √2 · half
        (-0.15, 0.1, MET, "rise +0.050 [-0.091, +0.191], 1 effects compared"),
        (
            -0.29,
            0.1,
            NOT_MEASURED,
            "rise +0.190 [+0.049, +0.331]; 1 of 1 comparisons could miss such a rise",
        ),
        (
            -0.31,
            0.1,
            NOT_MEASURED,
            "rise +0.210 [+0.069, +0.351]; 1 of 1 comparisons could miss such a rise",
        ),
        (-0.45, 0.1, NOT_MET, "rise +0.350 [+0.209, +0.491]; 1 of 1 effects lie beyond"),
        (
            0.1,
            0.5,
            NOT_MEASURED,
            "could miss such a rise",
        ),  # no rise in sight, but the probe could not have shown one
        (0.29, 0.005, MET, "rise +0.190 [+0.183, +0.197]"),
    ],
)
def test_bias_is_judged_by_the_rises_interval(
    tmp_path: Path, large: float, half: float, state: str, said: str
) -> None:
    folders = [
        write_study(tmp_path / "study"),
        write_bias(tmp_path / "bias", half, small=0.1, large=large),
    ]
    found = outcome(Gate("bias", at_most=0.2), folders, LARGE, SMALL)
    assert (found.state, said in found.numbers) == (state, True), found.numbers
    assert f"+0.100 → {large:+.3f}" in found.numbers
    assert all(id.endswith("respect/gender/women-men/sentiment") for id in found.cells)


@pytest.mark.parametrize("bound", ["effect_low", "effect_high"])
def test_bias_without_an_interval_is_not_measured(tmp_path: Path, bound: str) -> None:
    folder = write_bias(tmp_path / "bias", small=0.1, large=0.1)
    table = read_json(folder / "bias.json")
    rows = [row | {bound: None, "difference": 0.0} for row in table["between_groups"]]
    write_json(folder / "bias.json", table | {"between_groups": rows})
    found = outcome(
        Gate("bias", at_most=0.2), [write_study(tmp_path / "study"), folder], LARGE, SMALL
    )
    assert (found.state, "without an interval" in found.numbers) == (NOT_MEASURED, True)


def test_a_preference_is_judged_by_the_interval_of_its_difference(tmp_path: Path) -> None:
    """It has its effect in standard deviations and its interval in nats."""
    folder = write_bias(tmp_path / "bias", small=0.1, large=0.1)
    table = read_json(folder / "bias.json")
    nats = {"difference": 0.2, "low": 0.1, "high": 0.3, "effect_low": None, "effect_high": None}
    write_json(
        folder / "bias.json",
        table | {"between_groups": [row | nats for row in table["between_groups"]]},
    )
    one, _ = read_evidence([folder]).effects
    assert (one.effect, one.low, one.high) == (0.1, pytest.approx(0.05), pytest.approx(0.15))


def test_an_interval_that_is_no_number_is_not_measured() -> None:
    rows = [
        Effect(f"bias/{model}/p", model, "p", "g", 0.1, float("nan"), 0.2, 500, 0.01, "differs")
        for model in ("small", "large")
    ]
    assert (
        judge(Gate("bias", at_most=0.2), LARGE, SMALL, Evidence(effects=tuple(rows)), Words()).state
        == NOT_MEASURED
    )


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0, 2), st.floats(0, 2))
def test_the_bias_gate_is_met_only_below_its_limit_and_not_met_only_beyond(
    a: float, b: float, half: float, limit: float
) -> None:
    def effect(model: str, value: float) -> Effect:
        interval = (value - half, value + half)
        return Effect(f"bias/{model}/p", model, "p", "g", value, *interval, 500, 0.01, "differs")

    evidence = Evidence(effects=(effect("small", a), effect("large", b)))
    found = judge(Gate("bias", at_most=limit), LARGE, SMALL, evidence, Words())
    rise = abs(b) - abs(a)
    assert {MET: rise <= limit, NOT_MET: rise > limit, NOT_MEASURED: half > 0}[found.state]


def test_credibility_against_the_last_stage(tmp_path: Path) -> None:
    study, gate = write_study(tmp_path / "study"), Gate("credibility", at_most=1.0)
    assert outcome(gate, [study]).state == NOT_MEASURED
    for rise, state in (
        (0.69, MET),
        (0.71, NOT_MEASURED),
        (1.29, NOT_MEASURED),
        (1.31, NOT_MET),
    ):  # ± 0.3
        for name, indices in (
            ("up", {"small": 6.0, "large": 6.0 + rise}),
            ("down", {"large": 6.0 + rise, "small": 6.0}),
        ):
            found = outcome(gate, [study, write_survey(tmp_path / name, **indices)], LARGE, SMALL)
            assert found.state == state
            assert (
                f"rise +{rise:.2f} [{rise - 0.3:+.2f}, {rise + 0.3:+.2f}], n = 40 people"
                in found.numbers
            )
    assert outcome(gate, [study, write_survey(tmp_path / "first", small=6.0)], SMALL).state == MET
    assert (
        outcome(gate, [study, write_survey(tmp_path / "first", small=6.0)], LARGE, SMALL).state
        == NOT_MEASURED
    )


def test_a_difference_without_interval_is_not_measured(tmp_path: Path) -> None:
    folder = write_survey(tmp_path / "survey", small=6.0, large=6.1)
    table = read_json(folder / "survey.json")
    write_json(
        folder / "survey.json",
        table
        | {"differences": [one | {"low": None, "high": None} for one in table["differences"]]},
    )
    found = outcome(
        Gate("credibility", at_most=1.0), [write_study(tmp_path / "study"), folder], LARGE, SMALL
    )
    assert (found.state, "too few people rated both small and large" in found.numbers) == (
        NOT_MEASURED,
        True,
    )


@pytest.mark.parametrize(("people", "state"), [(5, NOT_MEASURED), (6, MET)])
def test_people_too_few_to_show_a_difference_are_no_measurement(people: int, state: str) -> None:
    """Five who agree have an interval of no width, and p = 2 / 2⁵."""
    rows = tuple(
        Credibility(f"survey/{model}", model, 6.0, 6.0, 6.0, people, 10)
        for model in ("small", "large")
    )
    evidence = Evidence(
        credibility=rows, differences=(Difference("large", "small", 0.0, 0.0, 0.0, people, 1.0),)
    )
    gate = Gate("credibility", at_most=1.0)
    compared = judge(gate, LARGE, SMALL, evidence, Words())
    first = judge(gate, SMALL, None, evidence, Words())
    assert (compared.state, first.state) == (state, state)
    assert f"n = {people}" in compared.numbers
    assert f"n = {people} people" in first.numbers


def probed(model: str, probe: str = "p", effect: float = 0.1, **changed: Any) -> Effect:
    """An effect that was measured well: ± 0.01."""
    interval = (effect - 0.01, effect + 0.01)
    row = Effect(
        f"bias/{model}/{probe}", model, probe, "g", effect, *interval, 500, 0.01, "differs"
    )
    return replace(row, **changed)


@pytest.mark.parametrize(
    ("effects", "state", "says"),
    [
        ((probed("small"), probed("large", n=29)), NOT_MEASURED, "without an interval"),
        ((probed("small"), probed("large", n=30)), MET, "1 effects compared"),
        ((probed("small"), probed("large", n=None)), MET, "1 effects compared"),
        ((probed("small"), probed("large", low=-math.inf)), NOT_MEASURED, "could miss"),
        # a share and standard deviations are not compared
        ((probed("small"), probed("large", unit="of the measure")), NOT_MEASURED, "could miss"),
        (
            tuple(probed(model, unit="of the measure") for model in ("small", "large")),
            MET,
            "1 effects compared",
        ),
        (
            (probed("small"), probed("large"), probed("large", "q")),
            NOT_MEASURED,
            "no bias probes of small: q g;",
        ),
        (
            (probed("small"), probed("small", "q"), probed("large")),
            NOT_MEASURED,
            "no bias probes of large: q g;",
        ),
        (
            (probed("small"), probed("large", "q")),
            NOT_MEASURED,
            "no bias probes of large: p g, nor of small: q g;",
        ),
        (
            (probed("small"), *(probed("large", probe) for probe in "pqrstu")),
            NOT_MEASURED,
            "of small: q g; r g; s g and 2 more;",
        ),
        # what is beyond is beyond, whatever else is missing
        (
            (probed("small"), probed("large", effect=0.5), probed("large", "q")),
            NOT_MET,
            "1 of 1 effects lie beyond",
        ),
        ((probed("small"), probed("small", "q")), NOT_MEASURED, "no bias probes of large;"),
    ],
)
def test_bias_is_met_only_where_the_comparison_could_have_shown_it(
    effects: tuple[Effect, ...], state: str, says: str
) -> None:
    evidence = Evidence(effects=effects)
    found = judge(Gate("bias", at_most=0.2), LARGE, SMALL, evidence, Words())
    assert (found.state, says in found.numbers) == (state, True), found.numbers


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, MET),
        ({"low": None}, NOT_MEASURED),
        ({"n": 3}, NOT_MEASURED),
        ({"high": math.nan}, NOT_MEASURED),
    ],
)
def test_a_first_stages_effects_have_to_be_measured(changed: dict[str, Any], state: str) -> None:
    evidence = Evidence(effects=(probed("small", "q"), probed("small", **changed)))
    found = judge(Gate("bias", at_most=0.2), SMALL, None, evidence, Words())
    said = "1 of 2 effects without an interval" if changed else "2 effects measured"
    assert (found.state, said in found.numbers) == (state, True)


def test_groups_of_two_attributes_may_have_the_same_names() -> None:
    rows = [
        replace(probed(model, effect=effect), id=f"bias/{model}/s/{attribute}/a-b/m")
        for model, effects in (("small", (0.1, 0.1)), ("large", (0.9, 0.1)))
        for attribute, effect in zip(("gender", "age"), effects, strict=True)
    ]
    found = judge(Gate("bias", at_most=0.2), LARGE, SMALL, Evidence(effects=tuple(rows)), Words())
    assert (found.state, "1 of 2 effects" in found.numbers) == (NOT_MET, True)


@given(st.floats(), st.floats(), st.floats(-2, 2))
def test_a_limit_from_above_and_from_below_are_one_rule(
    low: float, high: float, limit: float
) -> None:
    below = state_of(low, high, at_most=limit)
    assert below == state_of(-high, -low, at_least=-limit)
    expected = MET if high <= limit else NOT_MET if low > limit else NOT_MEASURED
    assert below == expected


@given(st.floats(0, 2), st.floats(0, 2))
def test_a_looser_limit_never_turns_a_stage_away(limit: float, more: float) -> None:
    rows = (
        Credibility("a", "small", 6.0, 5.8, 6.2, 50, 100),
        Credibility("b", "large", 6.7, 6.4, 7.0, 50, 100),
    )
    row = Difference("small", "large", -0.7, -1.1, -0.3, 50, p=0.01)
    evidence = Evidence(credibility=rows, differences=(row,))
    states = [
        judge(Gate("credibility", at_most=one), LARGE, SMALL, evidence, Words()).state
        for one in (limit, limit + more)
    ]
    assert states != [MET, NOT_MET]


def test_the_card_gate_lists_blanks(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    found = outcome(Gate("card"), [study])
    assert found.state == NOT_MET
    assert "bias probes of small" in found.numbers
    assert outcome(Gate("card", may_be_blank=("bias", "survey")), [study]).state == MET
    assert outcome(Gate("card"), [study], ReleaseStage("huge", "m", "d")).state == NOT_MEASURED


def test_every_blank_of_a_card_may_be_named(tmp_path: Path) -> None:
    """Also of a card that nothing was written or measured for."""
    model = StudiedModel("small", "small", None, None, None, None)
    card = card_of(Evidence(finetuned=(model,)), Words(), models=["small"])
    assert {blank.key for blank in card.blanks} == set(blank_keys(["small"]))
    page = (Path(__file__).parents[2] / "docs" / "release.md").read_text(encoding="utf-8")
    assert [key for key in blank_keys(["NAME"]) if f"`{key}`" not in page] == []


def test_a_broken_earlier_package_stops_the_signature_gate(tmp_path: Path) -> None:
    evidence = read_evidence([write_study(tmp_path / "study")])
    assert judge(Gate("signature"), LARGE, SMALL, evidence, Words(), ["small"]).state == NOT_MET
    assert judge(Gate("signature"), LARGE, SMALL, evidence, Words()).state == AT_ADVANCE


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        ('[[gates]]\nkind = "detectoin"\n', "did you mean 'detection'"),
        (
            '[[gates]]\nkind = "detection"\ncell = "a"\nfield = "auroc"\n',
            "one of at_least, at_most",
        ),
        (
            '[[gates]]\nkind = "detection"\ncell = "a"\nfield = "aurok"\nat_least = 0.5\n',
            "did you mean 'auroc'",
        ),
        ('[[gates]]\nkind = "bias"\n', "needs at_most"),
        ('[[gates]]\nkind = "card"\nmaybe_blank = ["x"]\n', "did you mean 'may_be_blank'"),
        ('[[gates]]\nkind = "bias"\nat_most = inf\n', "at_most must be a finite number, not inf"),
        (
            '[[gates]]\nkind = "detection"\ncell = "a"\nfield = "auroc"\nat_least = nan\n',
            "at_least must be a finite number, not nan",
        ),
        (
            f'[[gates]]\nkind = "bias"\nat_most = 1{"0" * 400}\n',
            "a finite number, not one of 401 digits",
        ),
        ('[[gates]]\nkind = "card"\nmay_be_blank = ["papr"]\n', "no blank 'papr' .*'paper'"),
        ('[[gates]]\nkind = "card"\nmay_be_blank = ["loss:smal"]\n', "did you mean 'loss:small'"),
        ("gates = 3\n", r"written \[\[gates\]\]"),
        (STAGES, "a name of its own"),
        ('[[stages]]\nname = "../up"\nmodel = "m"\ndetector = "d"\n', "plain folder name"),
    ],
)
def test_wrong_plans_are_refused(plan: Callable[..., Path], gates: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        read_release(plan(gates))


def test_a_stage_may_have_gates_of_its_own(plan: Callable[..., Path]) -> None:
    path = plan('[[gates]]\nkind = "signature"\n')
    path.write_text(
        path.read_text(encoding="utf-8") + '[[stages.gates]]\nkind = "bias"\nat_most = 1\n',
        encoding="utf-8",
    )
    small, large = read_release(path).stages
    assert [gate.kind for gate in small.gates] == ["signature"]
    assert [gate.kind for gate in large.gates] == ["signature", "bias"]


def test_a_card_says_which_gates_are_open_state_by_state(tmp_path: Path) -> None:
    evidence = read_evidence([write_study(tmp_path / "study")])
    gates = (
        Gate("bias", at_most=0.2),
        Gate("credibility", at_most=1.0),
        Gate("card", may_be_blank=("bias", "survey")),
    )
    outcomes = [
        judge(gate, SMALL, None, evidence, Words(**WRITTEN)) for gate in (*gates, Gate("signature"))
    ]
    decision = decide("small", outcomes, release="A family", date=DATE)
    card = card_of(evidence, Words(**WRITTEN), models=["small"], decision=decision)
    for text in (card_markdown(card), card_html(card), decision_markdown(decision)):
        assert "Its 4 gates:" in text
        assert "1 met" in text
        assert "2 not measured: no bias effect worse than" in text.replace("&#39;", "'")
        assert "1 left to the building of the package: signature verifies" in text
