# Phalanx: make run serves the demo site, make test runs all tests, make install
# installs. README.md and CONTRIBUTING.md have the others.

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
	@echo "shows the workers. Ctrl-C ends the server when every download has finished."
	@exec bin/master --base "$(BASE)" --port "$(PORT)" --list --admin "$(ADMIN)" --verbose

# The quick part: needs nothing but Go.
check: build lint
	$(GO) test -shuffle=on $(QUICK)
	$(GO) -C tools test -shuffle=on ./...

# The product's module, and those of the tools, whose dependencies are not its.
lint:
	@unformatted="$$(gofmt -l cmd internal e2e dist tools)"; test -z "$$unformatted" || \
		{ echo "run gofmt -w on: $$unformatted"; exit 1; }
	for module in . tools tools/pebble tools/image; do (cd $$module && $(GO) mod tidy -diff && $(GO) vet ./... && \
		$(GO) run $(STATICCHECK) ./...) || exit 1; done
	for module in tools/h2spec tools/kubernetes; do $(GO) -C $$module mod tidy -diff || exit 1; done

# Everything, with the real binaries, a browser and siege.
test:
	@sh scripts/test-tools.sh
	@$(MAKE) --no-print-directory build lint tests

# All tests, run anew. Those in e2e wait more than they compute, so they run beside the
# others; the longest come first.
tests:
	@$(MAKE) --no-print-directory -j 3 -k race-tests plain-tests program-tests

race-tests:
	$(GO) test -race -shuffle=on $(QUICK)
	$(GO) -C tools test -race -shuffle=on ./...

# What counts allocations or memory, or confines itself, as it is installed; then what
# happens to a pool, with programs that have the race detector.
plain-tests:
	$(GO) test -shuffle=on $$(grep -rlE 'AllocsPerRun|MemStats|CGO_ENABLED' --include='*_test.go' cmd internal | \
		xargs -n 1 dirname | sort -u | sed 's|^|./|')
	$(GO) test -shuffle=on -run '^Test(Reload|Upgrade|Scale|Recycle)' ./e2e/pool -programs.race
	$(GO) test ./e2e/chaos -programs.race -chaos.for=1s

# With the programs that are installed.
program-tests:
	$(GO) test -shuffle=on -p 2 $(E2E) ./dist

# The tests until N runs of this commit were green, beside busy loops, under nohup and so
# on: a test that fails now and then teaches people to ignore it. bin/soak has the table
# of runs and what red ones printed; an interrupted soak goes on with the same command.
soak:
	@sh scripts/test-tools.sh
	@MAKE="$(MAKE)" sh scripts/soak.sh $(N)

# The tests that kill workers at every point, and the chaos test, for a long time; a
# failure names the seed that repeats it. A signal at every millisecond of an upgrade, and
# a certificate that is replaced a hundred times, and a link to releases that is swapped for a minute.
chaos: build
	@sh scripts/test-tools.sh
	$(GO) test -count=1 -v -timeout 2h -run '^TestKilled' ./e2e/rescue -kill.for=$(CHAOSTIME)
	$(GO) test -count=1 -v -timeout 2h -run '^TestSignalsAtUpgrade$$' ./e2e/pool -signal.step=1ms
	$(GO) test -count=1 -v -timeout 2h -run '^TestRenewed$$' ./e2e/https -swaps=100
	$(GO) test -count=1 -v -timeout 2h -run '^TestDeployByLink$$' ./e2e/http -deploys.for=1m
	$(GO) test -count=1 -v -timeout 2h -run '^TestChaos$$' ./e2e/chaos -chaos.for=$(CHAOSTIME)

# The package in machines with a real systemd, of the oldest version that is supported and
# of a recent one; needs root and, the first time, some minutes for their roots.
systemd:
	@sh scripts/test-tools.sh
	$(GO) test -count=1 -v -timeout 1h ./e2e/systemd

# All that testssl.sh knows to check; make test has its quick part.
scan: build
	@sh scripts/test-tools.sh
	$(GO) test -count=1 -v -run '^TestTestssl$$' ./e2e/https -scan.all

# Attacks by strangers, as large as one machine allows, beside a well-behaved client:
# results/attacks.md. make test has small ones.
attacks: build
	@sh scripts/test-tools.sh
	$(GO) test -count=1 -v -run '^TestAttacks$$' ./e2e/limits -attacks.table $(CURDIR)/results/attacks.md

fuzz:
	@sh scripts/fuzz.sh $(FUZZTIME)

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./internal/...

# The measurements: results/README.md and report.pdf. SECONDS=2 is a quick look
# of less than three minutes, kept in results/quick, as with compare: up to SECONDS=5
# there are fewer cells.
# An interrupted run goes on with the same command.
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

# The pictures of the README, from a real run of a minute and a half.
pictures: build
	@sh scripts/pictures.sh

# The generated files of the demo site, which are kept with the written ones.
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

# What a page takes at least, in C where there is a compiler, and in Go.
floor:
	@mkdir -p bin
	$(GO) -C tools build -o ../bin/ ./floor
	@! command -v cc >/dev/null || cc -O2 -Wall -o bin/floor-c tools/floor/c/floor.c

# The command is a link: master finds its worker beside its own executable. Its
# man page and completions are what a master of this machine prints under the
# name it is installed as, whichever machine is installed for.
install: build
	@mkdir -p "$(BIN)/pages"
	GOOS= GOARCH= GO="$(GO)" VERSION="$(VERSION)" sh scripts/build.sh $(BIN)/pages/phalanx ./cmd/master
	for shell in bash zsh fish; do $(BIN)/pages/phalanx completion $$shell >$(BIN)/pages/$$shell || exit 1; done
	$(BIN)/pages/phalanx man >$(BIN)/pages/phalanx.1
	env -i $(BIN)/pages/phalanx config --sample >$(BIN)/pages/phalanx.conf
	sed 's|/usr/bin/|$(PREFIX)/bin/|' dist/phalanx.service >$(BIN)/pages/phalanx.service
	install -d "$(ROOT)/lib/phalanx" "$(ROOT)/bin"
	install -m 755 "$(BIN)/master" "$(BIN)/worker" "$(ROOT)/lib/phalanx"
	ln -sf ../lib/phalanx/master "$(ROOT)/bin/phalanx"
	install -D -m 644 $(BIN)/pages/bash "$(ROOT)/$(BASHCOMP)"
	install -D -m 644 $(BIN)/pages/zsh "$(ROOT)/$(ZSHCOMP)"
	install -D -m 644 $(BIN)/pages/fish "$(ROOT)/$(FISHCOMP)"
	install -D -m 644 $(BIN)/pages/phalanx.1 "$(ROOT)/$(MANPAGE)"
	install -D -m 644 $(BIN)/pages/phalanx.service "$(ROOT)/$(UNIT)"
	install -D -m 644 $(BIN)/pages/phalanx.conf "$(ROOT)/$(SAMPLE)"
	test ! -f dist/phalanx.logrotate || install -D -m 644 dist/phalanx.logrotate "$(ROOT)/$(LOGROTATE)"

# What install has put there, and the two directories that are its own.
uninstall:
	rm -f "$(ROOT)/lib/phalanx/master" "$(ROOT)/lib/phalanx/worker" "$(ROOT)/bin/phalanx"
	for file in $(BASHCOMP) $(ZSHCOMP) $(FISHCOMP) $(MANPAGE) $(UNIT) $(LOGROTATE) $(SAMPLE); do rm -f "$(ROOT)/$$file"; done
	for dir in lib/phalanx share/doc/phalanx; do test ! -d "$(ROOT)/$$dir" || rmdir --ignore-fail-on-non-empty "$(ROOT)/$$dir"; done

# Packages for Debian, Fedora, Alpine and anyone, of both architectures; the version is
# the one that git describes unless VERSION= says another.
packages:
	@GO="$(GO)" sh scripts/packages.sh "$(VERSION)" "$(OUT)"

# An image in OCI form, for both architectures, without a daemon: bin/image.tar.
image:
	@GO="$(GO)" sh scripts/image.sh "$(VERSION)" "$(OUT)"

# Everything that is published, from a clean tree: make release VERSION=0.2.0
release:
	@test -n "$(VERSION)" || { echo "say which: make release VERSION=0.2.0"; exit 64; }
	@test -z "$$(git status --porcelain)" || { echo "the tree has changes that are not committed"; exit 1; }
	@rm -rf "$(OUT)"
	@$(MAKE) --no-print-directory image packages

clean:
	rm -rf bin
