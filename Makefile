# oomeventer: `make demo` shows a kill, `make test` passes the tests; each sets up what it needs on a fresh Debian.
# V=1 shows the commands.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OBJECT := src/oomeventer/kernel/oom.bpf.o
STUBS  := src/oomeventer/cri/_cri
CLANG  ?= clang
STRIP  ?= llvm-strip
PLUGIN := build/kubectl-oom
ARCH   := $(shell uname -m)
# The plug-in that protoc calls lies in the virtual environment.
PROTOC  = PATH=$(BIN):$$PATH $(BIN)/python -m grpc_tools.protoc -Isrc/oomeventer/cri \
	--python_betterproto2_opt=client_generation=async

Q := $(if $(V),,@)
.DELETE_ON_ERROR:
.PHONY: help demo test test-cluster kind test-faults test-kernels bench trajectories image chart docs reading schema check workflows format object stubs verify-stubs lock lock-image wheel clean packages bench-plugin plugin krew pictures bench-scale fleet fleet-listing soak growth profile
help: ## show the targets
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 16

# -- use ----------------------------------------------------------------------------------------------------------

demo: $(VENV)/run ## make a real kill and show what it becomes
	$(Q)$(BIN)/python -m oomeventer demo

test: $(VENV)/dev packages-test ## lint, types, contracts and all tests, on this kernel and two emulated ones
	$(Q)$(MAKE) --no-print-directory check
	$(Q)$(BIN)/python -m pytest $(TESTS)
	$(Q)if ./.ci/kind check; then $(MAKE) --no-print-directory kind; fi

# For this target alone: where it is not set the cluster tests are skipped, whatever KUBECONFIG says.
test-cluster: export CLUSTER_IMAGE ?= localhost/oomeventer:$(shell sed -n 's/^ARG VERSION=//p' Dockerfile)
test-cluster: $(VENV)/dev ## the chart in the cluster that KUBECONFIG names (docs/cluster-tests.md); CLUSTER_IMAGE: the agent's
	$(Q)[ -n "$$KUBECONFIG" ] || { echo "name a cluster: make test-cluster KUBECONFIG=..." >&2; exit 1; }
	$(Q)$(BIN)/python -m pytest -s tests/system/cluster

kind: $(VENV)/dev ## the same in a kind cluster that is made for it; KIND_NODE: a version of Kubernetes
	$(Q)./.ci/kind

test-faults: $(VENV)/dev packages-test ## the agent killed at each point, cut off, starved of disk, flooded: each kill is reported once (13 minutes)
	$(Q)FAULTS=all $(BIN)/python -m pytest -s tests/system/test_faults.py tests/system/test_tenants.py

test-kernels: $(VENV)/dev packages-kernels ## every kernel that we know, under emulation (15 minutes); renews the table of docs/compatibility.md
	$(Q)KERNELS=all $(BIN)/python -m pytest tests/system/test_kernels.py
	$(Q)PYTHONPATH=tests/support $(BIN)/python -m kernels.publish
	$(Q)cat .cache/kernels/table.md

bench: $(VENV)/dev packages-test ## what the agent costs, and how soon it reports, in figures that one run compares (90 s, on a busy machine a few minutes; root)
	$(Q)PYTHONPATH=tests/support $(BIN)/python -m bench

profile: $(VENV)/dev packages-test ## where the CPU time of a kill goes, by station, library and function (20 s; root)
	$(Q)PYTHONPATH=tests/support $(BIN)/python -m bench.profile

trajectories: $(VENV)/dev ## how often made-up lives of a cgroup are told as what: leak, spike, ...
	$(Q)PYTHONPATH=tests/support $(BIN)/python -m leaks

bench-scale: $(VENV)/dev packages-test ## what a kill costs against how much there is on the node and in the cluster (root, 6 minutes)
	$(Q)PYTHONPATH=tests/support $(BIN)/python -m curves

fleet: $(VENV)/dev ## 1,000 agents before one API server (20 minutes); SCENES: only these; FLEET_APISERVER, FLEET_ETCD: the real ones
	$(Q)PYTHONPATH=tests/support $(BIN)/python -m fleet $(SCENES)

fleet-listing: $(VENV)/dev ## what a list of Pods (rbac.listPods) costs a real API server (3 minutes)
	$(Q)PYTHONPATH=tests/support $(BIN)/python -m fleet.listing

soak: $(VENV)/dev packages-test ## real kills for SOAK_HOURS (6): memory and the journal stay where they are (root)
	$(Q)PYTHONPATH=tests/support $(BIN)/python -m soak

growth: $(VENV)/dev packages-test ## what the agent has in memory after each 1,000 of KILLS (40,000) in ever new cgroups (root; 7 minutes)
	$(Q)PYTHONPATH=tests/support $(BIN)/python -m soak.growth $(or $(KILLS),40000)

bench-plugin: $(VENV)/dev $(PLUGIN) ## what kubectl oom takes for 5,000 Events, in time and memory (60 s)
	$(Q)PYTHONPATH=tests/support $(BIN)/python -m plugin.bench

check: $(VENV)/dev ## lint, types, import contract, stubs
	$(Q)$(BIN)/ruff check .
	$(Q)$(BIN)/ruff format --check .
	$(Q)$(BIN)/mypy
	$(Q)cd plugin && ../$(BIN)/mypy
	$(Q)$(BIN)/lint-imports
	$(Q)$(MAKE) --no-print-directory verify-stubs

workflows: $(VENV)/dev ## lint of .github: zizmor, and what it leaves out (offline)
	$(Q)$(BIN)/zizmor --quiet --offline --strict-collection --persona=auditor .github
	$(Q)$(BIN)/python .github/lint.py

format: $(VENV)/dev ## put the code into form
	$(Q)$(BIN)/ruff check --fix .
	$(Q)$(BIN)/ruff format .

# -- build --------------------------------------------------------------------------------------------------------

object: $(OBJECT) ## the BPF object
$(OBJECT): bpf/oom.bpf.c bpf/oom.h bpf/kernel.h | packages-build
	@echo "  BPF  $@"
	$(Q)$(CLANG) -g -O2 -Wall -Wextra -Werror -target bpf -ffile-prefix-map=$(CURDIR)=. -I/usr/include/$(ARCH)-linux-gnu -c $< -o $@
	$(Q)$(STRIP) -g $@

image: ## the container image, into build/oomeventer-image.tar (root); ARCH=arm64: for that, into ...-arm64.tar
	$(Q)./.ci/image $(ARCH)

# rich alone, without what it needs for Markdown and source code.
plugin: $(PLUGIN) ## the kubectl plugin, one file, build/kubectl-oom
$(PLUGIN): $(shell find plugin/src -name '*.py' -o -name '*.md') plugin/build.py plugin/requirements.lock LICENSE | $(VENV)/python
	$(Q)mkdir -p build && rm -rf build/plugin
	$(Q)$(BIN)/python -m pip install -q --require-hashes --no-deps --target build/plugin -r plugin/requirements.lock
	$(Q)$(BIN)/python plugin/build.py build/plugin $@

krew: $(PLUGIN) ## what krew installs, build/kubectl-oom.tar.gz, and its manifest, build/oom.yaml; URL: where the first will be
	$(Q)$(PYTHON) plugin/krew/fill.py $(PLUGIN) "$(URL)"

wheel: $(VENV)/dev ## the wheel, with the object in it, into dist/
	$(Q)$(BIN)/python -m hatchling build -t wheel

# -- what is generated, and how it is held to its source ----------------------------------------------------------

stubs: $(VENV)/dev ## the CRI stubs from cri.proto
	$(Q)rm -rf $(STUBS) && mkdir -p $(STUBS)
	$(Q)$(PROTOC) --python_betterproto2_out=$(STUBS) src/oomeventer/cri/cri.proto

verify-stubs: $(VENV)/dev
	$(Q)mkdir -p build && rm -rf build/stubs && mkdir build/stubs
	$(Q)$(PROTOC) --python_betterproto2_out=build/stubs src/oomeventer/cri/cri.proto
	$(Q)diff -r -x __pycache__ build/stubs $(STUBS) || { echo "the CRI stubs are not cri.proto's: make stubs"; exit 1; }

chart: $(VENV)/dev ## the chart's README table and schema from its values.yaml, and daemonset.yaml from the chart
	$(Q)PYTHONPATH=tests/support $(BIN)/python -m chart.publish

docs: $(VENV)/dev ## docs/metrics.md and docs/configuration.md from their tables; the plugin's hints.md from docs/hints.md
	$(Q)PYTHONPATH=tests/support $(BIN)/python -m docs

reading: $(VENV)/dev packages-test ## docs/reading-an-event.md from real kills (root, 2 minutes) and what guests reported last
	$(Q)PYTHONPATH=tests/support $(BIN)/python -m reading_page

pictures: $(VENV)/dev ## docs/pictures: what kubectl oom and trace print of real kills; RECORD=1: of new ones (root, 5 minutes)
	$(Q)PYTHONPATH=tests/support $(BIN)/python -m pictures $(if $(RECORD),--record)

schema: $(VENV)/dev ## src/oomeventer/incident/schema.json from the incident's types
	$(Q)PYTHONPATH=tests/support $(BIN)/python -m schema

# With every file's hash, for all machines and Pythons from 3.11 on. uv reads none of pip's settings.
UV_COMPILE = env -u UV_INDEX -u UV_DEFAULT_INDEX -u UV_FIND_LINKS build/lock/bin/uv pip compile -q --no-config --upgrade \
	--universal --generate-hashes --no-annotate --custom-compile-command 'make lock'
lock: ## pin the versions that are tested together: what runs, what builds it, and all that make check and make test need
	$(Q)mkdir -p build && rm -rf build/lock && $(PYTHON) -m venv build/lock && build/lock/bin/pip install -q uv
	$(Q)$(UV_COMPILE) pyproject.toml --group dev -o requirements-dev.lock
	$(Q)$(UV_COMPILE) pyproject.toml -c requirements-dev.lock -o requirements.lock
	$(Q)$(UV_COMPILE) --group build -c requirements-dev.lock -o requirements-build.lock
	$(Q)$(UV_COMPILE) --no-deps plugin/pyproject.toml -c requirements-dev.lock -o plugin/requirements.lock

lock-image: ## pin the base image and the Debian packages of a release's image (root)
	$(Q)./.ci/lock-image

# -- set-up -------------------------------------------------------------------------------------------------------

# Debian's packages, installed only where something is missing.
OBJECT_PACKAGES := clang llvm libbpf-dev linux-libc-dev
BUILD_PACKAGES := $(OBJECT_PACKAGES) libbpf1 python3-venv
TEST_PACKAGES := bpftool containerd runc docker.io podman crun less busybox-static gcc libc6-dev iproute2 qemu-system-x86 e2fsprogs debian-archive-keyring

# For the arm64 guest, which make test does without.
KERNEL_PACKAGES := qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross

.PHONY: packages-build packages-test packages-kernels
packages-build:
	$(Q)./.ci/packages $(BUILD_PACKAGES)
packages-test: packages-build
	$(Q)./.ci/packages $(TEST_PACKAGES)
	$(Q)./.ci/prometheus
	$(Q)./.ci/kubectl

packages-kernels: packages-test
	$(Q)./.ci/packages $(KERNEL_PACKAGES)

# The project itself has no hash. pip check: its own requirements are those of the lock.
LOCKED = $(BIN)/pip install -q --require-hashes
$(VENV)/python: | packages-build
	$(Q)$(PYTHON) -m venv $(VENV)
	@touch $@
$(VENV)/run: $(VENV)/python pyproject.toml requirements.lock requirements-build.lock $(OBJECT)
	$(Q)$(LOCKED) -r requirements.lock -r requirements-build.lock
	$(Q)$(BIN)/pip install -q --no-deps --no-build-isolation -e . && $(BIN)/pip check -q
	@touch $@
$(VENV)/dev: $(VENV)/run requirements-dev.lock
	$(Q)$(LOCKED) -r requirements-dev.lock && $(BIN)/pip check -q
	@touch $@

clean: ## remove what was made
	$(Q)rm -rf $(VENV) $(OBJECT) build dist
