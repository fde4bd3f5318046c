# One command per job. HOST, PORT and DATA_DIR reach the server from the environment or as make
# variables: make run PORT=8080 DATA_DIR=/srv/gatehouse

# The interpreter of the virtual environment. Empty: the first one that is new enough.
PYTHON ?=
# What pytest gets: make test ARGS="tests/accounts -k roles"
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help run test mutants attacks bench soak docs messages lint setup setup-ldap

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## /  make \1 | /p' Makefile | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):.*## /  make \1: /p' Makefile

run: ## From a bare machine to a running server; prints the owner's set-up link.
	@sh scripts/environment.sh base
	@exec $(BIN)/python manage.py serve

setup: ## The virtual environment with everything a developer needs.
	@sh scripts/environment.sh base dev

setup-ldap: ## python-ldap too; needs the LDAP headers (Debian: libldap-dev libsasl2-dev).
	@sh scripts/environment.sh base ldap

lint: setup ## ruff and mypy.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: ## Lint and the whole suite, from a bare Debian or Ubuntu; ARGS=tests/accounts: those tests alone.
	@sh scripts/test.sh $(ARGS)

mutants: ## Change the code in random places and print what no test notices: ARGS="--count 50 --seed 7 magiclinks".
	@sh scripts/environment.sh base dev ldap?
	@$(BIN)/python -m devtools.mutants $(ARGS)

attacks: ## The whole list of attacks through each proxy on each database.
	@sh scripts/test-packages.sh
	@sh scripts/node-modules.sh
	@sh scripts/environment.sh base dev ldap?
	ATTACKS=all $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder tests/attacks $(ARGS)

bench: ## The benchmarks, one table.
	@sh scripts/environment.sh base
	@$(BIN)/python -m benchmarks $(ARGS)

soak: ## Clients and attackers while everything is killed and restarted: ARGS="--minutes 3 --seed 7".
	@sh scripts/test-packages.sh
	@sh scripts/environment.sh base dev ldap?
	@$(BIN)/python -m tests.soak $(ARGS)

docs: ## Regenerate the reference pages that are made from code.
	@sh scripts/environment.sh base
	$(BIN)/python -m config.environment --write
	$(BIN)/python -m scripts.reference
	$(BIN)/python -m scripts.openapi

messages: ## Collect and compile the German texts; needs gettext. Translate what is empty in between.
	@sh scripts/environment.sh base
	$(BIN)/python manage.py makemessages -l de --no-location --no-obsolete -e html,txt,py \
		-i .venv -i node_modules -i tests
	$(BIN)/python manage.py compilemessages -l de -i .venv
