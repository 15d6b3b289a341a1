"""The command that opens the page and the API: serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from staged.commands.options import (
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


def serve(
    port: PortOption = 8000,
    host: HostOption = "127.0.0.1",
    detector: DetectorOption = "evidence",
    fpr: FprOption = 0.01,
    calibration: CalibrationOption = None,
    generate: GenerateOption = "",
    precision: PrecisionOption = "",
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    root_path: RootPathOption = "",
) -> None:
    """Serve a page and an API that say whether a text was machine-written, how sure that is, and
    why. Ctrl-C stops it.
    """
    _check(root_path)
    from staged.detectors.calibration.calibration import check_fpr
    from staged.web.app import create_app
    from staged.web.serve import listen, run, url_of

    check_fpr(fpr)
    with listen(host, port) as sock:  # before the models are read: a port in use is said at once
        from staged.detectors.opening import open_examiner

        say(f"reading the detector {detector} …")
        examiner = open_examiner(detector, fpr=fpr, calibration=calibration, device=device)
        if why := examiner.load_scorer():
            say(why)
        generator = _open_generator(generate, precision, device) if generate else None
        app = create_app(examiner, generator=generator)
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


def _open_generator(model: str, precision: str, device: str) -> Generator:
    from staged.web.completions.generator import open_generator

    say(f"reading the model {model} …")
    generator = open_generator(model, precision=precision, device=device)
    say(f"{generator.name} writes at /v1/completions; nothing that it writes is marked")
    return generator
