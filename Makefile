# Outpost's tasks. `make` alone lists them.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  = -s -w -X main.version=$(VERSION)

.PHONY: help build demo test peers vet cross lint fuzz torture corpus bench bench-quick bench-peers bench-line bench-go clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

build: ## the static binary ./outpost
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o outpost ./cmd/outpost

demo: ## a day of a field office, without hardware
	$(GO) run ./cmd/outpost demo

peers: ## install what the tests talk to (Debian, as root; elsewhere it says what is missing)
	scripts/peers.sh

vet: ## gofmt and go vet
	@test -z "$$(gofmt -l .)" || { echo "gofmt wants:"; gofmt -l .; exit 1; }
	$(GO) vet ./...

test: peers vet ## all tests, with the race detector and in shuffled order
	$(GO) test -race -shuffle=on -parallel 8 ./...

cross: ## build for every system there is a release for
	GO="$(GO)" scripts/cross.sh

lint: ## the linters of .golangci.yml
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.5.0 run

fuzz: ## every fuzz test for FUZZTIME (30s) each
	GO="$(GO)" scripts/fuzz.sh $(or $(FUZZTIME),30s)

torture: ## cut the carrier at every octet of a session, and kill the daemon at every step; minutes
	OUTPOST_TORTURE=full $(GO) test -count=1 -timeout 80m -parallel 64 -v -run 'Torture|Kill' ./cmd/outpost ./queue

CORPUS = $(or $(OUTPOST_CORPUS),$(CURDIR)/bench/corpus)

corpus: ## six thousand real messages through an office, both ways, octet for octet; fetches 23 MB once
	OUTPOST_CORPUS='$(CORPUS)' scripts/corpus.sh
	OUTPOST_CORPUS='$(CORPUS)' $(GO) test -count=1 -v -run 'TestCorpus$$' ./cmd/outpost

bench: bench-peers ## Outpost beside fetchmail, Postfix, mpop, msmtp (root; a quarter of an hour); BENCH=gsm/tiny/tls for less
	bench/bin/sidebyside run --select '$(BENCH)' --results bench/results.jsonl

bench-quick: ## the shortest cases of it; a minute
	$(MAKE) bench BENCH='landline33/(tiny|empty)'

bench-peers:
	scripts/peers.sh pop3-login:dovecot-pop3d postconf:postfix dnsmasq:dnsmasq-base ip:iproute2 fetchmail:fetchmail mpop:mpop msmtp:msmtp
	GO="$(GO)" bench/build.sh

bench-line: ## what a paid line loses: coming up, overhead, hang-up; some six minutes in real time
	$(GO) test -count=1 -v -run 'TestRoundTrips$$' ./internal/ppp | sed -n 's/^.*early_test.go:[0-9]*: /  /p'
	$(GO) test -count=1 -run '^$$' -bench 'Hangup$$|Line$$' -benchtime 1x -timeout 30m ./internal/link

bench-go: ## the benchmarks of the packages
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 60m ./...

clean: ## remove what was built
	rm -rf outpost dist bench/bin bench/certs
