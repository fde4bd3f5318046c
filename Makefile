# One command per job. HOST, PORT and DATA_DIR reach the server from the environment or as make
# variables: make run PORT=8080 DATA_DIR=/srv/gatehouse

# The interpreter of the virtual environment. Empty: the first one that is new enough.
PYTHON ?=
# Arguments for the program of a target: make test ARGS="tests/accounts -k roles"
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help run demo setup test lint reference sbom docs pictures messages setup-ldap setup-otel attacks \
	mutants soak bench

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## /  make \1 | /p' Makefile | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):.*## /  make \1: /p' Makefile

# Every day

run: ## Install what the server needs, start it, and print the set-up link of the owner.
	@sh scripts/environment.sh base
	@exec $(BIN)/python manage.py serve

demo: ## Fill an empty DATA_DIR with made-up people: make demo DATA_DIR=./demo ARGS="--people 100".
	@sh scripts/environment.sh base
	@exec $(BIN)/python manage.py demo $(ARGS)

setup: ## Install what a developer needs into .venv.
	@sh scripts/environment.sh base dev

test: ## Install what the tests need, lint, and run all tests; ARGS=tests/accounts: those only.
	@sh scripts/test.sh $(ARGS)

lint: setup ## Check style and types with ruff and mypy.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# After changes

reference: ## Generate the reference pages of settings, commands and the API.
	@sh scripts/environment.sh base
	$(BIN)/python -m config.environment --write
	$(BIN)/python -m scripts.reference
	$(BIN)/python -m scripts.openapi

sbom: ## Write a bill of materials of the Python packages, sbom.cdx.json; ARGS="base ldap": those.
	@sh scripts/environment.sh base
	@$(BIN)/python -m scripts.sbom $(ARGS) > sbom.cdx.json

docs: ## Make a site of docs/ in site/; ARGS=serve: show it while you write.
	@sh scripts/environment.sh base docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs $(or $(ARGS),build) --strict

pictures: ## Make the pictures of README and docs/ from made-up people; ARGS="users denial": those.
	@sh scripts/environment.sh base dev
	@$(BIN)/python -m devtools.pictures $(ARGS)

messages: ## Collect and compile the German texts; needs gettext. Translate empty ones in between.
	@sh scripts/environment.sh base
	$(BIN)/python manage.py makemessages -l de --no-location --no-obsolete -e html,txt,py \
		-i .venv -i node_modules -i tests
	$(BIN)/python manage.py compilemessages -l de -i .venv

# Now and then

setup-ldap: ## Install python-ldap, too; needs the LDAP headers (Debian: libldap-dev libsasl2-dev).
	@sh scripts/environment.sh base ldap

setup-otel: ## Install what traces by OpenTelemetry need, too.
	@sh scripts/environment.sh base otel

attacks: ## Run every attack through each proxy with each database.
	@sh scripts/test-packages.sh
	@sh scripts/node-modules.sh
	@sh scripts/environment.sh base dev ldap?
	ATTACKS=all $(PYTEST) tests/attacks $(ARGS)

mutants: ## Change code at random, print what no test notices: ARGS="--count 50 --seed 7 magiclinks".
	@sh scripts/environment.sh base dev ldap?
	@$(BIN)/python -m devtools.mutants $(ARGS)

soak: ## Run clients and attackers while servers fail: ARGS="--minutes 3 --seed 7".
	@sh scripts/test-packages.sh
	@sh scripts/environment.sh base dev ldap?
	@$(BIN)/python -m tests.soak $(ARGS)

bench: ## Measure the speed as ratios to a bare server: ARGS="forward --seconds 20".
	@sh scripts/environment.sh base
	@$(BIN)/python -m benchmarks $(ARGS)
