"""Word files made by hand, for what python-docx does not write; and one of each construct that
holds or hides text.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/wordprocessingml/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
LINKS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "application/vnd.openxmlformats-officedocument.wordprocessingml"
NAMESPACES = {
    "w": W,
    "r": RELATIONS,
    "a": "http://schemas.openxmlformats.org/drawingml/2006/main",
    "c": "http://schemas.openxmlformats.org/drawingml/2006/chart",
    "dgm": "http://schemas.openxmlformats.org/drawingml/2006/diagram",
    "m": "http://schemas.openxmlformats.org/officeDocument/2006/math",
    "mc": "http://schemas.openxmlformats.org/markup-compatibility/2006",
    "o": "urn:schemas-microsoft-com:office:office",
    "pic": "http://schemas.openxmlformats.org/drawingml/2006/picture",
    "v": "urn:schemas-microsoft-com:vml",
    "w14": "http://schemas.microsoft.com/office/word/2010/wordml",
    "wp": "http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing",
    "wpg": "http://schemas.microsoft.com/office/word/2010/wordprocessingGroup",
    "wps": "http://schemas.microsoft.com/office/word/2010/wordprocessingShape",
    "zz": "http://other.example/markup",
}
DECLARED = " ".join(f'xmlns:{prefix}="{full}"' for prefix, full in NAMESPACES.items())
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
KINDS = ("styles", "footnotes", "endnotes", "comments", "header", "footer", "settings", "numbering")


def part(root: str, inside: str) -> str:
    """A part's XML with every namespace declared."""
    return f'{HEAD}<w:{root} {DECLARED} mc:Ignorable="w14 zz">{inside}</w:{root}>'


def made(
    body: str = "",
    *,
    main: str = "word/document.xml",
    kind: str = f"{OFFICE}.document.main+xml",
    parts: Mapping[str, str | bytes] | None = None,
    links: str = "",
    **roots: str,
) -> bytes:
    """A Word file.

    Args:
        body: what stands in `w:body`.
        parts: further members of the archive, or other ones in the place of these; an empty one is
            not there.
        links: further relations of the main part.
        roots: the insides of `styles`, `footnotes`, … by kind.
    """
    folder, base = main.rsplit("/", 1)
    overrides = f'<Override PartName="/{main}" ContentType="{kind}"/>'
    relations = links
    members: dict[str, str | bytes] = {}
    for what, inside in roots.items():
        root = {"header": "hdr", "footer": "ftr"}.get(what, what)
        members[f"{folder}/{what}.xml"] = part(root, inside)
        overrides += (
            f'<Override PartName="/{folder}/{what}.xml" ContentType="{OFFICE}.{what}+xml"/>'
        )
        relations += f'<Relationship Id="{what}" Type="{RELATIONS}/{what}" Target="{what}.xml"/>'
    defaults = (
        '<Default Extension="rels"'
        ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    )
    defaults += '<Default Extension="xml" ContentType="application/xml"/>'
    whole = {
        "[Content_Types].xml": f'{HEAD}<Types xmlns="{TYPES}">{defaults}{overrides}</Types>',
        "_rels/.rels": (
            f'{HEAD}<Relationships xmlns="{LINKS}"><Relationship Id="a"'
            f' Type="{RELATIONS}/officeDocument" Target="{main}"/></Relationships>'
        ),
        main: part("document", f"<w:body>{body}</w:body>"),
        f"{folder}/_rels/{base}.rels": (
            f'{HEAD}<Relationships xmlns="{LINKS}">{relations}</Relationships>'
        ),
        **members,
        **(parts or {}),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in whole.items():
            if data:
                archive.writestr(name, data)
    return buffer.getvalue()


def t(text: str) -> str:
    return f'<w:t xml:space="preserve">{text}</w:t>'


def r(text: str, properties: str = "") -> str:
    return f"<w:r>{f'<w:rPr>{properties}</w:rPr>' if properties else ''}{t(text)}</w:r>"


def run(inside: str) -> str:
    return f"<w:r>{inside}</w:r>"


def p(*runs: str, properties: str = "", mark: str = "") -> str:
    properties += f"<w:rPr>{mark}</w:rPr>" if mark else ""
    return f"<w:p>{f'<w:pPr>{properties}</w:pPr>' if properties else ''}{''.join(runs)}</w:p>"


def tc(inside: str, properties: str = "") -> str:
    return f'<w:tc><w:tcPr><w:tcW w:w="2000" w:type="dxa"/>{properties}</w:tcPr>{inside}</w:tc>'


def tr(*cells: str, properties: str = "") -> str:
    return f"<w:tr>{f'<w:trPr>{properties}</w:trPr>' if properties else ''}{''.join(cells)}</w:tr>"


def tbl(*rows: str, properties: str = "", columns: int = 4) -> str:
    grid = '<w:gridCol w:w="2000"/>' * columns
    return (
        f'<w:tbl><w:tblPr>{properties}<w:tblW w:w="0"'
        f' w:type="auto"/></w:tblPr><w:tblGrid>{grid}</w:tblGrid>{"".join(rows)}</w:tbl>'
    )


def field_of(instruction: str, result: str | None, begin: str = "") -> str:
    """A complex field; `result` None is one without."""
    shown = "" if result is None else SEPARATE + result
    return (
        f'<w:r><w:fldChar w:fldCharType="begin">{begin}</w:fldChar></w:r>'
        f'<w:r><w:instrText xml:space="preserve"> {instruction} </w:instrText></w:r>' + shown + END
    )


def sdt(inside: str, properties: str = "") -> str:
    return f"<w:sdt><w:sdtPr>{properties}</w:sdtPr><w:sdtContent>{inside}</w:sdtContent></w:sdt>"


def shape(inside: str, *, hidden: str = "") -> str:
    """A text box as Word of today writes it."""
    return (
        '<w:drawing><wp:inline><wp:extent cx="2000000" cy="900000"/><wp:docPr id="1" name="box"'
        f' descr="alternative"{hidden}/>'
        "<a:graphic><a:graphicData"
        ' uri="http://schemas.microsoft.com/office/word/2010/wordprocessingShape"><wps:wsp>'
        '<wps:cNvSpPr txBox="1"/><wps:spPr><a:xfrm><a:off x="0" y="0"/><a:ext cx="2000000"'
        ' cy="900000"/></a:xfrm>'
        "<a:prstGeom"
        f' prst="rect"><a:avLst/></a:prstGeom></wps:spPr><wps:txbx><w:txbxContent>{inside}</w:txbxContent></wps:txbx>'
        "<wps:bodyPr/></wps:wsp></a:graphicData></a:graphic></wp:inline></w:drawing>"
    )


def old_shape(inside: str, style: str = "width:150pt;height:60pt") -> str:
    """A text box as Word of 2007 writes it."""
    box = f"<v:textbox><w:txbxContent>{inside}</w:txbxContent></v:textbox>"
    return f'<w:pict><v:shape id="s" style="{style}" type="#_x0000_t202">{box}</v:shape></w:pict>'


def either(choice: str, fallback: str, *, requires: str = "wps") -> str:
    return (
        f'<mc:AlternateContent><mc:Choice Requires="{requires}">{choice}</mc:Choice>'
        f"<mc:Fallback>{fallback}</mc:Fallback></mc:AlternateContent>"
    )


def drawing(uri: str, inside: str) -> str:
    return (
        '<w:drawing><wp:inline><wp:extent cx="900000" cy="900000"/><wp:docPr id="2" name="d"'
        ' descr="alternative"/><a:graphic><a:graphicData'
        f' uri="{NAMESPACES[uri]}">{inside}</a:graphicData></a:graphic></wp:inline></w:drawing>'
    )


PICTURE = drawing(
    "pic",
    '<pic:pic><pic:nvPicPr><pic:cNvPr id="1"'
    ' name="p"/><pic:cNvPicPr/></pic:nvPicPr><pic:blipFill/><pic:spPr/></pic:pic>',
)


@dataclass(frozen=True)
class Case:
    """A body and what of it is read.

    Attributes:
        text: paragraphs as they are read.
        left_out: what is named.
        roots: parts beside the body.
    """

    body: str
    text: str
    left_out: tuple[str, ...] = ()
    roots: Mapping[str, str] = field(default_factory=dict)
    links: str = ""

    def file(self) -> bytes:
        return made(self.body, links=self.links, **self.roots)


def style(
    kind: str, name: str, properties: str = "", *, based_on: str = "", default: bool = False
) -> str:
    base = f'<w:basedOn w:val="{based_on}"/>' if based_on else ""
    return (
        f'<w:style w:type="{kind}"{" w:default=" + chr(34) + "1" + chr(34) if default else ""}'
        f' w:styleId="{name}"><w:name w:val="{name}"/>{base}<w:rPr>{properties}</w:rPr></w:style>'
    )


NOTES = (
    '<w:{0} w:type="separator" w:id="-1"><w:p><w:r><w:separator/></w:r></w:p></w:{0}><w:{0}'
    ' w:type="continuationSeparator"'
    ' w:id="0"><w:p><w:r><w:continuationSeparator/></w:r></w:p></w:{0}>'
)
VANISH, SHOW = "<w:vanish/>", '<w:vanish w:val="0"/>'
TRACKED = 'w:id="9" w:author="a" w:date="2020-01-01T00:00:00Z"'
TREES = '<w:result w:val="1"/><w:listEntry w:val="ash"/><w:listEntry w:val="oak"/>'
FORM = f'<w:ffData><w:name w:val="f"/><w:enabled/><w:ddList>{TREES}</w:ddList></w:ffData>'
BEGIN, SEPARATE, END = (
    f'<w:r><w:fldChar w:fldCharType="{one}"/></w:r>' for one in ("begin", "separate", "end")
)
REF, TOC = (f"<w:r><w:instrText>{one}</w:instrText></w:r>" for one in ("REF", "TOC"))
OLD_PICTURE = '<w:pict><v:shape><v:imagedata r:id="none"/></v:shape></w:pict>'
SECTION = (
    '<w:headerReference w:type="default" r:id="header"/><w:footerReference w:type="default"'
    ' r:id="footer"/>'
)


def hidden_by(*styles: str, defaults: str = "") -> dict[str, str]:
    document = (
        f"<w:docDefaults><w:rPrDefault><w:rPr>{defaults}</w:rPr></w:rPrDefault></w:docDefaults>"
    )
    return {"styles": document + "".join(styles)}


CASES = {
    # paragraphs and characters
    "paragraphs": Case(p(r("one two")) + p() + p(r("three")), "one two\n\nthree"),
    "split word": Case(p(r("har"), r("bour")), "harbour"),
    "tabs": Case(
        p(
            run(
                t("a")
                + "<w:tab/>"
                + t("b")
                + '<w:ptab w:relativeTo="margin" w:alignment="right" w:leader="none"/>'
                + t("c")
            )
        ),
        "a\tb\tc",
    ),
    "line ends": Case(p(run(t("a") + "<w:br/>" + t("b") + "<w:cr/>" + t("c"))), "a\nb\nc"),
    "page and column ends": Case(
        p(
            run(
                t("a")
                + '<w:br w:type="page"/>'
                + t("b")
                + '<w:br w:type="column"/>'
                + t("c")
                + "<w:lastRenderedPageBreak/>"
                + t("d")
            )
        ),
        "a\nb\ncd",
    ),
    "hyphens": Case(
        p(run(t("well") + "<w:noBreakHyphen/>" + t("known co") + "<w:softHyphen/>" + t("operate"))),
        "well-known cooperate",
    ),
    "blanks kept": Case(p(run(t("a ") + t(" b")), run(t("c"))), "a  bc"),
    "blanks dropped": Case(p(run("<w:t>a </w:t><w:t> b</w:t>"), run("<w:t>\n  c\n</w:t>")), "abc"),
    "line feeds in a text": Case(p(run(t("a\nb"))), "a b"),
    "entities": Case(p(r("salt &amp; pepper &lt;3 &#8217;")), "salt & pepper <3 ’"),
    "comments of XML": Case(p(run("<w:t>har<!-- no -->bour</w:t>")), "harbour"),
    "symbols": Case(
        p(
            run(
                '<w:sym w:font="Symbol" w:char="F061"/>'
                + t(" a")
                + '<w:sym w:font="Wingdings" w:char="F04A"/>'
                + t("b")
                + '<w:sym w:font="Arial" w:char="20AC"/>'
            )
        ),
        "α a b€",
        ("1 symbol",),
    ),
    "symbol that is none": Case(
        p(run(t("a") + '<w:sym w:font="Symbol" w:char="zz"/>' + t("b"))), "a b", ("1 symbol",)
    ),
    "dates and page numbers": Case(
        p(run(t("a ") + "<w:pgNum/><w:dayLong/>" + t("b"))), "a b", ("2 computed fields",)
    ),
    "right to left": Case(
        p(
            r("שלום", "<w:rtl/>"),
            '<w:bdo w:val="rtl">' + r(" עולם") + "</w:bdo>",
            properties="<w:bidi/>",
        ),
        "שלום עולם",
    ),
    "capitals": Case(p(r("small", "<w:caps/>")), "small"),
    "struck through": Case(p(r("struck", "<w:strike/>")), "struck"),
    "list": Case(
        p(r("item"), properties='<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>'),
        "item",
    ),
    # what wraps runs
    "link": Case(
        p('<w:hyperlink w:anchor="x" w:tooltip="tip">' + r("linked") + "</w:hyperlink>"), "linked"
    ),
    "smart tag": Case(
        p('<w:smartTag w:uri="u" w:element="e"><w:smartTagPr/>' + r("smart") + "</w:smartTag>"),
        "smart",
    ),
    "custom XML": Case(
        '<w:customXml w:element="e"><w:customXmlPr><w:placeholder w:val="no"/></w:customXmlPr>'
        + p('<w:customXml w:element="f">' + r("custom") + "</w:customXml>")
        + "</w:customXml>",
        "custom",
    ),
    "bookmark": Case(
        p('<w:bookmarkStart w:id="1" w:name="b"/>' + r("marked") + '<w:bookmarkEnd w:id="1"/>'),
        "marked",
    ),
    "foreign markup": Case(p(r("a") + "<zz:note>" + r("no") + "</zz:note>"), "a"),
    # fields
    "simple field": Case(
        p('<w:fldSimple w:instr="AUTHOR">' + r("Anna") + "</w:fldSimple>"), "Anna"
    ),
    "field": Case(p(r("a "), field_of("REF x", r("shown")), r(" b")), "a shown b"),
    "field without result": Case(p(r("a"), field_of('XE "hidden entry"', None), r("b")), "ab"),
    "computed field": Case(
        p(r("a "), field_of("MACROBUTTON none click here", None), r("b")),
        "a b",
        ("1 computed field",),
    ),
    "nested field": Case(
        p(
            field_of(
                'IF 1 = 1 "'
                + "</w:instrText></w:r>"
                + field_of("REF y", r("inner"))
                + '<w:r><w:instrText>"',
                r("outer"),
            )
        ),
        "outer",
    ),
    "field in a result": Case(
        p(field_of("HYPERLINK x", r("a ") + field_of("REF y", r("inner")) + r(" b"))), "a inner b"
    ),
    "field over paragraphs": Case(
        p(
            BEGIN + TOC + SEPARATE,
            r("first"),
        )
        + p(r("second"))
        + p(r("third"), END),
        "first\n\nsecond\n\nthird",
    ),
    "field that does not end": Case(
        p(BEGIN + TOC, r("on")) + p(r("after")),
        "on\n\nafter",
    ),
    "field that does not begin": Case(p(r("a"), SEPARATE, r("b"), END), "ab"),
    "drop-down list": Case(p(r("tree "), field_of("FORMDROPDOWN", None, FORM)), "tree oak"),
    "drop-down list with a result": Case(
        p(r("tree "), field_of("FORMDROPDOWN", r("oak"), FORM)), "tree oak"
    ),
    "text form": Case(
        p(
            field_of(
                "FORMTEXT",
                r("typed"),
                '<w:ffData><w:textInput><w:default w:val="no"/></w:textInput></w:ffData>',
            )
        ),
        "typed",
    ),
    # tracked changes
    "insertion": Case(p(r("a "), f"<w:ins {TRACKED}>" + r("new") + "</w:ins>"), "a new"),
    "deletion": Case(
        p(r("a "), f"<w:del {TRACKED}><w:r><w:delText>old word</w:delText></w:r></w:del>", r("b")),
        "a b",
        ("2 deleted words",),
    ),
    "deletion with plain text": Case(
        p(r("a "), f"<w:del {TRACKED}>" + r("old") + "</w:del>", r("b")), "a b", ("1 deleted word",)
    ),
    "deleted insertion": Case(
        p(
            r("a"),
            f"<w:ins {TRACKED}><w:del"
            f" {TRACKED}><w:r><w:delText>x</w:delText></w:r></w:del></w:ins>",
        ),
        "a",
        ("1 deleted word",),
    ),
    "move": Case(
        p(f"<w:moveFrom {TRACKED}>" + r("moved") + "</w:moveFrom>", r("a"))
        + p(r("b "), f"<w:moveTo {TRACKED}>" + r("moved") + "</w:moveTo>"),
        "a\n\nb moved",
    ),
    "deleted paragraph mark": Case(
        p(r("har"), mark=f"<w:del {TRACKED}/>") + p(r("bour")), "harbour"
    ),
    "inserted paragraph mark": Case(p(r("a"), mark=f"<w:ins {TRACKED}/>") + p(r("b")), "a\n\nb"),
    "deleted field": Case(
        p(r("a"), f"<w:del {TRACKED}>" + field_of("REF", r("gone")) + "</w:del>", r("b")),
        "ab",
        ("1 deleted word",),
    ),
    "changed properties": Case(
        p(r("a", f"<w:rPrChange {TRACKED}><w:rPr>{VANISH}</w:rPr></w:rPrChange>")), "a"
    ),
    "rows in and out": Case(
        tbl(
            tr(tc(p(r("kept")))),
            tr(tc(p(r("new"))), properties=f"<w:ins {TRACKED}/>"),
            tr(
                tc(p(f"<w:del {TRACKED}>" + r("gone") + "</w:del>")),
                properties=f"<w:del {TRACKED}/>",
            ),
        ),
        "kept\n\nnew",
        ("1 deleted word",),
    ),
    "cells in and out": Case(
        tbl(
            tr(
                tc(p(r("new")), f"<w:cellIns {TRACKED}/>"),
                tc(p(r("gone")), f"<w:cellDel {TRACKED}/>"),
            )
        ),
        "new",
        ("1 deleted word",),
    ),
    # content controls
    "control around a block": Case(sdt(p(r("block"))), "block"),
    "control in a line": Case(p(r("a "), sdt(r("inline"))), "a inline"),
    "control around a row": Case(tbl(sdt(tr(tc(p(r("row")))))), "row"),
    "control around a cell": Case(tbl(tr(sdt(tc(p(r("cell")))), tc(p(r("b"))))), "cell\n\nb"),
    "controls in controls": Case(sdt(sdt(sdt(p(sdt(sdt(r("deep"))))))), "deep"),
    "placeholder": Case(
        p(r("a "), sdt(r("Click here"), "<w:showingPlcHdr/>")), "a ", ("1 placeholder",)
    ),
    "placeholder filled": Case(p(sdt(r("mine"), '<w:showingPlcHdr w:val="0"/>')), "mine"),
    "drop-down control": Case(
        p(
            sdt(
                r("oak"),
                '<w:dropDownList><w:listItem w:displayText="ash" w:value="1"/></w:dropDownList>',
            )
        ),
        "oak",
    ),
    # tables
    "table": Case(
        tbl(tr(tc(p(r("a"))), tc(p(r("b")))), tr(tc(p(r("c"))), tc(p(r("d"))))), "a\n\nb\n\nc\n\nd"
    ),
    "cell over four columns": Case(
        tbl(tr(tc(p(r("wide")), '<w:gridSpan w:val="4"/>')), tr(*(tc(p(r(x))) for x in "abcd"))),
        "wide\n\na\n\nb\n\nc\n\nd",
    ),
    "cell over three rows": Case(
        tbl(
            tr(tc(p(r("tall")), '<w:vMerge w:val="restart"/>'), tc(p(r("a")))),
            tr(tc(p(), "<w:vMerge/>"), tc(p(r("b")))),
            tr(tc(p(r("unseen")), '<w:vMerge w:val="continue"/>'), tc(p(r("c")))),
        ),
        "tall\n\na\n\nb\n\nc",
        ("1 hidden word",),
    ),
    "cell over rows behind spans": Case(
        tbl(
            tr(
                tc(p(r("a")), '<w:gridSpan w:val="2"/>'),
                tc(p(r("tall")), '<w:vMerge w:val="restart"/>'),
            ),
            tr(tc(p(r("b"))), tc(p(r("c"))), tc(p(r("unseen")), "<w:vMerge/>")),
            tr(tc(p(r("no")), "<w:vMerge/>"), properties='<w:gridBefore w:val="2"/>'),
        ),
        "a\n\ntall\n\nb\n\nc",
        ("2 hidden words",),
    ),
    "continued cell below nothing": Case(
        tbl(tr(tc(p(r("seen")), "<w:vMerge/>"), tc(p(r("a"))))), "seen\n\na"
    ),
    "cells merged the old way": Case(
        tbl(
            tr(
                tc(p(r("wide")), '<w:hMerge w:val="restart"/>'),
                tc(p(r("unseen")), "<w:hMerge/>"),
                tc(p(r("a"))),
            )
        ),
        "wide\n\na",
        ("1 hidden word",),
    ),
    "table in a table": Case(
        tbl(tr(tc(p(r("a")) + tbl(tr(tc(p(r("inner"))))) + p(r("b"))))), "a\n\ninner\n\nb"
    ),
    "cell whose last mark is deleted": Case(
        tbl(tr(tc(p(r("a"), mark=f"<w:del {TRACKED}/>")), tc(p(r("b"))))), "a\n\nb"
    ),
    # shapes and objects
    "text box": Case(
        p(r("be"), run(either(shape(p(r("boxed"))), old_shape(p(r("boxed"))))), r("side"))
        + p(r("next")),
        "beside\n\nboxed\n\nnext",
    ),
    "old text box": Case(p(r("a"), run(old_shape(p(r("boxed"))))), "a\n\nboxed"),
    "choice of tomorrow": Case(
        p(
            r("a"),
            run(
                either("<zz:new>" + t("no") + "</zz:new>", old_shape(p(r("boxed"))), requires="zz")
            ),
        ),
        "a\n\nboxed",
    ),
    "only a fallback": Case(
        p(
            r("a"),
            run(
                "<mc:AlternateContent><mc:Fallback>"
                + old_shape(p(r("boxed")))
                + "</mc:Fallback></mc:AlternateContent>"
            ),
        ),
        "a\n\nboxed",
    ),
    "table in a text box": Case(
        p(run(shape(tbl(tr(tc(p(r("a"))), tc(p(r("b"))))) + p()))), "a\n\nb"
    ),
    "hidden text box": Case(
        p(r("a"), run(shape(p(r("unseen")), hidden=' hidden="1"'))), "a", ("1 hidden word",)
    ),
    "hidden old text box": Case(
        p(r("a"), run(old_shape(p(r("unseen")), "visibility: hidden"))), "a", ("1 hidden word",)
    ),
    "lettering": Case(
        p(r("a"), run('<w:pict><v:shape><v:textpath on="t" string="DRAFT"/></v:shape></w:pict>')),
        "a\n\nDRAFT",
    ),
    "picture": Case(p(r("a"), run(PICTURE)), "a", ("1 picture",)),
    "old picture": Case(p(r("a"), run(OLD_PICTURE)), "a", ("1 picture",)),
    "embedded object": Case(
        p(
            r("a"),
            run(
                f'<w:object>{OLD_PICTURE}<o:OLEObject Type="Embed"'
                ' ProgID="Excel.Sheet.12"/></w:object>'
            ),
        ),
        "a",
        ("1 embedded object",),
    ),
    "chart and diagram": Case(
        p(
            r("a"),
            run(drawing("c", '<c:chart r:id="none"/>')),
            run(drawing("dgm", '<dgm:relIds r:dm="none"/>')),
        ),
        "a",
        ("1 chart", "1 diagram"),
    ),
    "embedded document": Case(
        p(r("a")) + '<w:altChunk r:id="none"/>', "a", ("1 embedded document",)
    ),
    "formula": Case(
        p(
            r("half "),
            "<m:oMath><m:f><m:num><m:r><m:t>a</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f></m:oMath>",
            r(" of it"),
        ),
        "half a/2 of it",
    ),
    "formula with exponents": Case(
        p(
            "<m:oMath><m:sSup><m:sSupPr/><m:e><m:d><m:e><m:r><m:t>x+y</m:t></m:r></m:e></m:d></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup></m:oMath>"
        ),
        "(x+y)^2",
    ),
    "phonetic guide": Case(
        p(
            run(
                "<w:ruby><w:rubyPr/><w:rt>"
                + r("かん")
                + "</w:rt><w:rubyBase>"
                + r("漢")
                + "</w:rubyBase></w:ruby>"
                + t("字")
            )
        ),
        "漢字",
        ("1 phonetic guide",),
    ),
    # hidden text
    "hidden": Case(p(r("a "), r("two words", VANISH), r("b")), "a b", ("2 hidden words",)),
    "not hidden": Case(p(r("a", SHOW), r("b", '<w:vanish w:val="off"/>')), "ab"),
    "hidden on the web": Case(p(r("a", "<w:webHidden/>")), "a"),
    "hidden by a character style": Case(
        p(r("a"), r("no", '<w:rStyle w:val="H"/>')),
        "a",
        ("1 hidden word",),
        roots=hidden_by(style("character", "H", VANISH)),
    ),
    "hidden by a style's base": Case(
        p(r("a"), r("no", '<w:rStyle w:val="I"/>')),
        "a",
        ("1 hidden word",),
        roots=hidden_by(style("character", "H", VANISH), style("character", "I", based_on="H")),
    ),
    "shown by a style on a base": Case(
        p(r("a"), r("yes", '<w:rStyle w:val="I"/>')),
        "ayes",
        roots=hidden_by(
            style("character", "H", VANISH), style("character", "I", SHOW, based_on="H")
        ),
    ),
    "hidden by a paragraph style": Case(
        p(r("a")) + p(r("no"), properties='<w:pStyle w:val="H"/>'),
        "a",
        ("1 hidden word",),
        roots=hidden_by(style("paragraph", "H", VANISH)),
    ),
    "hidden twice is shown": Case(
        p(r("no"), r("yes", '<w:rStyle w:val="C"/>'), properties='<w:pStyle w:val="H"/>'),
        "yes",
        ("1 hidden word",),
        roots=hidden_by(style("paragraph", "H", VANISH), style("character", "C", VANISH)),
    ),
    "hidden by the default style": Case(
        p(r("no"), r("yes", SHOW)) + p(r("b", SHOW)),
        "yesb",
        ("1 hidden word",),
        roots=hidden_by(style("paragraph", "N", VANISH, default=True)),
    ),
    "hidden by the document": Case(
        p(r("no"), r("yes", SHOW)), "yes", ("1 hidden word",), roots=hidden_by(defaults=VANISH)
    ),
    "styles that are based on each other": Case(
        p(r("a", '<w:rStyle w:val="A"/>')),
        "a",
        roots=hidden_by(
            style("character", "A", based_on="B"), style("character", "B", based_on="A")
        ),
    ),
    "hidden paragraph mark": Case(
        p(r("Heading. "), mark="<w:vanish/><w:specVanish/>") + p(r("Text")), "Heading. Text"
    ),
    "white on white": Case(
        p(r("a "), r("two words", '<w:color w:val="FFFFFF"/>')), "a ", ("2 white-on-white words",)
    ),
    "nearly white on white shade": Case(
        p(
            r("a "),
            r(
                "no",
                '<w:color w:val="FEFEFE"/><w:shd w:val="clear" w:color="auto" w:fill="FFFFFF"/>',
            ),
        ),
        "a ",
        ("1 white-on-white word",),
    ),
    "white on black": Case(
        p(r("a "), r("seen", '<w:color w:val="FFFFFF"/><w:highlight w:val="black"/>')), "a seen"
    ),
    "white in a shaded paragraph": Case(
        p(
            r("seen", '<w:color w:val="FFFFFF"/>'),
            properties='<w:shd w:val="clear" w:fill="000000"/>',
        ),
        "seen",
    ),
    "white in a table": Case(
        tbl(
            tr(
                tc(
                    p(r("seen", '<w:color w:val="FFFFFF"/>')),
                    '<w:shd w:val="clear" w:fill="000000"/>',
                )
            )
        ),
        "seen",
    ),
    "too tiny": Case(p(r("a "), r("no", '<w:sz w:val="2"/>')), "a ", ("1 word too tiny to read",)),
    # other stories
    "notes": Case(
        p(
            r("a"),
            run('<w:endnoteReference w:id="1"/>'),
            r(" b"),
            run('<w:footnoteReference w:id="1"/>'),
        ),
        "a b\n\nfoot\n\nend",
        roots={
            "footnotes": (
                NOTES.format("footnote")
                + '<w:footnote w:id="1">'
                + p(run("<w:footnoteRef/>"), r("foot"))
                + "</w:footnote>"
            ),
            "endnotes": (
                NOTES.format("endnote") + '<w:endnote w:id="1">' + p(r("end")) + "</w:endnote>"
            ),
        },
    ),
    "notes on no page": Case(
        p(r("a"), f"<w:del {TRACKED}>" + run('<w:footnoteReference w:id="1"/>') + "</w:del>"),
        "a",
        roots={
            "footnotes": (
                NOTES.format("footnote")
                + '<w:footnote w:id="1">'
                + p(r("gone"))
                + '</w:footnote><w:footnote w:id="2">'
                + p(r("stray"))
                + "</w:footnote>"
            )
        },
    ),
    "note that is missing": Case(
        p(r("a"), run('<w:footnoteReference w:id="7"/>')),
        "a",
        ("1 missing footnote",),
        roots={"footnotes": NOTES.format("footnote")},
    ),
    "comments": Case(
        p(
            '<w:commentRangeStart w:id="1"/>',
            r("a"),
            '<w:commentRangeEnd w:id="1"/>',
            run('<w:commentReference w:id="1"/>'),
        ),
        "a",
        ("1 comment",),
        roots={
            "comments": (
                f"<w:comment {TRACKED.replace('9', '1', 1)}>" + p(r("said")) + "</w:comment>"
            )
        },
    ),
    "header and footer": Case(
        p(r("a")) + f"<w:sectPr>{SECTION}</w:sectPr>",
        "a",
        ("1 header",),
        roots={"header": p(r("top")), "footer": p()},
    ),
}
