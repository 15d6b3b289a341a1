"""What the page and the API say of a detector of several readers: who spoke, of which kind of text,
how much, and which words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from staged.detectors.calibration.calibration import fit_calibration
from staged.detectors.contract import NOT_ENOUGH, Opinion, Verdict
from staged.detectors.examiner import Examiner
from staged.detectors.kinds.readers.detector import Combination, ReadersDetector
from staged.detectors.kinds.readers.kind import BUCKETS as KIND_BUCKETS
from staged.detectors.kinds.readers.kind import KindReader
from staged.detectors.kinds.readers.lexical import BUCKETS, LexicalReader
from staged.detectors.kinds.readers.sentences import Mixing, Share, WordWeight, word_weights
from staged.detectors.opening import open_examiner
from staged.records import count_words
from staged.web.app import create_app
from staged.web.examination import Examination, asked, examine_text, is_judged
from staged.web.highlights import css_of, sides, title_of_weight, weighed
from staged.web.limits import Limits, RefusedError
from staged.web.pages import found, page, saved, share_in_words
from tests.web.fake import HUMAN_TEXT, MACHINE_TEXT, FakeExaminer, ReadersExaminer

LIMITS = Limits(tokens_shown=50)
SHOWN = (
    "What each reader says",
    "as a text of this kind",
    "of its words look machine-written",
    "By the weight of words",
)


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(create_app(ReadersExaminer(), LIMITS)) as client:
        yield client


def shown(examiner: FakeExaminer, text: str, **changed: Any) -> str:
    seen = examine_text(examiner, text, lambda: None)
    return page(root="", limits=LIMITS, text=text, found=found(replace(seen, **changed), LIMITS))


def test_page_says_who_spoke_of_which_kind_and_how_much() -> None:
    said = shown(ReadersExaminer(), MACHINE_TEXT)
    assert all(one in said for one in SHOWN)
    assert re.search(
        r"<dt>words and phrases</dt><dd>much like language models <span"
        r" class=.soft.>\(\+6\.0\)</span></dd>",
        said,
    )
    assert "<dt>how words are put together</dt><dd>of both" in said
    assert "<dd>not asked: the &lt;others&gt; are sure</dd>" in said
    assert "Compared as a text of this kind: review." in said
    assert (
        "None of the 500 human texts this long that it was compared with scores as high for its"
        " kind" in said
    )
    assert "Scores of 500 human (review) and 600 machine texts" in said
    assert (
        "By its sentences, about 40% of its words look machine-written; 95% interval 20 to 65%."
        in said
    )
    assert "Nobody should be accused on a score alone." in said
    assert "style=" not in said  # the content security policy forbids it


def test_nothing_is_shown_of_a_detector_without_readers() -> None:
    said = shown(FakeExaminer(), MACHINE_TEXT)
    assert not [one for one in (*SHOWN, 'id="weights"', 'class="readers"') if one in said]
    assert "human texts this long" in said


def test_a_text_of_which_nothing_can_be_said_shows_why_and_no_more() -> None:
    said = shown(ReadersExaminer(), "Mere. Mad. Men. Met.")
    assert "4 words are too few to say anything." in said
    assert not [
        one
        for one in (*SHOWN, 'id="weights"', 'class="readers"', "like language models")
        if one in said
    ]


@pytest.mark.parametrize(
    ("p_value", "n_human", "judged"), [(None, 0, False), (0.5, 98, False), (0.5, 99, True)]
)
def test_too_few_human_texts_judge_nothing(
    p_value: float | None, n_human: int, judged: bool
) -> None:
    assert (
        is_judged(
            Verdict("a", 0.3, p_value, NOT_ENOUGH, "fake", "why", 0.01, 240, n_human, (), "text")
        )
        == judged
    )


def test_few_sentences_have_no_share() -> None:
    said = shown(ReadersExaminer(), MACHINE_TEXT.replace(".", ";"))
    assert "of its words stand in" not in said
    assert 'id="weights"' in said


def test_markup_in_words_opinions_and_kinds_is_text() -> None:
    examiner = ReadersExaminer(kind="<i>essay</i>")
    seen = examine_text(examiner, "<script>alert(1)</script> " * 9, lambda: None)
    verdict = replace(
        seen.verdict, opinions=(Opinion("<b>words</b>", 1.0, "like <u>machines</u>"),)
    )
    for said in (
        page(root="", limits=LIMITS, found=found(replace(seen, verdict=verdict), LIMITS)),
        saved(replace(seen, verdict=verdict), name="<b>"),
    ):
        assert not [tag for tag in ("<script>alert", "<i>", "<b>", "<u>") if tag in said]
        assert "&lt;i&gt;essay&lt;/i&gt;" in said
        assert "<dt>&lt;b&gt;words&lt;/b&gt;</dt><dd>like &lt;u&gt;machines&lt;/u&gt;" in said
        assert re.search(
            r'<span class="h1" title="−0.100 · like people">&lt;script&gt;alert\(1\)', said
        )


def test_the_saved_page_needs_no_script() -> None:
    seen = examine_text(ReadersExaminer(), MACHINE_TEXT, lambda: None)
    said = saved(seen, name="essay.txt")
    assert all(one in said for one in SHOWN)
    assert "<script" not in said
    assert '<span class="m1" title="+0.400 · like language models">Many</span>' in said


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (None, ""),
        (
            Share(0.404, 0.2, 0.65, 23),
            (
                "By its sentences, about 40% of its words look machine-written; 95% interval 20 to"
                " 65%."
            ),
        ),
        (
            Share(1.0, 1.0, 1.0, 8),
            (
                "By its sentences, about 100% of its words look machine-written; "
                "its 8 sentences are too few and too alike for an interval."
            ),
        ),
    ],
)
def test_share_in_words(share: Share | None, said: str) -> None:
    assert share_in_words(share) == said


@pytest.mark.parametrize(
    ("log_odds", "css"),
    [
        (0.09, "w0"),
        (0.1, "m1"),
        (-0.1, "h1"),
        (0.2, "m2"),
        (-0.39, "h2"),
        (-0.4, "h3"),
        (9.0, "m3"),
        (0.0, "w0"),
    ],
)
def test_steps_are_multiples_of_the_average_weight(log_odds: float, css: str) -> None:
    assert css_of(log_odds, 0.1) == css


def test_words_that_weigh_nothing_have_no_colour() -> None:
    drawn = list(weighed("a b", [WordWeight(0, 1, 0.0), WordWeight(2, 3, 0.0)], shown=9))
    assert [(one.text, one.css, one.title) for one in drawn] == [
        ("a", "w0", "0.000 · neither way"),
        (" ", "", ""),
        ("b", "w0", "0.000 · neither way"),
    ]
    assert title_of_weight(-0.0523) == "−0.052 · like people"


@given(
    st.text(max_size=60),
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5), st.floats(-9, 9))),
    st.integers(0, 9),
)
def test_words_put_together_are_the_text(
    text: str, steps: list[tuple[int, int, float]], most: int
) -> None:
    at, weights = 0, []
    for gap, length, log_odds in steps:
        if (start := at + gap) < len(text):
            at = min(start + length, len(text))
            weights.append(WordWeight(start, at, log_odds))
    drawn = list(weighed(text, weights, shown=most))
    told = text if len(weights) <= most else text[: weights[most - 1].end] if most else ""
    assert "".join(one.text for one in drawn) == (told if weights else "")
    assert len([one for one in drawn if one.css]) == min(most, len(weights))


def test_sides_add_up_and_name_the_heaviest() -> None:
    text = "Many men, many more"
    weights = [
        WordWeight(0, 4, 0.5),
        WordWeight(5, 9, -0.25),
        WordWeight(10, 14, 0.25),
        WordWeight(15, 19, 0.1),
    ]
    machine, people = sides(text, weights)
    assert (machine.words, machine.together, people.words, people.together) == (
        3,
        "+0.85",
        1,
        "−0.25",
    )
    assert machine.heaviest == [("many", 2, "+0.750"), ("more", 1, "+0.100")]
    assert people.heaviest == [("men,", 1, "−0.250")]


def test_page_shows_as_many_words_as_tokens() -> None:
    said = shown(ReadersExaminer(), MACHINE_TEXT)
    assert f"The first 50 of {len(MACHINE_TEXT.split())} words." in said
    assert len(re.findall(r'<span class="[mhw]\d" title=', said)) == 50


def test_api_gives_words_and_share_where_they_are_asked_for(client: TestClient) -> None:
    bare, full = (
        client.post(
            "/api/detect", json={"texts": [MACHINE_TEXT, "Too short."], "words": words}
        ).json()["results"]
        for words in (False, True)
    )
    assert {"kind", "opinions"} <= set(bare[0])
    assert set(full[0]) - set(bare[0]) == {"normalized", "share", "word_weights"}
    assert bare[0]["opinions"][1] == {
        "reader": "how words are put together",
        "log_odds": 0.2,
        "says": "of both",
    }
    assert full[0]["share"] == {"share": 0.4, "low": 0.2, "high": 0.65, "sentences": 8}
    cut = [full[0]["normalized"][one["start"] : one["end"]] for one in full[0]["word_weights"]]
    assert cut == MACHINE_TEXT.split()
    assert (full[1]["share"], full[1]["word_weights"]) == (None, [])


def test_api_of_a_detector_without_readers_gives_none() -> None:
    with TestClient(create_app(FakeExaminer(), LIMITS)) as client:
        (one,) = client.post("/api/detect", json={"texts": [MACHINE_TEXT], "words": True}).json()[
            "results"
        ]
        assert (one["share"], one["word_weights"], one["opinions"], one["kind"]) == (
            None,
            [],
            [],
            "",
        )
        answer = client.post("/api/detect", json={"texts": [MACHINE_TEXT], "kind": "essay"})
    assert (answer.status_code, answer.json()["error"]) == (
        422,
        "kind 'essay': the calibration has none of it; it knows no kinds",
    )


def test_api_takes_a_kind_for_one_request(client: TestClient) -> None:
    def kind(**asked: str) -> str:
        (one,) = client.post("/api/detect", json={"texts": [MACHINE_TEXT], **asked}).json()[
            "results"
        ]
        return str(one["kind"])

    assert [kind(), kind(kind="essay"), kind(kind=""), kind()] == [
        "review",
        "essay",
        "review",
        "review",
    ]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("poem", "kind 'poem': the calibration has none of it; known: essay, review"),
        ("x" * 101, "kind: "),
        (7, "kind: "),
    ],
)
def test_api_refuses_a_kind_that_is_none(kind: object, words: str) -> None:
    examiner = ReadersExaminer()
    with TestClient(create_app(examiner, LIMITS)) as client:
        answer = client.post("/api/detect", json={"texts": [MACHINE_TEXT], "kind": kind})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(words)
    assert examiner.batches == 0


def lexical() -> LexicalReader:
    return LexicalReader(np.random.default_rng(0).normal(size=BUCKETS).astype(np.float32), 0.1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It was late — we left the well-known inn.", "It was late we left the well known inn"),
        ("“Don’t go,” she said… “It’s a ‘trap’.” Don't.", "Don t go she said It s a trap Don t"),
        ("# A title\n\n- **First** of all\n- 2nd - of all", "A title First of all 2nd of all"),
        ("As an AI language model, I think so.", "I think so"),
    ],
)
def test_words_are_found_where_other_signs_stand(text: str, words: str) -> None:
    assert " ".join(text[one.start : one.end] for one in word_weights(lexical(), text)) == words


def test_words_add_up_to_what_their_reader_says() -> None:
    reader, text = lexical(), HUMAN_TEXT.strip()
    assert sum(one.log_odds for one in word_weights(reader, text)) == pytest.approx(
        float(reader.log_odds([text])[0]) - 0.1
    )


class TinyEncoder:
    """Each token's log-odds from its length."""

    def log_odds(self, texts: Sequence[str]) -> Any:
        return np.asarray([np.mean([len(word) - 4 for word in text.split()]) for text in texts])

    def token_odds(self, texts: Sequence[str]) -> list[list[tuple[int, int, float]]]:
        return [
            [(*one.span(), len(one.group()) - 4.0) for one in re.finditer(r"\S+", text)]
            for text in texts
        ]

    def token_counts(self, text: str) -> tuple[int, int]:
        return len(text.split()), len(text.split())


@pytest.fixture
def examiner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Examiner:
    """A detector of readers with random weights, calibrated by kind."""
    kinds = KindReader(
        ("review",), np.zeros((KIND_BUCKETS, 1), dtype=np.float32), np.zeros(1, dtype=np.float32)
    )
    combination, mixing = (
        Combination((0.5, 1.0, 0.0), (0.5, 1.0, 0.0, 0.0), -1.0, 1.0, -1.0, 1.0),
        Mixing(0.0, 0.1, 0.9),
    )
    detector = ReadersDetector(
        lexical(), TinyEncoder(), None, kinds, combination, mixing, name="tiny"
    )  # type: ignore[arg-type]
    monkeypatch.setattr("staged.detectors.opening.open_detector", lambda *_, **__: detector)
    monkeypatch.setattr("staged.detectors.opening.known_by", lambda _: ("tiny",))
    human = [(0.01 * i - 4, 120) for i in range(600)]
    fit_calibration(
        "tiny", human, kinds=["review"] * 400 + ["essay"] * 200, known_by=("tiny",)
    ).save(tmp_path / "calibration.json")
    made = open_examiner("tiny", calibration=tmp_path / "calibration.json", device="cpu")
    return replace(made, scorer=None)  # no language model reads


PROSE = """My grandmother kept three goats behind the post office, though the town had asked her more than once to stop. Nobody
minded them much. The oldest would eat letters if you left them on the wall, and the postman learned to hold his bag high. In the
spring of that year a storm took half the roof. We carried the beds downstairs and slept among the parcels for eleven nights. Rain
came through in the corner where she had stacked the Christmas catalogues. She laughed about it. Later a man from the county walked
round with a notebook, sighed, and wrote down a figure that seemed far too small. It paid for the slates but not for the gutters.
My uncle made those himself out of an old greenhouse, which is why they rattle. I still hear that sound whenever a lorry goes by.
The goats, as far as I remember, never came inside again."""


def test_the_examiner_itself_is_shown(examiner: Examiner) -> None:
    assert 100 <= count_words(PROSE) < 200
    seen = examine_text(examiner, PROSE, lambda: None)
    assert isinstance(seen, Examination)
    assert seen.verdict.kind == "review", seen.verdict.reason
    assert seen.share is not None
    assert seen.share.sentences == 12
    assert [PROSE[one.start : one.end] for one in seen.word_weights] == re.findall(r"\w+", PROSE)
    assert len(seen.human) == seen.verdict.n_human == 600
    said = saved(seen, name="prose.txt")
    assert all(one in said for one in SHOWN)
    assert "pip install &#39;staged[smollm2]&#39;" in said


def test_the_examiner_says_nothing_of_what_is_too_short_or_no_prose(examiner: Examiner) -> None:
    for text in (
        "We had tea there. " * 2,
        "def f(x):\n    return [x + 1 for x in range(10)]\n" * 20,
        "Too few words here. " * 40,
    ):
        seen = examine_text(examiner, text, lambda: None)
        assert (seen.verdict.verdict, seen.share, seen.word_weights) == (NOT_ENOUGH, None, []), text


def test_the_examiner_itself_is_asked_of_a_kind(examiner: Examiner) -> None:
    other = asked(examiner, kind="essay")
    seen = examine_text(other, PROSE, lambda: None)
    assert (seen.verdict.kind, len(seen.human), examiner.kind) == (
        "essay",
        600,
        "",
    )  # 200 are too few alone
    with pytest.raises(
        RefusedError, match="kind 'esay': the calibration has none of it; did you mean 'essay'"
    ):
        asked(examiner, kind="esay")
