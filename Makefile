# The commands of the repository; CI and people call exactly these.
#   make demo    install, ask Nano about a receipt, draw the box of its total
#   make test    install with test tools, run all tests
#   make check   lint, format, types        make fmt   fix what can be fixed
# PYTHON=python3.12 picks an interpreter, TORCH=torch==2.12.0 another torch.
PYTHON ?= python3
TORCH ?= torch==2.13.0
BIN := .venv/bin
CPU_INDEX := https://download.pytorch.org/whl/cpu

.PHONY: demo test check fmt

demo: .venv/installed
	@echo "vl2: asking Nano about examples/receipt.png ..."
	$(BIN)/vl2 ask examples/receipt.png "What is the total?"
	$(BIN)/vl2 ground examples/receipt.png "the total" --out out/demo.png

# Tests use a core each; more than four at a time would need much memory.
test: .venv/dev
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

fmt: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# On Linux the default torch brings CUDA libraries; without an NVIDIA driver the much smaller CPU build does.
# Where pip is set up to look in certain places for packages, it is left to look there.
.venv/torch:
	@$(PYTHON) -c 'import sys; sys.exit("vl2 needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0] + "; try: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo "vl2: creating .venv (step 1 of 3)"
	$(PYTHON) -m venv .venv
	@echo "vl2: installing $(TORCH), the largest download (step 2 of 3)"
	@if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null \
	    && ! $(BIN)/pip config list | grep -qE 'index-url|find-links'; then \
	    $(BIN)/pip install --retries 1 --timeout 30 --index-url $(CPU_INDEX) '$(TORCH)' || $(BIN)/pip install '$(TORCH)'; \
	else \
	    $(BIN)/pip install '$(TORCH)'; \
	fi
	@touch $@

.venv/installed: .venv/torch pyproject.toml
	@echo "vl2: installing vl2 and its other dependencies (step 3 of 3)"
	$(BIN)/pip install --quiet --editable .
	@touch $@

.venv/dev: .venv/installed
	@echo "vl2: installing test tools"
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@
