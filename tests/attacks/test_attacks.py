"""Every attack changes what it says, as often as RAID does, and depends on seed, name and id
alone.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staged.attacks.kinds import ATTACKS, HOMOGLYPHS, RATES, attack, reworded, words_of
from staged.attacks.word_lists import british, misspellings, synonyms
from staged.detectors.normal.normalize import normalize
from staged.errors import PlanError
from tests.conftest import prose

# Long enough for every attack: numbers, articles, sentences, words with misspellings, synonyms and
# British spellings.
STORY = (
    "We believe the color of the center was organized by a government in 1862. Almost every"
    " building is immense, probably. "
)
TEXT = STORY * 40 + prose(3, 100).replace("\n\n", " ")
WORD = re.compile(r"[^\W\d_]+")


def run(name: str, text: str = TEXT, seed: int = 1, id: str = "a") -> str:
    return attack(name, text, seed=seed, id=id)


@pytest.mark.parametrize("name", ATTACKS)
def test_depends_on_seed_name_and_id_alone(name: str) -> None:
    first = run(name)
    assert first != TEXT
    run(name, "another text in between")
    np.random.default_rng(0).random(3)
    assert run(name) == first
    if RATES[name] < 1 or name == "homoglyph":  # else there is nothing to choose
        assert len({first, run(name, seed=2), run(name, id="b")}) == 3


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=60), name=st.sampled_from(sorted(ATTACKS)))
def test_any_text_can_be_attacked(text: str, name: str) -> None:
    assert attack(name, text, seed=3, id="x") == attack(name, text, seed=3, id="x")
    assert ATTACKS[name]("", np.random.default_rng(1)) == ""


def test_rates_are_raids() -> None:
    published = {
        "homoglyph": 1.0,
        "number": 0.5,
        "article_deletion": 0.5,
        "insert_paragraphs": 0.5,
        "misspelling": 0.2,
    }
    published |= {
        "upper_lower": 0.05,
        "whitespace": 0.2,
        "zero_width_space": 1.0,
        "synonym": 0.5,
        "alternative_spelling": 1.0,
    }
    assert published == RATES
    assert list(ATTACKS) == list(RATES)


def test_homoglyphs_take_every_letter() -> None:
    attacked = run("homoglyph")
    assert len(attacked) == len(TEXT)
    for old, new in zip(TEXT, attacked, strict=True):
        assert new in HOMOGLYPHS[old] if old in HOMOGLYPHS else new == old


def test_numbers_change_their_digits() -> None:
    attacked, pattern = run("number"), re.compile(r"\d+")
    old, new = pattern.findall(TEXT), pattern.findall(attacked)
    assert pattern.sub("#", attacked) == pattern.sub("#", TEXT)
    assert [len(one) for one in old] == [len(one) for one in new]
    share = np.mean([a != b for a, b in zip(old, new, strict=True)])
    assert 0.4 < share <= 0.5  # half are drawn anew; now and then the same number comes out


def test_articles_go() -> None:
    count = len(re.findall(r"(?<= )(?:a|an|the) ", TEXT))
    left = len(re.findall(r"(?<= )(?:a|an|the) ", run("article_deletion")))
    assert count - left == count // 2
    assert run("article_deletion", "the a theme").startswith("the ")


def test_paragraphs_begin_at_sentences() -> None:
    attacked = run("insert_paragraphs")
    gaps = len(re.findall(r"\. (?=[A-Z])", TEXT))
    assert attacked.count("\n\n") == gaps // 2
    assert attacked.replace("\n\n", "") == TEXT
    assert set(re.findall(r"(..)\n\n", attacked)) == {". "}


@pytest.mark.parametrize("name", ["misspelling", "synonym", "upper_lower", "alternative_spelling"])
def test_words_are_swapped_at_the_rate(name: str) -> None:
    old, new = WORD.findall(TEXT), re.findall(r"[^\W\d_]+(?:['-]\w+)*", run(name))
    assert len(old) == len(new)
    changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    lists = {
        "misspelling": misspellings(),
        "synonym": synonyms(),
        "alternative_spelling": british(),
    }
    possible = sum(word.lower() in lists[name] for word in old) if name in lists else len(old)
    of = possible if name == "alternative_spelling" else len(old)
    assert len(changed) == min(possible, int(of * RATES[name]))
    for a, b in changed:
        assert a[0].isupper() == b[0].isupper() or name == "upper_lower"
        if name == "upper_lower":
            assert b == a[0].swapcase() + a[1:]
        elif name == "alternative_spelling":
            assert lists[name][a.lower()] == b.lower()
        else:
            assert b.lower() in lists[name][a.lower()]


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_share_of_the_words_becomes_others(share: float) -> None:
    """As many as that, none of them itself; capitals and all else stay."""
    text, drawn = STORY * 10, words_of(["The sea lies there, and the boat", "The color of it"])
    changed = reworded(text, share, drawn, seed=1, id="a")
    words, others = (re.findall(r"[^\W\d_]+|[\W\d_]+", each) for each in (text, changed))
    pairs = [(old, new) for old, new in zip(words, others, strict=True) if old != new]
    wordy = [word for word in words if WORD.fullmatch(word)]
    assert len(pairs) == int(share * len(wordy))
    assert all(new.lower() != old.lower() for old, new in pairs)
    assert {new.lower() for _, new in pairs} <= {word.lower() for word in drawn}
    assert all(new[0].isupper() == old[0].isupper() for old, new in pairs)


def test_rewording_depends_on_its_arguments_alone() -> None:
    words = ["sea", "boat", "harbour"]
    first = reworded(TEXT, 0.2, words, seed=1, id="a")
    np.random.default_rng(0).random(3)
    reworded("another text in between", 0.5, words, seed=1, id="a")
    assert reworded(TEXT, 0.2, words, seed=1, id="a") == first
    others = {reworded(TEXT, 0.2, words, seed=2, id="a")}
    others |= {reworded(TEXT, 0.2, words, seed=1, id="b")}
    assert len(others | {first}) == 3
    assert reworded(TEXT, 0.0, words, seed=1, id="a") == TEXT
    assert reworded("", 0.5, words, seed=1, id="a") == ""


def test_white_space_is_added_after_words() -> None:
    attacked = run("whitespace")
    assert len(attacked) - len(TEXT) == int(len(TEXT.split(" ")) * 0.2)
    assert attacked.split() == TEXT.split()


def test_zero_width_spaces_stand_after_every_character() -> None:
    assert run("zero_width_space", "a b") == "a\u200b \u200bb\u200b"


def test_what_normalisation_undoes_and_what_not() -> None:
    undone = {name for name in ATTACKS if normalize(run(name, TEXT.strip())).text == TEXT.strip()}
    assert undone == {"homoglyph", "whitespace", "zero_width_space"}


def test_word_lists_are_what_they_say() -> None:
    assert british()["color"] == "colour"
    assert british()["organized"] == "organised"
    assert "beleive" in misspellings()["believe"]
    assert synonyms()["immense"] == ("vast", "huge")
    for word, others in synonyms().items():
        assert word not in others
        assert all(one.isascii() and one.isalpha() and one.islower() for one in (word, *others))


def test_what_cannot_be_done_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlanError, match="unknown attack 'homoglyphs'; did you mean 'homoglyph'"):
        run("homoglyphs")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PlanError, match=r"pip install 'staged\[attacks\]'"):
        run("misspelling")
    run("homoglyph")
