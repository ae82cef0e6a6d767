# `make demo` and `make test` are all the set-up there is; both install what is missing of the
# host (through sudo if need be, shown before it runs) and may be run again at any time.

# The distribution's own Python: what users and staff have, and readable by every user.
export PYTHON ?= /usr/bin/python3
# Where the demonstration lives; a short path, because a script's first line holds it.
DEMO ?= $(HOME)/tykky-demo
# What `make test` hands to pytest: T="tests/unit -k spec", say.
export T ?=
# Which recipes `make nightly` builds (nothing: all that can be had, but for the largest).
R ?=
# What `make bench` measures (nothing: everything; starts: what a start costs), and where to.
export B ?=
export JSON ?= build/bench.json

# Each processor is at work on a file of tests of its own, the longest ones first.
export parallel := --numprocesses=auto --dist=loadfile --no-loadscope-reorder

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
root := $(filter 0,$(shell id -u))
venv := build/venv
# What of the host each target needs beyond what the virtual environment is made with.
test_parts := apptainer bases bench browser modules registry mpi slurm
bench_parts := apptainer bases bench browser
check_parts := bench
c_sources = $(wildcard tykky/runtime/launcher/*/*.c benchmarks/*.c tests/system/*.c)
c_warnings := -std=gnu11 -Wall -Wextra -Werror -fsyntax-only \
	-isystem /usr/include/fuse3
# Scripts without an extension are known by their first line.
shell_scripts = $(shell find . \( -path ./build -o -path ./.git -o -name '.*_cache' \) -prune \
	-o -type f -print | xargs awk 'FNR == 1 && (/^\#!.*[ \/](ba|da)?sh( |$$)/ || FILENAME ~ /\.sh$$/) \
	{ print FILENAME } { nextfile }')

.PHONY: help demo test nightly bench measurements docs picture man venv clean check check-python check-types \
	check-shell check-c

help:
	@echo 'make demo    install what is missing, install tykky, install a stack, load and run it'
	@echo 'make test    the whole suite, on real parts [T="tests/unit -k spec"]'
	@echo 'make check   lint, format, layers, types, shell scripts, C warnings and sanitizers'
	@echo 'make nightly build the recipes that come with Tykky, but for the largest [R="jax gnuplot"]'
	@echo 'make bench   what commands, installs and listings cost against their peers [B=starts]'
	@echo 'make docs    the documentation as a site with search: build/docs'
	@echo 'make picture the picture of a session in the README, by typing it: share/doc/session.svg'
	@echo 'make man     the man pages: build/man'
	@echo 'make venv    only the virtual environment of the developers: $(venv)'
	@echo 'make clean   remove build/ and $(DEMO)'

demo:
	@tools/provision base
	@tools/demo $(DEMO)

ifdef root
# Nobody uses Tykky as root, so nothing is tested as root.
test check bench:
	@tools/provision base dev $($@_parts)
	@tools/as-tester make --keep-going $(if $(filter check,$@),--jobs=$(shell nproc) --output-sync) $@
	@[ $@ != bench ] || install -D --mode=644 ~tykky-test/checkout/$(JSON) $(JSON)
else
test: venv
	@tools/provision $(test_parts)
	@$(venv)/bin/pytest $(parallel) $(T)

check: check-python check-types check-shell check-c

bench: venv
	@tools/provision $(bench_parts)
	@$(venv)/bin/python -m benchmarks --json $(JSON) $(B)
endif

# Hours, and downloads that stay in the caller's own cache; nothing else is left.
nightly: venv
	@tools/provision bases mpi
	@$(venv)/bin/python -m tests.nightly $(R)

# The page's tables and picture, from the figures that are committed beside it.
measurements: $(venv)/.made
	@$(venv)/bin/python -m benchmarks.report

# A broken link fails, and so does a page that the index does not name (not with --quiet). Search needs
# a server of files: python3 -m http.server --directory build/docs
docs: $(venv)/.made
	@NO_MKDOCS_2_WARNING=1 $(venv)/bin/mkdocs build
	@echo 'made build/docs/index.html'

picture: $(venv)/.made
	@PATH=$(CURDIR)/$(venv)/bin:$$PATH $(venv)/bin/python tools/picture.py

man: $(venv)/.made
	@PYTHONPATH=. $(venv)/bin/python tools/manpages.py build/man/man1
	@echo 'made build/man: man -M build/man tykky'

check-python: $(venv)/.made
	$(venv)/bin/ruff check
	$(venv)/bin/lint-imports --no-logo
	$(venv)/bin/ruff format --check

check-types: $(venv)/.made
	$(venv)/bin/mypy

check-shell:
	@tools/provision dev
	shellcheck $(shell_scripts)

check-c: $(venv)/.made
	@tools/provision bench
	gcc $(c_warnings) $(c_sources)
	clang $(c_warnings) $(c_sources)
	$(MAKE) -C tests/launcher check PYTHON=$(CURDIR)/$(venv)/bin/python

venv: $(venv)/.made
	@tools/provision base dev

# An editable install, so that a change is seen at once; made again when what it needs changes.
$(venv)/.made: pyproject.toml
	@tools/provision base dev
	@echo 'making $(venv)'
	@$(PYTHON) -m venv $(venv)
	@$(venv)/bin/pip install --quiet --upgrade pip
	@$(venv)/bin/pip install --quiet --editable '.[dev]'
	@touch $@

clean:
	chmod -R u+w build $(DEMO) 2>/dev/null || true
	rm -rf build dist $(DEMO)
