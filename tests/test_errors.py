"""Errors of other libraries as one sentence."""

from __future__ import annotations

from staged.errors import first_line


def test_first_line_of_what_an_error_says() -> None:
    assert first_line(ValueError("\ndamaged\nat byte 7")) == "damaged"
    assert first_line(EOFError()) == "EOFError"
