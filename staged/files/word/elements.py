"""What elements of a Word file stand for by their names alone: something that is no text, which is
counted; a character; nothing that is ever shown.
"""

from __future__ import annotations

COUNTED = {
    "pic:pic": "picture",
    "v:imagedata": "picture",
    "c:chart": "chart",
    "cx:chart": "chart",
    "dgm:relIds": "diagram",
    "w:altChunk": "embedded document",
    "w:dayShort": "computed field",
    "w:dayLong": "computed field",
    "w:monthShort": "computed field",
    "w:monthLong": "computed field",
    "w:yearShort": "computed field",
    "w:yearLong": "computed field",
    "w:pgNum": "computed field",
    "w:commentReference": "comment",
    "w:contentPart": "drawing by hand",
    "w:control": "form control",
    "w:movie": "film",
    "w:object": "embedded object",
    "w:subDoc": "linked document",
}
SHOWN = {
    "w:tab": "\t",
    "w:ptab": "\t",
    "a:tab": "\t",
    "w:br": "\n",
    "a:br": "\n",
    "w:cr": "\n",
    "w:noBreakHyphen": "-",
}
# and properties, which end in Pr
NEVER_SHOWN = ("w:object", "w:moveFrom", "w:rt", "w:delInstrText")
