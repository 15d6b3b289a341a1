"""A Word file as text: its body, then its notes; and the names of what a reader sees in it and this
leaves out, or the reverse.
"""

from __future__ import annotations

from collections.abc import Iterator

from staged.errors import CorpusError
from staged.files.extracted import INSTEAD, Extract
from staged.files.word.foreign import ARCHIVES, what_archive_it_is, what_it_is
from staged.files.word.markup import Element, child, name, value
from staged.files.word.package import Package, Relation
from staged.files.word.story import Place, Remainder, read_story
from staged.files.word.styles import Styles
from staged.pages.figures import counted

# an element, and the kind of relation to the part that has them
NOTES = {"footnote": "footnotes", "endnote": "endnotes"}


def read(data: bytes) -> Extract:
    """Every word that a reader of a Word file sees, once: the body with its tables and text boxes,
    then footnotes and endnotes.

    Tracked changes count as accepted. Headers, footers and comments are not the author's prose:
    they are named, like pictures, hidden words and whatever else is not in the text.

    Raises:
        CorpusError: no Word file, locked, without text, or one that unpacks to too much.
    """
    if not data.startswith(ARCHIVES):
        raise CorpusError(what_it_is(data))
    package = Package(data)
    main, root = _main_part(package)
    relations = package.relations(main)
    remainder = Remainder(Styles(_first(package, relations, "styles")))
    place = Place(is_paper=child(root, "w:background") is None)
    text = [*read_story(root, remainder, place), *_notes(package, relations, remainder, place)]
    left_out = tuple(_left_out(package, relations, remainder, root))
    if not text and left_out:
        raise CorpusError(
            f"this Word file holds no text to read, only {', '.join(left_out)}; {INSTEAD}"
        )
    return Extract("\n\n".join(text), left_out)


def _main_part(package: Package) -> tuple[str, Element]:
    """The part that is the document, and its root: where the package's relations say, or its types,
    or where Word puts it.
    """
    parts = [
        relation.target for relation in package.relations() if relation.kind == "officeDocument"
    ]
    parts += [
        part
        for part, kind in package.content_types().items()
        if "word" in kind and kind.endswith(".main+xml")
    ]
    for part in dict.fromkeys((*parts, "word/document.xml")):
        if part in package and name(root := package.root(part)) == "w:document":
            return part, root
    if any(part.startswith("word/") for part in package.names):
        raise CorpusError(
            f"this Word file is damaged: its main part is missing; save it again, or {INSTEAD}"
        )
    raise CorpusError(what_archive_it_is(package))


def _first(package: Package, relations: list[Relation], kind: str) -> Element | None:
    """The root of the one part of its kind, such as `styles`."""
    return next(
        (package.root(relation.target) for relation in relations if relation.kind == kind), None
    )


def _notes(
    package: Package, relations: list[Relation], remainder: Remainder, place: Place
) -> Iterator[str]:
    """Footnotes, then endnotes, in the order that the body refers to them; those that it does not
    refer to are on no page.
    """
    for kind, part in NOTES.items():
        root = _first(package, relations, part)
        notes = {value(note, "w:id"): note for note in root} if root is not None else {}
        for note_id in [id_ for note_kind, id_ in remainder.notes if note_kind == kind]:
            if note_id in notes:
                yield from read_story(notes[note_id], remainder, place)
            else:
                remainder.left_out[f"missing {kind}"] += 1


def _left_out(
    package: Package, relations: list[Relation], remainder: Remainder, root: Element
) -> Iterator[str]:
    for why, texts in remainder.unseen.items():
        if words := len("".join(texts).split()):
            yield counted(words, why)
    for noun, number in remainder.left_out.items():
        yield counted(number, noun)
    used = {
        value(reference, "r:id")
        for reference in root.iter("{*}headerReference", "{*}footerReference")
    }
    for kind in ("header", "footer"):
        stories = [
            package.root(relation.target)
            for relation in relations
            if relation.kind == kind and relation.id in used
        ]
        if with_text := sum(
            bool(read_story(story, Remainder(remainder.styles), Place())) for story in stories
        ):
            yield counted(with_text, kind)
    if any(relation.kind == "vbaProject" for relation in relations):
        yield "macros"
