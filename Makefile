# Three commands for people: make demo, make test, make check. Everything happens in .venv of this folder.
# As a service of this machine: make install, make uninstall (PREFIX=/opt/hinomi unless set).
PREFIX ?= /opt/hinomi
ETC ?= /etc
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check format install uninstall clean

demo: $(VENV)/demo.stamp
	@$(BIN)/hinomi demo --directory .cache/demo

test: $(VENV)/test.stamp
	@sh tests/servers.sh
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(PYTEST_OPTIONS)

check: $(VENV)/check.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

format: $(VENV)/check.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install uninstall:
	@PREFIX='$(PREFIX)' ETC='$(ETC)' sh deploy/install.sh $@

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

# The private environment: one step for each need, repeated only when pyproject.toml changed.
$(VENV)/bin/python:
	@sh deploy/environment.sh $(VENV)

$(VENV)/demo.stamp: pyproject.toml | $(VENV)/bin/python
	@echo "Installing Hinomi into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/test.stamp: pyproject.toml | $(VENV)/bin/python
	@echo "Installing Hinomi and what its tests need into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/demo.stamp

$(VENV)/check.stamp: pyproject.toml | $(VENV)/bin/python
	@echo "Installing Hinomi and what its checks need into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,develop]'
	@touch $@ $(VENV)/test.stamp $(VENV)/demo.stamp
