# `make help` lists the targets. All set-up is in `make demo` and `make test`.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# What calls Cargo, in a build folder that outlives the checkout.
BUILD := e2e/build.sh
# All that runs tests builds the whole workspace, so that it is built once: by the features that all of it wants together.
RUN_TESTS = $$($(TOOLS) --path cargo-nextest) nextest run --workspace --locked
NEXTEST = $(BUILD) $(RUN_TESTS)
INSTANCES ?= 10
EXAMPLES ?= 200
MINUTES ?= 30
# Programs that the targets need are built once into a cache outside the checkout.
TOOLS := e2e/tools.sh
SERVICES_PART = $(if $(SERVICE)$(FILTER),--test services -E '$(if $(FILTER),$(FILTER),test(/(^|::)$(SERVICE)::/))')
STAGE := e2e/stage.sh
FUZZING = EASYCODE_FUZZ_EXAMPLES=$(EXAMPLES) $(if $(SEED),EASYCODE_FUZZ_SEED=$(SEED))

.PHONY: help demo test build test-unit test-services test-control-plane test-cluster e2e-cloudnative-pg fuzz fuzz-console browser soak bench bench-shared bench-services bench-dedicated lint deny cluster images deploy down crds snapshots
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):[^#]*## (.*)/  \1\t\2/' | expand -t 22

demo: ## A cluster, images, the chart and the examples; tenants Ready; what to try next
	e2e/demo.sh

test: test-unit test-services test-control-plane test-cluster ## All tests, cheapest first

build: ## The workspace with its tests and programs, for all that follows
	$(STAGE) "build of the workspace" $(BUILD) cargo build --workspace --tests --bins --locked

test-unit: build ## Tests that need nothing
	$(STAGE) "programs for unit tests" $(TOOLS) nextest helm
	HELM=$$($(TOOLS) --path helm) $(STAGE) "unit tests" $(NEXTEST)
	$(STAGE) "examples in documentation" $(BUILD) cargo test --doc --workspace --locked --quiet

# A part of them needs no build of the whole workspace.
test-services: $(if $(SERVICE)$(FILTER),,build) ## Tests of the services on a Postgres of each test's own; SERVICE=crm or FILTER=… (a nextest filter) runs a part
	$(STAGE) "programs for the services' tests" $(TOOLS) nextest postgres $(if $(SERVICE)$(FILTER),,fuzz)
	$(STAGE) "services layer" $(NEXTEST) --profile services $(SERVICES_PART)

test-control-plane: build ## Tests of the operator on a control plane without nodes
	$(STAGE) "programs for the control plane" $(TOOLS) nextest postgres control-plane
	$(STAGE) "control-plane layer" $(BUILD) e2e/control-plane/run.sh $(RUN_TESTS) --profile control-plane

test-cluster: deploy ## Tests on the real cluster; SHARD=1/3 runs a third of those that take long
	$(STAGE) "programs for the cluster's tests" $(TOOLS) nextest browser fuzz
	$(STAGE) "examples Ready" e2e/example.sh
	$(STAGE) "cluster layer: wiring" $(NEXTEST) --profile cluster -E 'binary(shared)'
	$(STAGE) "cluster layer: the rest$(if $(SHARD),; shard $(SHARD))" $(NEXTEST) --profile cluster -E 'not binary(shared)' $(if $(SHARD),--partition slice:$(SHARD))

e2e-cloudnative-pg: deploy ## An instance on CloudNativePG, which is built and installed for it; only on the local cluster
	$(TOOLS) nextest
	e2e/example.sh
	$(NEXTEST) --profile e2e-cloudnative-pg

fuzz: build ## The services fuzzed by their documents, EXAMPLES=200 an operation, by SEED=…; writes target/fuzz
	$(TOOLS) nextest postgres fuzz
	$(FUZZING) $(NEXTEST) --profile fuzz -E 'package(easycode-testing)'

fuzz-console: deploy ## The console fuzzed on the cluster in the same way
	$(TOOLS) nextest fuzz
	$(FUZZING) $(NEXTEST) --profile fuzz -E 'package(easycode-e2e)'

# The cluster first, then the services and the console at length, all by one seed; a new one unless it is given.
soak: SEED := $(or $(SEED),$(shell echo $$RANDOM))
soak: deploy ## MINUTES=30 of random faults under load by SEED=…, then everything is checked and fuzzed; writes target/soak
	e2e/example.sh
	target/$$(rustc -vV | sed -n 's/^host: //p')/debug/soak --minutes $(MINUTES) --seed $(SEED)
	$(MAKE) fuzz fuzz-console SEED=$(SEED) EXAMPLES=$(EXAMPLES)

browser: deploy ## The pages in a real browser, with axe; writes pictures to target/browser
	$(TOOLS) nextest browser
	e2e/example.sh
	$(NEXTEST) --profile cluster -E 'binary(browser)'

# What is measured is built as it is shipped.
bench-shared bench-services bench-dedicated: export EASYCODE_PROFILE := release

bench: bench-shared bench-services bench-dedicated ## All benchmarks

bench-shared: TENANTS ?= 500
bench-shared: deploy ## Benchmark of TENANTS=500 shared tenants; writes target/bench/shared.json
	e2e/example.sh
	$(BUILD) cargo run --locked --release --package easycode-e2e --bin bench-shared -- --tenants $(TENANTS)

bench-services: TENANTS ?= 200
bench-services: deploy ## Benchmark of each service with TENANTS=200 tenants in turn; writes target/bench/services.json
	e2e/example.sh
	$(BUILD) cargo run --locked --release --package easycode-e2e --bin bench-services -- --tenants $(TENANTS)

bench-dedicated: deploy ## Benchmark of INSTANCES=10 dedicated instances and of a move; writes target/bench/dedicated.json
	e2e/example.sh
	$(BUILD) cargo run --locked --release --package easycode-e2e --bin bench-dedicated -- --instances $(INSTANCES)

lint: deny ## Format, clippy, docs and dependencies, without warnings
	cargo fmt --all --check
	$(STAGE) "clippy" $(BUILD) cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(STAGE) "documentation" $(BUILD) cargo doc --workspace --no-deps --locked

deny: ## Licenses, sources and bans of dependencies
	$(STAGE) "cargo-deny" $(TOOLS) deny
	$$($(TOOLS) --path cargo-deny) --locked check bans licenses sources

cluster: ## kind where a Docker engine answers, else a local cluster; by EASYCODE_CLUSTER=existing that of KUBECONFIG
	$(STAGE) "cluster, its programs included" e2e/cluster/up.sh

images: ## One image a program, and the command line
	$(STAGE) "images" e2e/images/build.sh

deploy: build cluster images ## The operator by its chart, with the images of this checkout
	$(STAGE) "chart" e2e/deploy.sh

down: ## End the cluster and leave nothing behind
	e2e/cluster/down.sh

crds: build ## Write the CRDs' YAML from the types
	target/$$(rustc --print host-tuple)/debug/crdgen crds/yaml

snapshots: ## Accept changed snapshots of plans and chart, to be read in the diff
	$(TOOLS) nextest helm
	HELM=$$($(TOOLS) --path helm) INSTA_UPDATE=always $(NEXTEST) -E 'package(easycode-operator)'
