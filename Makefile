# `make demo` and `make test` need nothing but Python >= 3.11 and make; they set up .venv on the first call.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH := 2.13.0
PACKAGES := codec data pipelines preprocess segnet tools
MODULES := __main__ cluster compiled console errors files options packages processes

.PHONY: demo test lint types format clean

demo: $(VENV)/.installed
	$(BIN)/python -m gopseg demo -o demo -y

# Two processes of one thread each: two threads each are several times slower on two cores.
test: lint types
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -p no:cacheprovider -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

# mypy wants the package under its own name, wherever the checkout lies.
types: $(VENV)/.installed-test
	mkdir -p build/types && ln -sfn ../.. build/types/gopseg
	MYPYPATH=build/types $(BIN)/mypy --config-file setup.cfg $(PACKAGES:%=-p gopseg.%) $(MODULES:%=-m gopseg.%)

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "gopseg needs Python 3.11 or newer; call make PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "python3 -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 2; }

# On Linux without an NVIDIA GPU the CPU build: from the indexes that pip knows, else from PyTorch's own.
$(VENV)/.torch: $(VENV)/bin/pip
	@if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null 2>&1; then \
		$(BIN)/pip install -q -c constraints.txt "torch==$(TORCH)+cpu" 2>/dev/null || \
		$(BIN)/pip install -q -c constraints.txt "torch==$(TORCH)+cpu" \
			--extra-index-url https://download.pytorch.org/whl/cpu; \
	else \
		$(BIN)/pip install -q -c constraints.txt "torch==$(TORCH)"; \
	fi
	@touch $@

$(VENV)/.installed: $(VENV)/.torch setup.cfg constraints.txt
	$(BIN)/pip install -q -c constraints.txt -e '.[openvino,fast]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.torch setup.cfg constraints.txt
	$(BIN)/pip install -q -c constraints.txt -e '.[test]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist demo *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
