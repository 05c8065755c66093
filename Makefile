# make demo   sets up .venv and runs the main job on embedded data
# make serve-demo   a service with the demo's model and a simulated camera
# make test   sets up .venv and runs format, lint, types, import contracts and tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo serve-demo test test-opencv4 check docs fuzz kills strip-weights lock licences audit clean

setup: $(READY)

# What is installed here is locked, with hashes. PIP_CONSTRAINT names the lock so that a constraint in somebody's pip.conf
# can't pull against it; not for sever itself, which has no hash.
$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sever needs Python 3.11 or newer; say which with: make PYTHON=python3.12"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing (a few minutes and about 6 GB the first time; torch is the largest) ..."
	@PIP_CONSTRAINT=requirements.lock $(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: setup
	$(BIN)/sever demo -o demo

# A service with the demo's model, and a simulated camera that plays synthetic coils; Ctrl-C ends it.
demo/model.sever:
	@test -d demo/saved/demo-blend || $(MAKE) demo
	$(BIN)/sever export demo/saved/demo-blend -o demo/model.sever --backend onnx

serve-demo: setup demo/model.sever
	$(BIN)/sever serve demo demo/model.sever --store serve-demo

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/pytest -n 2 --dist loadfile --max-worker-restart 0 --ignore tests/serve
	$(BIN)/pytest -n 2 --dist loadfile --max-worker-restart 0 tests/serve

# OpenCV 4 and 5 are both in use, and libraries beside ours ask for 4: the rooms that call it are tested with the other one, too.
OPENCV4 := $(VENV)/opencv4
$(OPENCV4)/.ready: $(READY)
	@rm -rf $(OPENCV4)
	@$(BIN)/python -m pip install --quiet --no-deps --target $(OPENCV4) 'opencv-python-headless>=4.9,<5'
	@touch $@

test-opencv4: setup $(OPENCV4)/.ready
	PYTHONPATH=$(OPENCV4) $(BIN)/python -c 'import cv2; assert cv2.__version__.startswith("4."), cv2.__version__'
	PYTHONPATH=$(OPENCV4) $(BIN)/pytest -n 2 --dist loadfile tests/data tests/decide tests/deliver

# Versions that are locked stay; `make lock UPGRADE=--upgrade` takes the newest ones.
lock: setup
	$(BIN)/uv pip compile pyproject.toml --extra train --extra offline --extra kaggle --extra serve --extra postgresql --extra plant --extra stores --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-annotate --custom-compile-command 'make lock' $(UPGRADE) --quiet --output-file requirements.lock

licences: setup
	$(BIN)/pip-licenses --order license --fail-on 'Affero;AGPL' --partial-match

# Asks the registry for known vulnerabilities of what is locked.
audit: setup
	$(BIN)/uv tool run pip-audit --require-hashes --requirement requirements.lock

# A million damaged files of every kind that is read; after a stop it resumes where it was (fuzz.json).
fuzz: setup
	cd tests && OMP_NUM_THREADS=1 ../$(BIN)/python -m fuzz --cases 1000000 --counts ../fuzz.json

# SIGKILL at every single write of every command; hours.
kills: setup
	cd tests && OMP_NUM_THREADS=1 PYTHONPATH=guard ../$(BIN)/python -m kills.sweep

docs: setup
	$(BIN)/sever config reference > docs/reference.md.tmp && mv docs/reference.md.tmp docs/reference.md
	$(BIN)/python -m sever.api.page > docs/api.md.tmp && mv docs/api.md.tmp docs/api.md

# The weights of model.weights: strip, made again: strip, a training, half precision. The same numbers only on the same machine.
strip-weights: setup
	$(BIN)/sever synth -o data/strip-weights --train 9000 --test 10 --height 128 --width 800 --frequencies balanced --seed 7
	$(BIN)/sever train -c experiments/strip-weights.yml
	$(BIN)/python -m sever.models.strip_weights "$$(ls -d saved/strip-weights/*/checkpoints/epoch-0012 | tail -1)/model.safetensors"

clean:
	rm -rf $(VENV) demo .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
