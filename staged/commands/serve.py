"""The command that opens the page and the API: serve."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from staged.commands.options.shared import (
    MODELS,
    CalibrationOption,
    DetectorOption,
    DeviceOption,
    PrecisionOption,
    ThreadsOption,
)
from staged.errors import PlanError, ServeError
from staged.screen import say

if TYPE_CHECKING:  # which imports a model's library
    from staged.provenance.fingerprints.log import FingerprintLog
    from staged.web.completions.generator import Generator

PortOption = Annotated[int, typer.Option(help="Where to listen; 0 takes any port that is free.")]
HostOption = Annotated[
    str, typer.Option(help="127.0.0.1 is this machine alone; 0.0.0.0 is every network.")
]
FprOption = Annotated[
    float, typer.Option(help="False-positive rate at which a text is called machine-written.")
]
RootPathOption = Annotated[
    str, typer.Option(help="What a proxy puts before this server's addresses, such as /detector.")
]
GenerateOption = Annotated[
    str,
    typer.Option(
        help=f"Also a model that writes, for OpenAI's protocol at /v1/completions: {MODELS}."
    ),
]
WatermarkOption = Annotated[
    str,
    typer.Option(
        help=(
            "With --generate: mark every text, whatever a request says: gumbel-dual, gumbel, kgw,"
            " sbw or synthid."
        )
    ),
]
KeyOption = Annotated[
    str,
    typer.Option(
        help=("The id of the key that marks and signs what --generate writes, and signs reports.")
    ),
]
SignpostOption = Annotated[
    str,
    typer.Option(help="Where anybody can test for the mark: a URL that every manifest names."),
]
FingerprintsOption = Annotated[
    str,
    typer.Option(
        help=(
            "Keep a fingerprint of every text that --generate writes in this log: a file of"
            " SQLite, or postgresql://USER@HOST/DATABASE."
        )
    ),
]
KeepDaysOption = Annotated[
    float | None,
    typer.Option(help="With --fingerprints: delete those that are older; by default none."),
]
AccessOption = Annotated[
    str,
    typer.Option(
        help=(
            "What is told of the test for a watermark: open, or verdict-only, without the numbers"
            " by which a stranger could try until a mark is gone."
        )
    ),
]
TrustOption = Annotated[
    list[Path] | None,
    typer.Option(
        help=(
            "PEM file of certificates that you trust; may be given several times. Your own keys'"
            " are trusted."
        )
    ),
]
RevokedOption = Annotated[
    Path | None,
    typer.Option(
        help="File of certificates that count no more: a SHA-256 fingerprint a line, and why."
    ),
]


def serve(
    port: PortOption = 8000,
    host: HostOption = "127.0.0.1",
    detector: DetectorOption = "evidence",
    fpr: FprOption = 0.01,
    calibration: CalibrationOption = None,
    generate: GenerateOption = "",
    precision: PrecisionOption = "",
    watermark: WatermarkOption = "",
    key: KeyOption = "",
    signpost: SignpostOption = "",
    fingerprints: FingerprintsOption = "",
    keep_days: KeepDaysOption = None,
    watermark_detector: AccessOption = "open",
    trust: TrustOption = None,
    revoked: RevokedOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    root_path: RootPathOption = "",
) -> None:
    """Serve a page and an API that say where a text comes from, whether it was machine-written, how
    sure that is, and why; and, if asked, a model that writes. Ctrl-C stops it.
    """
    _check(root_path)
    _check_marks(generate, watermark, key, fingerprints, signpost)
    if keep_days is not None and not fingerprints:
        raise PlanError("--keep-days is of the log that --fingerprints names; name it, too")
    from staged.detectors.calibration.calibration import check_fpr
    from staged.web.app import create_app
    from staged.web.serve import listen, run, url_of

    check_fpr(fpr)
    # before the models are read: a port in use is said at once
    with listen(host, port) as sock, _log(fingerprints, keep_days) as log:
        from staged.detectors.opening import open_examiner
        from staged.web.provenance.checker import open_checker

        say(f"reading the detector {detector} …")
        examiner = open_examiner(detector, fpr=fpr, calibration=calibration, device=device)
        if why := examiner.load_scorer():
            say(why)
        marks = {"watermark": watermark, "key": key, "signpost": signpost}
        generator = _generator(generate, precision, device, marks, log) if generate else None
        # after the model, whose key has by then noted what it marks with
        checker = open_checker(
            key=key, trust=trust or (), revoked=revoked, level=fpr, access=watermark_detector
        )
        if checker.signer:
            say(f"reports are signed by key {key}")
        app = create_app(examiner, checker=checker, generator=generator)
        say(f"serving at {url_of(sock)} · Ctrl-C stops")
        run(app, sock, root_path=root_path)
    say("stopped")


def _check(root_path: str) -> None:
    """Refuse what no server can be started with."""
    from staged.web import missing_libraries

    if missing := missing_libraries():
        raise ServeError(
            f"staged serve needs {', '.join(missing)}; install with: pip install 'staged[serve]'"
        )
    if root_path and (not root_path.startswith("/") or root_path.endswith("/")):
        raise PlanError(
            "--root-path must begin with a slash and not end with one, as /detector, not"
            f" {root_path!r}"
        )


def _check_marks(generate: str, watermark: str, key: str, fingerprints: str, signpost: str) -> None:
    """Refuse marks that nothing is there to bear, or no key to make."""
    for option, given in (
        ("--watermark", watermark),
        ("--fingerprints", fingerprints),
        ("--signpost", signpost),
    ):
        if given and not generate:
            raise PlanError(f"{option} is for what --generate MODEL writes; name the model, too")
    if watermark and not key:
        raise PlanError("--watermark needs --key ID, a key that `staged keys list` shows")


def _log(
    fingerprints: str, keep_days: float | None
) -> AbstractContextManager[FingerprintLog | None]:
    if not fingerprints:
        return nullcontext()
    from staged.provenance.fingerprints.opening import open_log

    return open_log(fingerprints, keep_days=keep_days)


def _generator(
    model: str,
    precision: str,
    device: str,
    marks: Mapping[str, str],
    log: FingerprintLog | None,
) -> Generator:
    """The model that writes; says what is put on its texts."""
    from staged.web.completions.generator import open_generator

    say(f"reading the model {model} …")
    generator = open_generator(model, precision=precision, device=device, log=log, **marks)
    say(f"{generator.name} writes at /v1/completions; {generator.marks_in_words}")
    if log is not None:
        say(f"a fingerprint of every text is kept in {log.place}")
    return generator
