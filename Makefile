# make help lists the targets. Only Go (and git, for the version) is needed.

GOLANGCI_LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS := $(if $(VERSION),-X main.version=$(VERSION))

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

.PHONY: build
build: ## write bin/novatui
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/novatui ./cmd/novatui

.PHONY: drill
drill: build ## the wizard on a lab with one broken member
	bin/novatui drill

# Without atexit_sleep_ms every process under the detector ends a second late.
.PHONY: test
test: ## vet, and every test with the race detector (about 18 minutes: real etcd, real SSH)
	go vet ./...
	GORACE="atexit_sleep_ms=0 $$GORACE" go test -race -timeout 60m -parallel 3 ./...

.PHONY: test-full
test-full: ## the kill -9 tests at every boundary and in the middle of every step on every node (an hour)
	NOVATUI_TEST_FULL=1 go test -count=1 -v -timeout 150m -run 'TestKilledAtEveryBoundary|TestKilledInTheMiddle' ./e2e/suite

.PHONY: e2e
e2e: ## repair etcd on machines with systemd and OpenSSH, etcd 3.4 to 3.7 (Linux, Debian, root; about 11 minutes)
	@[ "$$(uname)" = Linux ] || { echo 'make e2e: the end-to-end tests need Linux (Debian) and root' >&2; exit 1; }
	go test -tags e2e -count=1 -timeout 25m ./e2e

.PHONY: e2e-full
e2e-full: ## the same with every fault in every version, and a reboot of every node at every stage (an hour)
	@[ "$$(uname)" = Linux ] || { echo 'make e2e-full: the end-to-end tests need Linux (Debian) and root' >&2; exit 1; }
	NOVATUI_E2E_FULL=1 go test -tags e2e -count=1 -v -timeout 180m ./e2e

.PHONY: samples
samples: ## break etcd 3.4 to 3.7 in every way and keep what it says for the diagnosis (as make e2e; ONLY=TestMakeSamples/wal-crc for a part)
	@[ "$$(uname)" = Linux ] || { echo 'make samples: it needs Linux (Debian) and root' >&2; exit 1; }
	NOVATUI_MAKE_SAMPLES=$(CURDIR)/etcdops/diagnosis/testdata/samples go test -tags e2e -count=1 -v -timeout 90m -run '$(or $(ONLY),TestMakeSamples)' ./e2e/samples

.PHONY: chaos
chaos: ## random faults at random moments of random procedures in the lab, 300 seeds (NOVATUI_CHAOS_RUNS, _FROM, _LABS at once; an hour or two)
	mkdir -p bin && rm -f bin/chaos-lab.jsonl
	NOVATUI_CHAOS_RUNS=$${NOVATUI_CHAOS_RUNS:-300} NOVATUI_CHAOS_RESULTS=$(CURDIR)/bin/chaos-lab.jsonl go test -count=1 -v -timeout 6h -run TestChaos ./e2e/chaos
	go run ./docs/faulttable -chaos $$(ls bin/chaos-*.jsonl)

.PHONY: chaos-e2e
chaos-e2e: ## the same on real machines, 40 seeds (as make e2e; half an hour)
	@[ "$$(uname)" = Linux ] || { echo 'make chaos-e2e: the end-to-end tests need Linux (Debian) and root' >&2; exit 1; }
	mkdir -p bin && rm -f bin/chaos-hosts.jsonl
	NOVATUI_CHAOS_RUNS=$${NOVATUI_CHAOS_RUNS:-40} NOVATUI_CHAOS_RESULTS=$(CURDIR)/bin/chaos-hosts.jsonl go test -tags e2e -count=1 -v -timeout 4h -run TestHosts ./e2e/chaos
	go run ./docs/faulttable -chaos $$(ls bin/chaos-*.jsonl)

.PHONY: faults
faults: ## fill the tables of docs/faults.md: the faults in the lab, then make e2e-full, recorded
	mkdir -p bin && rm -f bin/results.jsonl
	NOVATUI_RESULTS=$(CURDIR)/bin/results.jsonl go test -count=1 -timeout 30m -run TestFaults ./e2e/suite
	NOVATUI_RESULTS=$(CURDIR)/bin/results.jsonl NOVATUI_E2E_FULL=1 go test -tags e2e -count=1 -timeout 180m ./e2e
	go run ./docs/faulttable bin/results.jsonl

.PHONY: lint
lint: ## golangci-lint, as .golangci.yml says (the first time builds it: about 2 minutes)
	go run $(GOLANGCI_LINT) run ./...

.PHONY: fmt
fmt: ## format the Go code
	gofmt -w $$(git ls-files '*.go')

.PHONY: golden
golden: ## write the golden files again; look at the diff before committing it
	go test ./ui -golden-update

.PHONY: bench
bench: build ## the figures of docs/benchmarks.md
	go test -run '^$$' -bench . -benchtime 3x ./...

.PHONY: bench-e2e
bench-e2e: ## a restore of 1 GiB beside Ansible's and beside the floor, and diagnose (as make e2e, and ansible-core; 3 rounds, 8 minutes)
	@[ "$$(uname)" = Linux ] || { echo 'make bench-e2e: the end-to-end benchmarks need Linux (Debian) and root' >&2; exit 1; }
	go test -tags e2e -run '^$$' -bench . -benchtime 3x -timeout 60m ./e2e

.PHONY: pictures
pictures: build ## make the pictures of the docs: plays the drill in tmux (needs tmux)
	go run ./docs/pictures

.PHONY: clean
clean: ## remove what build wrote
	rm -rf bin
