# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

PYTHON ?= python3
STAGES ?=
SECTIONS ?=
PARTS ?=
SEED ?=
TIME ?= 60
MEMBERS ?= 3
FILES ?=

# Relative, so that the checkout may lie in a folder with blanks in its name.
VENV := .venv
DOCS := .cache/make/docs
BENCH := .cache/make/bench
MUTATION := .cache/make/mutation
TREE := $(CURDIR)/.cache/tree

.DEFAULT_GOAL := help
.PHONY: help prerequisites tree demo test matrix roles chaos mutation bench docs changelog clean

help: ## Show this text
	@echo "Targets of quorum.etcd:"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

prerequisites:
	@bash tests/tools/prerequisites.sh "$(PYTHON)"

demo: prerequisites $(VENV)/.done tree ## Run the example playbook on a throwaway three-node cluster
	@bash examples/demo.sh

test: prerequisites ## Run all tests (some: make test STAGES="units docs")
	@"$(PYTHON)" tests/tools/run_tests.py $(STAGES)

matrix: prerequisites ## Run sanity, units and integration on every supported ansible-core
	@"$(PYTHON)" tests/tools/run_tests.py --matrix $(STAGES)

roles: prerequisites $(VENV)/.done tree ## Run the roles over hosts of our own, from bare hosts to an upgrade (some: make roles PARTS="tls")
	@PYTHONPATH="$(TREE):$(CURDIR)/tests" ANSIBLE_COLLECTIONS_PATH="$(TREE)" \
	"$(VENV)/bin/python" tests/roles/run.py $(PARTS)

chaos: prerequisites $(VENV)/.done tree ## Break clusters under load and check all that clients are told (make chaos SEED=7 TIME=300 MEMBERS=5)
	@PYTHONPATH="$(TREE):$(CURDIR)/tests" QUORUM_ETCD_SERVERS="$(CURDIR)/.cache/servers" \
	"$(VENV)/bin/python" -m chaos.run --seconds $(TIME) --members $(MEMBERS) $(if $(SEED),--seed $(SEED)) $(if $(filter yes,$(CLOCK)),--clock)

mutation: prerequisites $(MUTATION)/.done ## Change the deciding code detail by detail, and see which changes no unit test notices (make mutation FILES="_retry _batch")
	@"$(MUTATION)/bin/python" tests/tools/mutate.py $(FILES)

bench: prerequisites $(BENCH)/.done ## Measure the client and the module against others
	@"$(BENCH)/bin/python" tests/bench/run.py $(SECTIONS)

# In a tree of its own: where the checkout has the name that Ansible wants, TREE has it twice in its path,
# and ansible-doc finds no roles.
docs: prerequisites $(DOCS)/.done ## Build the documentation as HTML
	@rm -rf .cache/docs && mkdir -p -m 0755 .cache/docs
	@tree=$$(mktemp -d) && trap 'rm -rf "$$tree"' EXIT && \
	mkdir -p "$$tree/ansible_collections/quorum" && ln -s "$(CURDIR)" "$$tree/ansible_collections/quorum/etcd" && \
	export PATH="$(CURDIR)/$(DOCS)/bin:$$PATH" ANSIBLE_COLLECTIONS_PATH="$$tree" && \
	antsibull-docs sphinx-init --use-current --lenient --dest-dir .cache/docs --index-rst-source docs/index.rst \
		--project quorum.etcd --title quorum.etcd --copyright "the quorum.etcd contributors" quorum.etcd && \
	bash .cache/docs/build.sh
	@echo "The documentation is in .cache/docs/build/html/index.html"

changelog: prerequisites $(DOCS)/.done tree ## Turn changelogs/fragments into the changelog of the version in galaxy.yml
	@cd "$(TREE)/ansible_collections/quorum/etcd" && \
	PATH="$(CURDIR)/$(DOCS)/bin:$$PATH" ANSIBLE_COLLECTIONS_PATH="$(TREE)" \
	antsibull-changelog release --reload-plugins --update-existing

clean: ## Remove everything that the other targets made
	rm -rf .cache .venv tests/output

# The name that Ansible looks for, for a checkout that may have any name.
tree:
	@mkdir -p "$(TREE)/ansible_collections/quorum"
	@ln -sfn "$(CURDIR)" "$(TREE)/ansible_collections/quorum/etcd"

# One rule for each virtual environment; `.done` is newer than its requirements when it is complete.
define VENV_RULE
$(1)/.done: $(2)
	@echo "==> Installing $$$$(sed -n 's/==/ /p' $(2) | paste -sd, | sed 's/,/, /g')"
	@"$$(PYTHON)" -m venv --clear "$(1)"
	@"$(1)/bin/python" -m pip install -qq --disable-pip-version-check -r $(2) || \
		{ echo "pip could not install $(2); its own words are above" >&2; exit 1; }
	@touch $$@
endef
$(eval $(call VENV_RULE,$(VENV),requirements-dev.txt))
$(eval $(call VENV_RULE,$(DOCS),tests/tools/requirements-html.txt))
$(eval $(call VENV_RULE,$(BENCH),tests/bench/requirements.txt))
$(eval $(call VENV_RULE,$(MUTATION),tests/tools/requirements-mutation.txt))
