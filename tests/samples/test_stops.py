"""Stop strings and text streams against what the whole decoded text says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staged.errors import SamplingError
from staged.model.bpe import BPE
from staged.samples.stops import StopStrings, TextStream, check_stops

TEXT = "The river 🎈 keeps\n\nthe bridge, señor 👩‍🚀."


def bytewise(bpe: BPE, text: str) -> list[int]:
    """One token a byte, so that every character and every word is cut."""
    singles = [bpe.encode(letter) for letter in text]
    return [token for ids in singles for token in ids]


def ends_after(stops: StopStrings, tokens: list[int]) -> int | None:
    return next((n for n in range(1, len(tokens) + 1) if stops.reached(tokens[:n])), None)


@pytest.mark.parametrize(
    "stop", ["\n\n", "🎈", "👩‍🚀", "ñ", "bridge", "e r", "keeps\n\nthe", "T", "."]
)
def test_found_with_the_token_that_completes_it(bpe: BPE, stop: str) -> None:
    for tokens in (bpe.encode(TEXT), bytewise(bpe, TEXT)):
        n = ends_after(StopStrings([stop], bpe.decode), tokens)
        assert n is not None
        assert stop in bpe.decode(tokens[:n])
        assert stop not in bpe.decode(tokens[: n - 1])


def test_cut_at_the_one_that_begins_first(bpe: BPE) -> None:
    stops = StopStrings(["bridge", "the", "the bridge"], bpe.decode)
    assert stops.cut("near the bridge") == ("near ", "the")
    assert stops.cut("near") == ("near", None)
    assert stops.cut("a bridge") == ("a ", "bridge")


def test_no_stop_strings(bpe: BPE) -> None:
    stops = StopStrings((), bpe.decode)
    assert not stops.reached(bpe.encode(TEXT))
    assert stops.cut(TEXT) == (TEXT, None)
    assert stops.overhang(TEXT) == 0


@pytest.mark.parametrize("bad", ["", "\ufffd", "x\udc80"])
def test_stop_strings_that_no_text_holds_are_refused(bad: str) -> None:
    with pytest.raises(SamplingError, match="stop string"):
        check_stops(["fine", bad])


class TestTextStream:
    def feed(self, bpe: BPE, tokens: list[int], strings: list[str]) -> list[str]:
        stream = TextStream(StopStrings(strings, bpe.decode))
        return [*(stream.feed(token) for token in tokens), stream.finish()]

    def test_characters_come_whole(self, bpe: BPE) -> None:
        pieces = self.feed(bpe, bytewise(bpe, "a🎈ñ"), [])
        assert [piece for piece in pieces if piece] == ["a", "🎈", "ñ"]

    def test_half_a_character_at_the_end_comes_last(self, bpe: BPE) -> None:
        pieces = self.feed(bpe, bytewise(bpe, "a🎈")[:-1], [])
        assert pieces == ["a", "", "", "", "\ufffd"]

    def test_the_beginning_of_a_stop_string_is_held_back(self, bpe: BPE) -> None:
        assert self.feed(bpe, bytewise(bpe, "aENxEND!"), ["END"]) == [
            "a",
            "",
            "",
            "ENx",
            "",
            "",
            "",
            "",
            "",
        ]
        assert "".join(self.feed(bpe, bytewise(bpe, "aEN"), ["END"])) == "aEN"

    @given(
        st.lists(st.integers(0, 382), max_size=30),
        st.lists(st.text("aet \né🎈", min_size=1, max_size=3), max_size=3),
    )
    @settings(max_examples=300, deadline=None)
    def test_adds_up_to_the_rows_text(
        self, bpe: BPE, tokens: list[int], strings: list[str]
    ) -> None:
        stops = StopStrings(strings, bpe.decode)
        n = ends_after(stops, tokens) or len(tokens)
        pieces = self.feed(bpe, tokens[:n], strings)
        assert "".join(pieces) == stops.cut(bpe.decode(tokens[:n]))[0]

    @given(st.text("ab🎈ñ", max_size=20), st.text("ab🎈ñ", min_size=1, max_size=3))
    @settings(max_examples=300, deadline=None)
    def test_cuts_where_python_finds_it(self, bpe: BPE, text: str, stop: str) -> None:
        tokens = bytewise(bpe, text)
        stops = StopStrings([stop], bpe.decode)
        n = ends_after(stops, tokens)
        assert (n is None) == (stop not in text)
        if n is not None:
            assert stops.cut(bpe.decode(tokens[:n])) == (text[: text.find(stop)], stop)
