# Every common task, one word each. `make` alone lists them.
.DEFAULT_GOAL := help
.SHELLFLAGS := -eu -c

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BACKEND := .venv-backend/bin/python
BLENDER := .venv-blender-4.5/bin/python
SETUP := $(PYTHON) tools/setup_venvs.py
ONLY ?=
BLENDER_TESTS = $(wildcard tests/blender_addon tests/end_to_end)

.PHONY: help setup demo examples scene-examples check lint types test test-backend test-blender test-all test-gui test-gpu bench extension \
	prior prior-data prior-eval soak fuzz clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup:  ## Create both environments (backend, Blender 4.5); seconds when they are up to date
	@$(SETUP) backend blender-4.5

demo: setup  ## Refine six coarse pieces in a small room, from set-up to pictures in out/demo
	@$(BACKEND) tools/demo.py

check: lint types  ## Lint and type-check everything, with set-up if needed

lint:
	@$(SETUP) backend
	$(BACKEND) -m ruff check .

types:
	@$(SETUP) backend
	$(BACKEND) -m pyright

test: check test-backend test-blender  ## All that a change must pass: check, backend tests, add-on and end to end in Blender 4.5

# two processes of one thread each: most tests are too small for two threads to help
test-backend: setup
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BACKEND) -m pytest -n 2 --dist loadfile -m "not blender and not gpu and not slow" --ignore=tests/blender_addon --ignore=tests/end_to_end

# the allocator that stops at once where Blender uses Python's memory beside a running thread (docs/decisions/0012)
test-blender: setup
	PYTHONMALLOC=debug $(BLENDER) -m pytest -m "not gpu and not slow" $(BLENDER_TESTS)

test-all: test  ## The slow tests too, and the add-on in Blender 4.2 LTS and 5.0
	@$(SETUP) blender-4.2 blender-5.0
	$(BACKEND) -m pytest -m "slow and not blender and not gpu" --ignore=tests/blender_addon --ignore=tests/end_to_end \
		|| test $$? -eq 5  # 5: no slow test exists
	PYTHONMALLOC=debug $(BLENDER) -m pytest -m "slow and not gpu" $(BLENDER_TESTS) || test $$? -eq 5
	PYTHONMALLOC=debug .venv-blender-4.2/bin/python -m pytest -m "not gpu" $(BLENDER_TESTS)
	PYTHONMALLOC=debug .venv-blender-5.0/bin/python -m pytest -m "not gpu" $(BLENDER_TESTS)

test-gui:  ## The add-on in a real window (needs Linux, root, and 2 GB for the window's system)
	@test -e tools/test_gui.py || { echo "There is no windowed test yet: the panel is drawn and inspected headless by 'make test'."; exit 1; }
	@$(SETUP) backend
	$(BACKEND) tools/test_gui.py

test-gpu:  ## Tests that need CUDA; says so and stops where there is none
	@$(SETUP) backend
	@$(BACKEND) -c "import sys, torch; sys.exit(0 if torch.cuda.is_available() else 'No CUDA device here (torch ' + torch.__version__ + '): nothing was tested.')"
	$(BACKEND) -m pytest -m gpu --ignore=tests/blender_addon --ignore=tests/end_to_end || test $$? -eq 5

bench: setup  ## Measure the budgets; ONLY=raster runs one part; writes out/bench.json
	@$(BACKEND) -m benchmarks --only "$(ONLY)"

examples: setup  ## Refine five coarse pieces with the controls of the shape: pictures and figures in docs/examples; ONLY=chair for one
	@$(BLENDER) tools/shape_examples.py $(if $(ONLY),--only $(ONLY))

scene-examples: setup  ## Paint a room of six plain pieces in one job: pictures in two lights in docs/examples/scene.jpg
	@$(BLENDER) tools/scene_examples.py

extension:  ## Build dist/maquette-*.zip with Blender's own builder
	@$(SETUP) blender-4.5
	$(BLENDER) tools/build_extension.py

prior: prior-data  ## Train the starter prior (hours on two cores, resumable)
	$(BACKEND) -m maquette_backend.priors.starter.training.train

prior-data:  ## Fetch the CC0 and CC-BY models and render the training pictures
	@$(SETUP) backend
	$(BACKEND) -m maquette_backend.priors.starter.training.data

prior-eval:  ## Measure the starter prior's gate on held-out models: a table and sheets in out/prior; QUICK=1 for a look
	@$(SETUP) backend
	$(BACKEND) tools/prior_eval.py $(if $(QUICK),--effort quick)

soak: setup  ## The end-to-end test again and again for TIMES=20 rounds
	@for round in $$(seq $(or $(TIMES),20)); do echo "round $$round"; $(BLENDER) -m pytest -q tests/end_to_end; done

fuzz:  ## The protocol's property tests for ROUNDS=100 rounds, each with a new seed
	@$(SETUP) backend
	@first=$$(date +%s); for round in $$(seq $(or $(ROUNDS),100)); do echo "seed $$((first + round))"; \
		$(BACKEND) -m pytest -q -m hypothesis --hypothesis-seed=$$((first + round)) tests/protocol; done

clean:  ## Remove what was built; the environments stay (delete .venv-* by hand)
	rm -rf out dist build .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
