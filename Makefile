PYTHON ?= python3
BIN := .venv/bin
# Processes that share the tests, each with servers of its own. A group that has no test fails, and the longest start first.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.PHONY: demo check fast test reliability fuzz test-deployments test-exchange test-browser lint bench bench-cord bench-ingest bench-labels bench-page bench-peer bench-sharded experiments frontier deploy-local bench-orchestration bugbench

demo: .venv/installed
	$(BIN)/andon demo

# Before a commit: lint, types and the fast tests beside one another, in about three minutes on two cores.
check: .venv/installed
	$(MAKE) --no-print-directory -j2 lint fast

fast: .venv/installed
	$(PYTEST) -m "not slow and not flow and not mutation and not browser and not reliability and not deployments and not exchange"

# All groups of tests but the deployments, in one run that shares what it makes, 27 minutes on two cores (docs/performance.md).
test: .venv/installed .venv-exchange/installed
	deploy/chromium.sh
	deploy/proxies.sh
	$(PYTEST) -m "not deployments" --groups unmarked,slow,flow,mutation,reliability,exchange,browser

# What docs/reliability.md promises, in full: about half an hour on two cores.
reliability: .venv/installed
	$(BIN)/python -m tests.reliability.crash_matrix
	$(BIN)/python -m tests.reliability.disk_faults
	$(BIN)/python -m tests.reliability.sigkill folder 25 4
	$(BIN)/python -m tests.reliability.sigkill s3 6 4
	$(BIN)/python -m tests.reliability.network_faults 100
	$(BIN)/python -m pytest -m reliability

# Random requests to the page, and random faults in a store that every command reads: half an hour.
fuzz: .venv/installed
	$(BIN)/python -m tests.reliability.fuzz_page 900 1
	$(BIN)/python -m tests.reliability.fuzz_store 900 1

# Teams' machines, killed and cancelled: a real Prefect server, workers, PostgreSQL. Eight minutes on two cores.
test-deployments: .venv/installed
	$(BIN)/python -m pytest tests/flows/test_deployments.py tests/flows/test_anybodys_folder.py

# The SDKs of Label Studio and Argilla hold our exports against their own rules; they have an environment of their own,
# for they need another numpy than we do: 0.7 GB, a minute to install, and another to run.
test-exchange: .venv/installed .venv-exchange/installed
	$(PYTEST) -m exchange

.venv-exchange/installed: constraints-exchange.txt
	$(PYTHON) -m venv .venv-exchange
	PIP_CONSTRAINT=constraints-exchange.txt .venv-exchange/bin/python -m pip install --quiet --disable-pip-version-check label-studio-sdk argilla
	@touch $@

test-browser: .venv/installed
	deploy/chromium.sh
	deploy/proxies.sh
	$(PYTEST) -m browser

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed
	$(BIN)/python -m bench.speed.learner

# Trainings with known bugs, and who pulls the cord: hours on two cores; what is done is kept in the folder.
bugbench: .venv/installed
	$(BIN)/python -m bench.checks.bugbench andon-bugbench

# Labels in one batch or in several, and how many: days on two cores; what is done is kept in the folder.
experiments: .venv/installed
	$(BIN)/python -m bench.learning.experiments andon-experiments
	$(BIN)/python -m bench.learning.warm_start andon-experiments
	$(BIN)/python -m bench.learning.experiments andon-experiments docs/experiments.svg

# The price of divergence: eighteen trainings, two hours on two cores.
frontier: .venv/installed
	$(BIN)/python -m bench.learning.frontier andon-frontier
	$(BIN)/python -m bench.learning.frontier andon-frontier docs/frontier.svg

bench-labels: .venv/installed
	$(BIN)/python -m bench.labels.quality
	$(BIN)/python -m bench.labels.training

# A million label rows in, a million questions out: a quarter of an hour.
bench-ingest: .venv/installed
	$(BIN)/python -m bench.speed.ingest_scale 10000 100000 1000000
	$(BIN)/python -m bench.speed.export_scale 10000 100000 1000000

bench-cord: .venv/installed
	$(BIN)/python -m bench.speed.cord_latency

bench-sharded: .venv/installed
	$(BIN)/python -m bench.speed.sharded

bench-page: .venv/installed
	$(BIN)/python -m bench.speed.page

.venv/installed: pyproject.toml constraints.txt
	@echo "Creating .venv from constraints.txt; the first time this takes some minutes."
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

# Beside what users have today: TRL in an environment of its own, and beside it the last TRL that has a PPOTrainer.
bench-peer: .venv/installed .venv-peer/installed
	$(BIN)/python -m bench.speed.compare
	$(BIN)/python -m bench.speed.scaling docs/performance-scaling.svg
	$(BIN)/python -m bench.speed.large reward
	$(BIN)/python -m bench.speed.large ppo

.venv-peer/installed: constraints.txt
	$(PYTHON) -m venv .venv-peer
	PIP_CONSTRAINT=constraints.txt .venv-peer/bin/python -m pip install --quiet --disable-pip-version-check torch trl==1.16.0
	.venv-peer/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --target .venv-peer/trl-1.12 trl==1.12.0
	@touch $@

# Server, work pools, workers and deployments on this machine, and a round through them; Ctrl-C takes all down.
deploy-local: .venv/installed
	$(BIN)/python -m flows.local_server

bench-orchestration: .venv/installed
	$(BIN)/python -m bench.speed.orchestration
