# `make demo` and `make test` are all the set-up there is: each makes .venv and installs what it needs first.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
ROUNDS ?= 20
SEEDS ?= 0-5000

export OMP_NUM_THREADS ?= 1

.PHONY: install demo pictures test test-slow test-examples test-gpu dst fuzz lint format bench clean

install: $(INSTALLED)

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[demo,test,lint]'
	@touch $@

# Eight processes learn handwritten digits from their own random weights: plain averaging stalls, correcting the
# variance does not.
demo: $(INSTALLED)
	@for merge in average variance-corrected; do \
	  echo "== 8 nodes on a ring, each from its own random weights, merge rule: $$merge"; \
	  $(BIN)/gossipnet swarm --nodes 8 --topology ring --init own --merge $$merge --rounds $(ROUNDS) \
	    --name demo-$$merge --out runs/demo/$$merge --overwrite || exit $$?; \
	done
	@$(BIN)/gossipnet report runs/demo/average runs/demo/variance-corrected --out runs/demo/report.html

# The pictures of README and docs; needs Chromium or Chrome.
pictures: demo
	$(BIN)/gossipnet bench quick --out runs/bench-quick --overwrite
	$(BIN)/python bench/pictures.py

test: $(INSTALLED)
	$(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 8 --dist worksteal

# The programs of docs/examples; each runs some processes for seconds.
test-examples: $(INSTALLED)
	$(BIN)/python -m pytest -m slow tests/test_examples.py

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow --timeout 900

test-gpu: $(INSTALLED)
	$(BIN)/python -m pytest -m gpu --timeout 900

fuzz: $(INSTALLED)
	$(BIN)/python -m pytest tests/test_wire.py tests/test_node.py tests/test_transfer.py --hypothesis-profile fuzz --timeout 3600

# Random swarms in random trouble; a seed that breaks a rule prints how to see it again.
dst: $(INSTALLED)
	$(BIN)/python tests/support/dst.py --seeds $(SEEDS)

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy -p gossipnet

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
