# Every target does its own set-up; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python

.PHONY: demo
demo: ## A real Linux disk becomes a replicated image version, on a real cluster on this machine
	@hack/demo/run

.PHONY: demo-down
demo-down: ## Take the demo's cluster down; nothing stays behind but the cache
	@hack/cluster down

.PHONY: test
test: ## All tests: lint, unit, integration, end-to-end (PARTS="lint unit integration e2e" to choose)
	@hack/test $(PARTS)

.PHONY: test-boot
test-boot: ## Disks that the checks accept boot under QEMU to a login prompt, UEFI and BIOS (DISKS="debian-12-btrfs" to choose)
	@hack/boot/run $(DISKS)

.PHONY: bench-check
bench-check: ## Time and memory of all checks on an installed Debian, beside guestfish where it is installed
	@hack/setup python
	@$(PYTHON) hack/bench/check.py

.PHONY: bench-upload
bench-upload: ## Time, CPU and memory of an upload, beside azcopy, into a local page-blob sink (ARGS="--size 2 --disk dense")
	@hack/setup python
	@$(PYTHON) hack/bench/upload.py $(ARGS)

.PHONY: bench-prepare
bench-prepare: ## From a compressed disk at a URL to a hashed raw disk, beside curl, xz, qemu-img and sha256sum (ARGS="--data 2 --runs 5")
	@hack/setup python
	@$(PYTHON) hack/bench/prepare.py $(ARGS)

.PHONY: bench-waiting
bench-waiting: ## Share of a page blob's 60 MiB/s that an upload reaches, 40 ms a request (ARGS="--size 1")
	@hack/setup python
	@$(PYTHON) hack/bench/waiting.py $(ARGS)

.PHONY: lint
lint: ## Style, types, layers, and that generated files are current
	@hack/test lint

.PHONY: generate
generate: ## Make the CRDs, the chart's README and the list of checks again from their sources
	@hack/setup python
	@hack/generate

.PHONY: lock
lock: ## Lock the dependencies of pyproject.toml with hashes
	@hack/setup python
	@hack/lock

.PHONY: images
images: ## Build the container images
	@hack/setup system
	@hack/images/build

.PHONY: kubeconfig
kubeconfig: ## Print the path of the demo cluster's kubeconfig
	@hack/cluster kubeconfig

.PHONY: clean
clean: ## Remove what was made in the checkout (not the cache)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
