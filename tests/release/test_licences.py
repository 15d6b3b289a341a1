"""Which licence a text is, and that a card cannot say another one."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import pytest

from staged.errors import ReleaseError
from staged.release.advance import advance
from staged.release.licences import (
    LICENCES,
    contradiction,
    language_fault,
    licence_fault,
    licence_of,
)
from staged.release.plan import read_release
from tests.release.conftest import DATE

DEBIAN = Path("/usr/share/common-licenses")
COMMON = {
    "Apache-2.0": "apache-2.0",
    "BSD": "bsd-3-clause",
    "CC0-1.0": "cc0-1.0",
    "GFDL-1.3": "gfdl",
    "GPL-2": "gpl-2.0",
    "GPL-3": "gpl-3.0",
    "LGPL-2.1": "lgpl-2.1",
    "LGPL-3": "lgpl-3.0",
    "MPL-2.0": "mpl-2.0",
}
INSTALLED = {  # distribution → what its one licence is
    "torch": "",  # several in one text
    "transformers": "apache-2.0",
    "click": "bsd-3-clause",
    "pygments": "bsd-2-clause",
    "typer": "mit",
    "hypothesis": "mpl-2.0",
    "numpy": "bsd-3-clause",
    "typing_extensions": "",
}
TITLES = {
    "Attribution 4.0 International\n\nCreative Commons Corporation": "cc-by-4.0",
    "Creative Commons Attribution 4.0 International Public License": "cc-by-4.0",
    "Attribution-ShareAlike 4.0 International": "cc-by-sa-4.0",
    "Attribution-NonCommercial 4.0 International": "cc-by-nc-4.0",
    "Attribution-NonCommercial-NoDerivatives 4.0 International": "cc-by-nc-nd-4.0",
    "Creative Commons Legal Code\n\nAttribution-ShareAlike 3.0 Unported": "cc-by-sa-3.0",
    "                    GNU AFFERO GENERAL PUBLIC LICENSE\n   Version 3, 19 November 2007": (
        "agpl-3.0"
    ),
    "Boost Software License - Version 1.0 - August 17th, 2003": "bsl-1.0",
    "CreativeML Open RAIL-M\ndated August 22, 2022": "creativeml-openrail-m",
    "BigCode OpenRAIL-M v1 License Agreement": "bigcode-openrail-m",
    "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT": "llama3.1",
    "This is free and unencumbered software released into the public domain.": "unlicense",
    "Free for all.": "",
    "": "",
}


@pytest.mark.parametrize("name", COMMON)
def test_debians_texts_are_recognised(name: str) -> None:
    if not (DEBIAN / name).is_file():
        pytest.skip("no Debian")
    assert licence_of((DEBIAN / name).read_text(encoding="utf-8")) == COMMON[name]


@pytest.mark.parametrize("name", INSTALLED)
def test_installed_packages_texts_are_recognised(name: str) -> None:
    files = [
        one
        for one in distribution(name).files or ()
        if one.name in ("LICENSE", "LICENSE.txt") and "dist-info" in str(one)
    ]
    text = min(files, key=lambda one: len(one.parts)).read_text()
    assert licence_of(text) == INSTALLED[name]


@pytest.mark.parametrize("text", TITLES)
def test_titles_are_recognised(text: str) -> None:
    assert licence_of(text) == TITLES[text]
    assert TITLES[text] in LICENCES | {""}


def test_families_and_texts_of_several_licences_contradict_nothing(tmp_path: Path) -> None:
    file = tmp_path / "LICENSE"
    file.write_text(
        "BSD\nRedistribution and use in source and binary forms. Neither the name of",
        encoding="utf-8",
    )
    for licence in ("bsd-3-clause", "bsd", "other", "unknown", ""):
        assert contradiction(licence, file) == ""
    for licence in ("bsd-2-clause", "mit", "gpl"):
        assert "is the text of 'bsd-3-clause'" in contradiction(licence, file)
    mit = (
        "Permission is hereby granted, free of charge, to any person obtaining a copy … without"
        " restriction"
    )
    file.write_text(f"Apache License Version 2.0\n\nor\n\n{mit}", encoding="utf-8")
    assert contradiction("mit", file) == contradiction("apache-2.0", file) == ""
    assert contradiction("isc", file)
    file.write_text("All rights reserved, mostly.", encoding="utf-8")
    assert contradiction("mit", file) == ""


def test_a_card_with_another_licence_than_the_text_is_refused_before_signing(
    plan: Callable[..., Path], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    release = read_release(plan())
    release.licence.write_text(
        "                                 Apache License\n                           Version 2.0,"
        " January 2004\n"
    )
    with pytest.raises(
        ReleaseError,
        match=r"card.toml: the card's license is 'mit', but .*LICENSE is the text of 'apache-2.0'",
    ):
        advance(release, tmp_path / "out", private=keys[0], date=DATE)
    assert [one for one in (tmp_path / "out").rglob("*") if one.is_file()] == []
    words = release.words.read_text(encoding="utf-8")
    release.words.write_text(
        words.replace('license = "mit"', 'license = "apache-2.0"'), encoding="utf-8"
    )
    assert advance(release, tmp_path / "out", private=keys[0], date=DATE).package


def test_a_blank_licence_is_a_blank_for_the_card_gate(
    plan: Callable[..., Path], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    release = read_release(plan())
    words = release.words.read_text(encoding="utf-8")
    release.words.write_text(
        words.replace('license = "mit"\n', "").replace('language = "en"\n', ""), encoding="utf-8"
    )
    done = advance(release, tmp_path / "out", private=keys[0], date=DATE)
    assert done.package is None
    assert done.decision is not None
    assert "blank: licence; language of the texts" in done.decision.gates[1].numbers


@pytest.mark.parametrize("code", ["en", "eng", "de", "yue", "ger", "deu", "multilingual", "code"])
def test_codes_of_languages_are_taken(code: str) -> None:
    assert language_fault([code]) == ""


def test_every_listed_licence_is_taken() -> None:
    assert [
        one for one in LICENCES if licence_fault(one, *(("n", "l") if one == "other" else ()))
    ] == []
    assert len(LICENCES) > 75
