# Phalanx: make run, make test. Everything else is a part of these two.

GO          ?= go
PREFIX      ?= /usr/local
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 30s
QUICK        = ./cmd/... ./internal/...

.PHONY: build run check test lint fuzz bench install clean

build:
	@mkdir -p bin
	$(GO) build -o bin/ ./cmd/master ./cmd/worker

run: build
	@echo "Open http://localhost:8080/ in a browser; Ctrl-C ends the server when every download has finished."
	@exec bin/master --base site --port 8080 --verbose

# The quick part: needs nothing but Go.
check: build lint
	$(GO) test -shuffle=on $(QUICK)

lint:
	@unformatted="$$(gofmt -l cmd internal e2e)"; test -z "$$unformatted" || \
		{ echo "run gofmt -w on: $$unformatted"; exit 1; }
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

# Everything, with the real binaries, a browser and siege.
test:
	@sh scripts/test-tools.sh
	@$(MAKE) --no-print-directory build lint
	$(GO) test -race -shuffle=on $(QUICK)
	$(GO) test -shuffle=on ./...

fuzz:
	@sh scripts/fuzz.sh $(FUZZTIME)

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./internal/...

# The command is a link: master finds its worker beside its own executable.
install: build
	install -d "$(DESTDIR)$(PREFIX)/lib/phalanx" "$(DESTDIR)$(PREFIX)/bin"
	install -m 755 bin/master bin/worker "$(DESTDIR)$(PREFIX)/lib/phalanx"
	ln -sf ../lib/phalanx/master "$(DESTDIR)$(PREFIX)/bin/phalanx"

clean:
	rm -rf bin
