# Phalanx: make run serves the demo site, make test runs all tests, make install
# installs. README.md and CONTRIBUTING.md describe the most important of the others.

GO          ?= go
PREFIX      ?= /usr/local
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 30s
CHAOSTIME   ?= 10m
SECONDS     ?= 60
N           ?= 20
PORT        ?= 8080
BIN         ?= bin
OUT         ?= bin/release
VERSION     ?=
BASE        ?= site
ADMIN        = bin/$(PORT).sock
VEGETA       = github.com/tsenart/vegeta/v12@v12.13.0
CADDY        = github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9
QUICK        = ./cmd/... ./internal/...
E2E          = $(addprefix ./e2e/,rescue pool http chaos browser limits https observe set clients cli proxy deploy http2 manual differential)
ROOT         = $(DESTDIR)$(PREFIX)
BASHCOMP     = share/bash-completion/completions/phalanx
ZSHCOMP      = share/zsh/site-functions/_phalanx
FISHCOMP     = share/fish/vendor_completions.d/phalanx.fish
MANPAGE      = share/man/man1/phalanx.1
UNIT         = lib/systemd/system/phalanx.service
LOGROTATE    = share/doc/phalanx/phalanx.logrotate
SAMPLE       = share/doc/phalanx/phalanx.conf

.PHONY: build run check test tests race-tests plain-tests program-tests soak lint scan attacks systemd fuzz chaos bench results compare faults costs report peers floor pictures site install uninstall packages image release clean

build:
	@mkdir -p "$(BIN)"
	GO="$(GO)" VERSION="$(VERSION)" sh scripts/build.sh "$(BIN)/" ./cmd/master ./cmd/worker

# The demo site, or make run PORT=8000 BASE=~/Downloads
run: build
	@echo "Open http://localhost:$(PORT)/ in a browser; bin/master top --admin $(ADMIN) in another terminal"
	@echo "shows the workers. Ctrl-C stops the server once all downloads have finished."
	@exec bin/master --base "$(BASE)" --port "$(PORT)" --list --admin "$(ADMIN)" --verbose

# The quick checks, which need only Go.
check: build lint
	$(GO) test -shuffle=on $(QUICK)
	$(GO) -C tools test -shuffle=on ./...

# Checks the main module, and those of the tools, which have their own dependencies.
lint:
	@unformatted="$$("$$($(GO) env GOROOT)/bin/gofmt" -l cmd internal e2e dist tools)" || exit 1; test -z "$$unformatted" || \
		{ echo "run gofmt -w on: $$unformatted"; exit 1; }
	for module in . tools tools/pebble tools/image; do (cd $$module && $(GO) mod tidy -diff && $(GO) vet ./... && \
		$(GO) run $(STATICCHECK) ./...) || exit 1; done
	for module in tools/h2spec tools/kubernetes; do $(GO) -C $$module mod tidy -diff || exit 1; done

# All checks and tests, with the real binaries, browsers and siege.
test:
	@sh scripts/test-tools.sh
	@$(MAKE) --no-print-directory build lint tests

# All tests, never from the test cache. Those in e2e mostly wait, so they run in parallel
# with the others; the longest come first.
tests:
	@$(MAKE) --no-print-directory -j 3 -k race-tests plain-tests program-tests

race-tests:
	$(GO) test -race -shuffle=on $(QUICK)
	$(GO) -C tools test -race -shuffle=on ./...

# Tests that count allocations or memory, or build programs without cgo: the race detector
# would get in their way. Then tests of pools against programs built with it.
plain-tests:
	$(GO) test -shuffle=on $$(grep -rlE 'AllocsPerRun|MemStats|CGO_ENABLED' --include='*_test.go' cmd internal | \
		xargs -n 1 dirname | sort -u | sed 's|^|./|')
	$(GO) test -shuffle=on -run '^Test(Reload|Upgrade|Scale|Recycle)' ./e2e/pool -programs.race
	$(GO) test ./e2e/chaos -programs.race -chaos.for=1s

# Tests of the programs as they are installed.
program-tests:
	$(GO) test -shuffle=on -p 2 $(E2E) ./dist

# Finds flaky tests: runs the tests until N runs of this commit are green, beside busy
# loops, under nohup, on one core and so on. bin/soak has the table of runs and the output
# of red ones. The same command resumes an interrupted soak.
soak:
	@sh scripts/test-tools.sh
	@MAKE="$(MAKE)" sh scripts/soak.sh $(N)

# Long runs of the tests that kill workers at every point and of the chaos test; a failure
# prints the seed that reproduces it. Also a signal at every millisecond of an upgrade, a
# hundred certificate renewals, and a minute of deployments by symlink.
chaos: build
	@sh scripts/test-tools.sh
	$(GO) test -count=1 -v -timeout 2h -run '^TestKilled' ./e2e/rescue -kill.for=$(CHAOSTIME)
	$(GO) test -count=1 -v -timeout 2h -run '^TestSignalsAtUpgrade$$' ./e2e/pool -signal.step=1ms
	$(GO) test -count=1 -v -timeout 2h -run '^TestRenewed$$' ./e2e/https -swaps=100
	$(GO) test -count=1 -v -timeout 2h -run '^TestDeployByLink$$' ./e2e/http -deploys.for=1m
	$(GO) test -count=1 -v -timeout 2h -run '^TestChaos$$' ./e2e/chaos -chaos.for=$(CHAOSTIME)

# Tests the package in containers with a real systemd, of the oldest supported version and
# of a recent one. Needs root; the first run takes minutes to build the containers.
systemd:
	@sh scripts/test-tools.sh
	$(GO) test -count=1 -v -timeout 1h ./e2e/systemd

# All checks of testssl.sh; make test runs the quick ones.
scan: build
	@sh scripts/test-tools.sh
	$(GO) test -count=1 -v -run '^TestTestssl$$' ./e2e/https -scan.all

# Attacks as large as one machine allows, beside a well-behaved client; writes
# results/attacks.md. make test runs small ones.
attacks: build
	@sh scripts/test-tools.sh
	$(GO) test -count=1 -v -run '^TestAttacks$$' ./e2e/limits -attacks.table "$(CURDIR)/results/attacks.md"

fuzz:
	@sh scripts/fuzz.sh $(FUZZTIME)

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./internal/...

# Measures Phalanx and writes results/README.md and results/report.pdf. Up to SECONDS=5 a
# run measures fewer cells; SECONDS=2 takes less than three minutes, as with compare.
# Partial runs go to results/quick. The same command resumes an interrupted run.
results: build bin/vegeta
	@sh scripts/bench-tools.sh results
	@$(GO) -C tools build -o ../bin/ ./bench
	@bin/bench models --seconds $(SECONDS)

compare: build peers
	@sh scripts/bench-tools.sh compare
	@$(MAKE) --no-print-directory floor
	@$(GO) -C tools build -o ../bin/ ./bench
	@bin/bench peers --seconds $(SECONDS)

faults: build peers
	@sh scripts/bench-tools.sh compare
	@$(GO) -C tools build -o ../bin/ ./bench
	@bin/bench faults --seconds $(SECONDS)

costs: build
	@sh scripts/bench-tools.sh results
	@$(GO) -C tools build -o ../bin/ ./bench
	@bin/bench costs --seconds $(SECONDS)

report:
	@$(GO) -C tools build -o ../bin/ ./bench
	@bin/bench report

# Takes the pictures of the README from a real run, which lasts a minute and a half.
pictures: build
	@sh scripts/pictures.sh

# Writes the generated files of the demo site, which are committed.
site:
	$(GO) -C tools run ./sitegen -o ../site

bin/vegeta:
	@mkdir -p bin
	GOBIN="$(CURDIR)/bin" $(GO) install $(VEGETA)

bin/caddy:
	@mkdir -p bin
	GOBIN="$(CURDIR)/bin" $(GO) install $(CADDY)

peers: bin/caddy
	$(GO) -C tools build -o ../bin/ ./peers

# The servers that do the least work for a page: in Go, and in C if there is a compiler.
floor:
	@mkdir -p bin
	$(GO) -C tools build -o ../bin/ ./floor
	@! command -v cc >/dev/null || cc -O2 -Wall -o bin/floor-c tools/floor/c/floor.c

# The command is a symlink: master looks for worker beside its own executable. The man
# page and completions are printed by a master built for this machine under the name
# phalanx, also when installing for another architecture.
install: build
	@mkdir -p "$(BIN)/pages"
	GOOS= GOARCH= GO="$(GO)" VERSION="$(VERSION)" sh scripts/build.sh "$(BIN)/pages/phalanx" ./cmd/master
	for shell in bash zsh fish; do "$(BIN)/pages/phalanx" completion $$shell >"$(BIN)/pages/$$shell" || exit 1; done
	"$(BIN)/pages/phalanx" man >"$(BIN)/pages/phalanx.1"
	env -i "$(BIN)/pages/phalanx" config --sample >"$(BIN)/pages/phalanx.conf"
	sed 's|/usr/bin/|$(PREFIX)/bin/|' dist/phalanx.service >"$(BIN)/pages/phalanx.service"
	install -d "$(ROOT)/lib/phalanx" "$(ROOT)/bin"
	install -m 755 "$(BIN)/master" "$(BIN)/worker" "$(ROOT)/lib/phalanx"
	ln -sf ../lib/phalanx/master "$(ROOT)/bin/phalanx"
	install -D -m 644 "$(BIN)/pages/bash" "$(ROOT)/$(BASHCOMP)"
	install -D -m 644 "$(BIN)/pages/zsh" "$(ROOT)/$(ZSHCOMP)"
	install -D -m 644 "$(BIN)/pages/fish" "$(ROOT)/$(FISHCOMP)"
	install -D -m 644 "$(BIN)/pages/phalanx.1" "$(ROOT)/$(MANPAGE)"
	install -D -m 644 "$(BIN)/pages/phalanx.service" "$(ROOT)/$(UNIT)"
	install -D -m 644 "$(BIN)/pages/phalanx.conf" "$(ROOT)/$(SAMPLE)"
	test ! -f dist/phalanx.logrotate || install -D -m 644 dist/phalanx.logrotate "$(ROOT)/$(LOGROTATE)"

# Removes what install has installed, and its two directories if they are empty.
uninstall:
	rm -f "$(ROOT)/lib/phalanx/master" "$(ROOT)/lib/phalanx/worker" "$(ROOT)/bin/phalanx"
	for file in $(BASHCOMP) $(ZSHCOMP) $(FISHCOMP) $(MANPAGE) $(UNIT) $(LOGROTATE) $(SAMPLE); do rm -f "$(ROOT)/$$file"; done
	for dir in lib/phalanx share/doc/phalanx; do test ! -d "$(ROOT)/$$dir" || rmdir --ignore-fail-on-non-empty "$(ROOT)/$$dir"; done

# Packages for Debian, Fedora and Alpine and tar files, for both architectures. The version
# comes from scripts/version.sh unless VERSION is set.
packages:
	@GO="$(GO)" sh scripts/packages.sh "$(VERSION)" "$(OUT)"

# Container images for both architectures, built without a daemon.
image:
	@GO="$(GO)" sh scripts/image.sh "$(VERSION)" "$(OUT)"

# Builds everything that is published, from a clean tree: make release VERSION=0.2.0. The
# checksums, which packages makes, are also those of the images.
release:
	@case "$(VERSION)" in [0-9]*) ;; *) echo "VERSION is \"$(VERSION)\"; run make release VERSION=0.2.0"; exit 64 ;; esac
	@test -z "$$(git status --porcelain)" || { echo "the tree has uncommitted changes; commit or stash them"; exit 1; }
	@rm -rf "$(OUT)"
	@$(MAKE) --no-print-directory image
	@$(MAKE) --no-print-directory packages

clean:
	rm -rf bin
