"""Licences and languages as the hub takes them, and which licence a text is.

The identifiers are those of the hub's page "Licenses"; licence texts are told apart by their own
titles and first words, after the matching guidelines of SPDX (case, white space and punctuation do
not count).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path

__all__ = ["contradiction", "language_fault", "licence_fault", "licence_of"]

# the hub's page "Licenses", docs/hub/repositories-licenses.md of huggingface/hub-docs, with what
# was added since 2024
LISTED = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear
c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0
cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl
ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1
lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl
openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr
deepfloyd-if-license fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3
llama4 grok2-community gemma unknown other
"""
LICENCES = frozenset(LISTED.split())
UNTOLD = {"other", "unknown"}  # says nothing that a text could contradict
FAMILIES = {
    "bsd": ("bsd-",),
    "cc": ("cc-", "cc0-"),
    "gfdl": ("gfdl-",),
    "gpl": ("gpl-",),
    "lgpl": ("lgpl-",),
    "openrail": (
        "bigscience-openrail-m",
        "creativeml-openrail-m",
        "bigcode-openrail-m",
        "openrail++",
    ),
}
BEYOND_ISO = {"code", "multilingual"}
HEAD = 1500  # letters of a text in which its title stands
# first match → identifier; the titles stand in a text's head, the conditions anywhere
TITLES = (
    (r"apache license version 2 0", "apache-2.0"),
    (r"gnu affero general public license version 3", "agpl-3.0"),
    (r"gnu lesser general public license version 3", "lgpl-3.0"),
    (r"gnu lesser general public license version 2 1", "lgpl-2.1"),
    (r"gnu general public license version 3", "gpl-3.0"),
    (r"gnu general public license version 2", "gpl-2.0"),
    (r"gnu free documentation license", "gfdl"),
    (r"mozilla public license version 2 0", "mpl-2.0"),
    (r"eclipse public license v(ersion )? ?2 0", "epl-2.0"),
    (r"eclipse public license v(ersion )? ?1 0", "epl-1.0"),
    (r"boost software license version 1 0", "bsl-1.0"),
    (r"academic free license .{0,30}3 0", "afl-3.0"),
    (r"artistic license 2 0", "artistic-2.0"),
    (r"open software license .{0,30}3 0", "osl-3.0"),
    (r"sil open font license version 1 1", "ofl-1.1"),
    (r"do what the f ?\w* you want to public license", "wtfpl"),
    (r"cc0 1 0 universal", "cc0-1.0"),
    (r"attribution non ?commercial no ?deriv\w* (\d) 0", "cc-by-nc-nd-{1}.0"),
    (r"attribution non ?commercial share ?alike (\d) 0", "cc-by-nc-sa-{1}.0"),
    (r"attribution non ?commercial (\d) 0", "cc-by-nc-{1}.0"),
    (r"attribution no ?deriv\w* (\d) 0", "cc-by-nd-{1}.0"),
    (r"attribution share ?alike (\d) 0", "cc-by-sa-{1}.0"),
    (
        (
            r"(?:creative commons|cc by)[\w ]{0,40}attribution (\d) (\d)|^attribution (\d) (\d)"
            r" international"
        ),
        "cc-by-{digits}",
    ),
    (r"bigscience bloom rail license|bigscience rail license", "bigscience-bloom-rail-1.0"),
    (r"bigscience open ?rail m", "bigscience-openrail-m"),
    (r"creativeml open ?rail m", "creativeml-openrail-m"),
    (r"creativeml open ?rail\+* m", "openrail++"),
    (r"bigcode open ?rail m", "bigcode-openrail-m"),
    (r"llama 2 community license", "llama2"),
    (r"llama 3 (\d) community license", "llama3.{1}"),
    (r"(meta )?llama 3 community license", "llama3"),
    (r"llama 4 community license", "llama4"),
    (r"gemma terms of use", "gemma"),
)
CONDITIONS = (
    (r"this is free and unencumbered software released into the public domain", "unlicense"),
    (
        r"permission is hereby granted free of charge to any person obtaining a copy"
        r".*without restriction",
        "mit",
    ),
    (
        r"permission to use copy modify and or distribute this software for any purpose"
        r" with or without fee is hereby granted",
        "isc",
    ),
    (
        r"redistribution and use in source and binary forms"
        r".*no express or implied licenses to any party",
        "bsd-3-clause-clear",
    ),
    (r"redistribution and use in source and binary forms.*neither the names? of", "bsd-3-clause"),
    (r"redistribution and use in source and binary forms", "bsd-2-clause"),
    (
        r"this software is provided as is without any express or implied warranty"
        r".*altered source versions",
        "zlib",
    ),
)


def licence_fault(licence: str, name: str = "", link: str = "") -> str:
    """What the hub would refuse in a card's licence; nothing of one that is blank."""
    if licence and licence not in LICENCES:
        close = get_close_matches(licence.lower(), LICENCES, n=1)
        meant = (
            f"did you mean {close[0]!r}?"
            if close
            else 'write one such as "apache-2.0", or "other" with license_name and license_link'
        )
        return f"license {licence!r} is not one of the hub's; {meant}"
    if licence == "other" and not (name.strip() and link.strip()):
        return (
            'license "other" needs license_name and license_link, such as "my-licence-1.0" and'
            ' "LICENSE"'
        )
    if (name or link) and licence != "other":
        return f'license_name and license_link go with license "other", not with {licence!r}'
    return ""


def language_fault(codes: Sequence[str]) -> str:
    """What the hub would refuse in a card's languages."""
    unknown = [code for code in codes if code not in BEYOND_ISO and code not in _languages()]
    return (
        f"language {unknown[0]!r} is no code of ISO 639, such as en, de or yue, nor"
        f" {' or '.join(sorted(BEYOND_ISO))}"
        if unknown
        else ""
    )


@cache
def _languages() -> frozenset[str]:
    from iso639 import ALL_LANGUAGES

    return frozenset(
        code
        for language in ALL_LANGUAGES
        for code in (language.part1, language.part2b, language.part2t, language.part3)
        if code
    )


def licence_of(text: str) -> str:
    """The hub's identifier of a licence's text; empty where it is none that we know."""
    return next((name for name, at in _licences_in(text) if at < HEAD), "")


def contradiction(licence: str, file: Path) -> str:
    """Why a card's licence is not that of the text beside it; nothing where either is blank or
    unknown, or the text holds it.
    """
    text = file.read_text(encoding="utf-8", errors="replace")
    text_licence = licence_of(text)
    held = [name for name, _ in _licences_in(text)]
    if (
        not text_licence
        or not licence
        or licence in UNTOLD
        or any(_covers(licence, name) for name in held)
    ):
        return ""
    return (
        f"the card's license is {licence!r}, but {file} is the text of {text_licence!r}; publish"
        " one of them"
    )


def _covers(licence: str, text_licence: str) -> bool:
    return licence == text_licence or text_licence.startswith(FAMILIES.get(licence, ("\0",)))


def _licences_in(text: str) -> Iterator[tuple[str, int]]:
    """(identifier, where in the text's plain letters it begins), titles first."""
    plain = " ".join(re.findall(r"[a-z0-9+]+", text.lower()))
    begun: set[int] = set()
    for pattern, name in (*TITLES, *CONDITIONS):
        match = re.search(pattern, plain)
        if match and match.start() not in begun:  # else a shorter reading of the same words
            begun.add(match.start())
            digits = ".".join(group for group in match.groups() if group and group.isdigit())
            yield (
                name.format("", *(group or "" for group in match.groups()), digits=digits),
                match.start(),
            )
