# `make` alone explains the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

GO ?= go
PREFIX ?= /usr/local
DESTDIR ?=
# Which file of examples/ `make run` runs, without .toml.
EXAMPLE ?= builds
# How long `make fuzz` spends on each target, and which (a pattern).
FUZZTIME ?= 60s
FUZZ ?= .
# How many histories `make simulate` lives, and the first seed; without one it is made of the date.
N ?= 10000
SEED ?=
# How long `make chaos` (10m) and `make soak` (1h) take.
T ?=
# Where they write what they found.
REPORT ?= $(CURDIR)/bin/$@.md
# What `make mutate` changes, one package after the other.
MUTATE ?= supervisor/machine
# Which benchmarks `make bench` runs.
BENCH ?= .
# Additional flags for `make test`, `make unit`, `make e2e` and `make cover`, for example
# TESTFLAGS='-run TestMainJob -v'.
TESTFLAGS ?=
# The least coverage, in per cent, that `make cover` accepts of a package below supervisor, and of supervisor itself.
COVER ?= 85
COVER_SUPERVISOR ?= 80
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOLANGCI_LINT ?= github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK ?= golang.org/x/vuln/cmd/govulncheck@v1.9.0
NFPM ?= github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
GORELEASER ?= github.com/goreleaser/goreleaser/v2@v2.15.2
CYCLONEDX ?= github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
# The machines that `make deb` and `make rpm` make packages for.
ARCHS ?= amd64 arm64

binary := bin/medctrl-supervisor
# Manual pages and the shells' completions, as they lie in PREFIX/share.
share := bin/share
version = $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# The race detector needs cgo, and so a C compiler: used if there is one.
race = $(if $(filter 1,$(shell $(GO) env CGO_ENABLED)),-race)

.PHONY: help
help:
	@echo 'make run      builds the supervisor and runs it on examples/builds.toml; installs what that needs, saying so first;'
	@echo '              EXAMPLE=worker for examples/worker.toml, with processes and schedules beside gunicorn'
	@echo 'make build    the static binary, $(binary), its manual pages and completions, $(share)'
	@echo 'make unit     the tests of each package: under a minute, needs only Go, no root'
	@echo 'make e2e      the tests with the real pip, Django, gunicorn and Nginx: minutes; installs what they need'
	@echo 'make recipes  the servers of docs/servers.md under load: minutes; installs them'
	@echo 'make compare  the same faults and deploys on this program and on others (systemd, Supervisor, runit, s6, pm2, ...), into docs/comparison.md: root only, 20 minutes;'
	@echo '              ONLY=us,runit SCENARIOS=kill,deploy ROUNDS=1 CHILDREN=1,100 for a part, which is printed'
	@echo 'make test-systemd  the tests of the service in a container with a booted systemd: root only; the first time minutes'
	@echo 'make test-vm  the tests of limits in a virtual machine with cgroup v2 and systemd; made once, as root: minutes'
	@echo 'make test-power  a virtual machine whose plug is pulled at random moments of builds, N=50 times, SEED=N for the same moments; root only'
	@echo 'make chaos    three builds behind Nginx and the front, and at random all that may happen to them, for T=10m, from SEED on; a report in bin/chaos.md'
	@echo 'make soak     a deploy every ten seconds for T=1h: what must not grow is measured; a report in bin/soak.md'
	@echo 'make mutate   changes the code of MUTATE=$(MUTATE) in small ways and names those that no test of the package notices: many minutes'
	@echo 'make test-packages  the .deb installed, upgraded under load, removed and purged in a booted Debian; SYSTEMD_SUITE=trixie for another one: root only'
	@echo 'make test-kubernetes  what `export kubernetes` writes, under load on a cluster of one node; Kubernetes is compiled once, which takes half an hour: root only'
	@echo 'make test-dashboard  the dashboard in a Chromium with 1, 10 and 50 builds: axe-core, first paint, log lines; make pictures: docs/dashboard.png'
	@echo 'make attack   attempts to break in, by users, builds, clients and sources that are hostile: root only'
	@echo 'make test     make unit, with the race detector, 2,000 histories, make e2e, make test-systemd where its container was made'
	@echo 'make cover    how much of each package the unit tests reach; fails if that is under COVER=$(COVER) %'
	@echo 'make lint     gofmt, go vet, staticcheck, gosec (the first time it is compiled, for minutes), govulncheck, that two builds are equal byte for byte, and the scripts'
	@echo 'make fuzz     each fuzz target for FUZZTIME=$(FUZZTIME); FUZZ=PATTERN for some of them'
	@echo 'make simulate N=N hours of a supervisor on a made-up machine, from SEED on; one that fails is told; N=$(N), TELL=1 tells all'
	@echo 'make bench    the benchmarks; BENCH=PATTERN for some of them'
	@echo 'make deb      a .deb for each of ARCHS="$(ARCHS)" in bin/packages; make rpm: the same as .rpm'
	@echo 'make install  the binary to DESTDIR/PREFIX/bin, the rest to DESTDIR/PREFIX/share; PREFIX=$(PREFIX)'
	@echo 'make uninstall  removes what make install has put there'
	@echo 'make clean    removes bin/, dist/, run/ and run-worker/ (what `make run` built, with its data)'

# A separate program writes the pages; it is built for this machine, whatever machine the binary is
# for. They are dated by the commit: the same source makes the same pages.
flags = -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(version)'
.PHONY: build
build: build-binary pages

.PHONY: pages
pages: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null)
pages: needs-go
	rm -rf $(share)
	CGO_ENABLED=0 env -u GOOS -u GOARCH $(GO) run $(flags) ./cmd/medctrl-pages $(share) .

# The same source makes the same binary, byte for byte, in whatever folder.
.PHONY: build-binary
build-binary: needs-go
	CGO_ENABLED=0 $(GO) build $(flags) -o $(binary) ./cmd/medctrl-supervisor

# An older Go fails at go.mod, with an error of its syntax or of a toolchain that it may not fetch.
wanted_go = $(shell sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' go.mod)
.PHONY: needs-go
needs-go:
	@found=$$($(GO) version 2>&1) || found="$${found:-nothing}"; \
	have=$$(echo "$$found" | sed -n 's/^go version go\([0-9]*\.[0-9]*\).*/\1/p'); \
	if [ -z "$$have" ] || [ "$$(printf '%s\n' "$$have" $(wanted_go) | sort -V | head -n 1)" != $(wanted_go) ]; then \
		echo "this needs Go $(wanted_go) or newer, and \`$(GO) version\` says: $$found" >&2; \
		echo 'It comes from https://go.dev/dl/, or from the backports of Debian and Ubuntu where they have it (apt-cache policy golang-$(wanted_go)-go; then' >&2; \
		echo 'make GO=/usr/lib/go-$(wanted_go)/bin/go); a Go from 1.21 on fetches it by itself with GOTOOLCHAIN=auto. Only building needs Go, running does not.' >&2; \
		exit 1; fi

.PHONY: run
run: needs-run build
	@echo
	@echo 'examples/$(EXAMPLE).toml is run now; the first time takes up to a minute. Then:'
	@echo
	@echo '  look    http://127.0.0.1:8080/api/$(if $(filter builds,$(EXAMPLE)), and http://127.0.0.1:8080/testapi/) (also medicines/ and admin/ below)'
	@echo '  edit    examples/medctrl/API/api_settings/settings/deploy_development.py: change BANNER, save, look again'
	@echo '  break   the same file, with a syntax error: the old release keeps serving, and status says why'
ifeq ($(EXAMPLE),worker)
	@echo '  queue   $(binary) -c examples/worker.toml run development manage.py queue_report: a worker does that job, see'
	@echo '          $(binary) -c examples/worker.toml logs -f development'
endif
	@echo '  status  $(binary) -c examples/$(EXAMPLE).toml status $(if $(filter worker,$(EXAMPLE)),development,--watch)'
	@echo '  stop    Ctrl-C'
	@echo
	@MEDCTRL_TRUSTED_USERS=$${MEDCTRL_TRUSTED_USERS:-$$(stat -c %u .)} exec $(binary) -c examples/$(EXAMPLE).toml

# A program with the race detector sleeps for a second at its end unless it is told not to.
# -short leaves the real pip and Django to run_e2e.
run_unit = GORACE=atexit_sleep_ms=0 $(GO) test -short -timeout 20m $(TESTFLAGS)
packages = $(GO) list ./... | grep -v /e2e$$
# Those with more than one goroutine, of their own or in their tests: in the others nothing can race.
concurrent = grep -rlE '^\s*go |\.Go\(|"sync|AfterFunc' --include='*.go' build cmd config supervisor | xargs dirname | sort -u | \
	sed 's|^|./|' | xargs $(GO) list | grep -v /e2e$$
run_real = $(GO) test -timeout 20m -run '^TestReal' $(TESTFLAGS) ./build ./build/inputs
# Without the race detector: the tested binary has none, and generating the load costs a third.
run_e2e = $(GO) test -timeout 20m $(TESTFLAGS) ./supervisor/e2e

# Twice as many packages as processors are tested at once: some of them mostly wait. Without cgo, as
# the program is built: forty test binaries are linked in half the time. Vet is left to `make lint`.
.PHONY: unit
unit: needs-go
	@CGO_ENABLED=0 $(run_unit) -vet=off -p $$((2 * $$(nproc))) $$($(packages))

.PHONY: e2e
e2e: needs-test
	@failed=0; $(run_real) || failed=1; $(run_e2e) || failed=1; exit $$failed

# Each server loads the processors alone with another one: what is measured are lost requests, not times.
.PHONY: recipes
recipes: needs-recipes
	MEDCTRL_TEST_RECIPES=1 $(GO) test -count=1 -timeout 45m -parallel 2 -run '^TestServerByARecipe' -v $(TESTFLAGS) ./supervisor/e2e

# One after the other, as times are measured: best on a machine with nothing else to do.
.PHONY: compare
compare: needs-compare
	@peers=$$(GO=$(GO) .ci/peers); eval "$$peers"; \
	MEDCTRL_TEST_COMPARE=1 $(GO) test -count=1 -timeout 60m -run '^TestCompare$$' -v $(TESTFLAGS) ./supervisor/e2e

# Skipped, saying why, where no container can be booted. The first time makes the container, which
# takes minutes; `make test` boots it if it is there.
.PHONY: test-systemd
test-systemd: needs-go
	@$(call run_booted,)
run_booted = root=$$(.ci/systemd-root $(1)); case "$$root" in \
	skip:*) echo "the tests of the booted service: $$root" ;; \
	*) MEDCTRL_TEST_SYSTEMD="$$root" $(GO) test -timeout 20m -run '^TestBooted' $(TESTFLAGS) ./supervisor/e2e ;; esac

# Skipped, saying why, where there is no qemu, or nobody who may make the machine.
.PHONY: test-vm
test-vm: needs-go
	@vm=$$(.ci/vm-image); case "$$vm" in \
	skip:*) echo "the tests in a virtual machine: $$vm" ;; \
	*) GO=$(GO) .ci/test-vm "$$vm" ;; esac

# The same machine. No part of `make test-vm`: each of N lives boots it anew.
.PHONY: test-power
test-power: needs-go
	@vm=$$(.ci/vm-image); case "$$vm" in \
	skip:*) echo "the tests whose plug is pulled: $$vm" ;; \
	*) GO=$(GO) N=$(if $(filter command line environment,$(origin N)),$(N),50) SEED='$(SEED)' .ci/test-power "$$vm" ;; esac

# A short run of it, from a seed of its own, is one of the tests of `make e2e`. Full and read-only disks are for root alone.
.PHONY: chaos
chaos: needs-test
	@mkdir -p $(dir $(REPORT))
	MEDCTRL_CHAOS_TIME=$(or $(T),10m) MEDCTRL_CHAOS_REPORT=$(REPORT) SEED='$(SEED)' $(GO) test -count=1 -timeout 0 -run '^TestChaos$$' -v $(TESTFLAGS) ./supervisor/e2e

.PHONY: soak
soak: needs-test
	@mkdir -p $(dir $(REPORT))
	MEDCTRL_SOAK_TIME=$(or $(T),1h) MEDCTRL_SOAK_REPORT=$(REPORT) $(GO) test -count=1 -timeout 0 -run '^TestSoak$$' -v $(TESTFLAGS) ./supervisor/e2e

.PHONY: mutate
mutate: needs-go
	@GO=$(GO) .ci/mutate $(MUTATE)

# Skipped, saying why, where no container can be booted.
.PHONY: test-packages
test-packages: needs-go
	@root=$$(.ci/systemd-root); case "$$root" in skip:*) echo "the tests of the packages: $$root"; exit 0 ;; esac; \
	GO=$(GO) NFPM=$(NFPM) .ci/test-packages "$$root" $(TESTFLAGS)

# Skipped, saying why, where no cluster can be run. Its namespaces end with it.
.PHONY: test-kubernetes
test-kubernetes: needs-go
	@programs=$$(GO=$(GO) .ci/kubernetes-binaries); case "$$programs" in \
	skip:*) echo "the tests on Kubernetes: $$programs" ;; \
	*) GO=$(GO) .ci/test-kubernetes "$$programs" $(TESTFLAGS) ;; esac

# Skipped, saying why, where there is no Chromium, node or npm.
.PHONY: test-dashboard pictures
test-dashboard: needs-go
	@GO=$(GO) .ci/test-dashboard test

# A quarter of an hour, so that the charts have something to show.
pictures: needs-go
	@GO=$(GO) .ci/test-dashboard pictures

# As root: the attackers are users of a mount namespace of its own. No part of `make test`: it uses the
# processors for a minute or more, and of what is run there only the booted service mostly waits, for 20 s.
.PHONY: attack
attack: needs-test
	@$(run_attack)
run_attack = .ci/throwaway-users $(GO) test -count=1 -timeout 20m -run '^TestAttacks' $(TESTFLAGS) ./supervisor/e2e

.PHONY: test
# The end-to-end tests come last: their loads need the processors for themselves. The others wait for
# each other's children often enough to be run side by side. What vet finds is left to `make lint`.
test: needs-test
	@failed=0; \
		( others=0; $(run_real) || others=1; \
			$(run_unit) -vet=off $$($(packages) | grep -vxF "$$($(concurrent))") || others=1; \
			N=2000 SEED='$(SEED)' $(GO) test -count=1 -timeout 60m -run '$(bites)' ./supervisor/simulate || others=1; exit $$others ) & \
		$(run_unit) -vet=off $(race) $$($(concurrent)) || failed=1; \
		wait $$! || failed=1; \
		$(run_e2e) || failed=1; \
		{ $(call run_booted,made); } || failed=1; exit $$failed

.PHONY: cover
cover: needs-go
	@GO=$(GO) .ci/cover '$(COVER)' '$(COVER_SUPERVISOR)' $(TESTFLAGS)

scripts = $$(find .ci -maxdepth 1 -type f)
.PHONY: lint
lint: needs-go
	@unformatted=$$(find . \( -path ./run -o -path ./run-worker \) -prune -o -name '*.go' -print0 | xargs -0 gofmt -l); \
		[ -z "$$unformatted" ] || { echo "gofmt -w would change:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags killpoints ./supervisor/killpoint
	$(GO) run $(STATICCHECK) ./...
	$(GO) run $(GOLANGCI_LINT) run --timeout 20m --allow-parallel-runners ./...
	GO=$(GO) .ci/vulnerabilities $(GOVULNCHECK)
	$(GO) test -run '^TestBuildsAreEqualByteForByte$$' ./cmd/medctrl-supervisor
	@for script in $(scripts); do bash -n "$$script"; done
	$(GO) vet ./.ci/mutator
	@for script in examples/packaging/deb/p* examples/packaging/rpm/*; do sh -n "$$script"; done
	@if command -v shellcheck >/dev/null; then shellcheck $(scripts) examples/packaging/deb/p* examples/packaging/rpm/*; fi
	@! command -v python3 >/dev/null || find examples supervisor -name '*.py' -print0 | xargs -0 python3 -c 'import sys; [compile(open(name).read(), name, "exec") for name in sys.argv[1:]]'

# Without the race detector, which takes ten times as long and is used for some histories by `make test`.
run_simulate = SEED='$(SEED)' $(GO) test -count=1 -timeout 60m -run '^TestHistories$$' -v ./supervisor/simulate

# The same, that planted faults are found, and that a seed is a history: the race detector has other stories.
bites = ^Test(Histories|PlantedFaultsAreFound|SameSeedSameStory)$$

.PHONY: simulate
simulate: needs-go
	@N='$(N)' TELL='$(TELL)' $(run_simulate)

.PHONY: fuzz
fuzz: needs-go
	@GO=$(GO) .ci/fuzz '$(FUZZTIME)' '$(FUZZ)'

# Without -race and one package after the other, so that the figures mean something; without cgo, as the
# program is built, which gives back what it does not need of its own file.
.PHONY: bench
bench: needs-test
	CGO_ENABLED=0 $(GO) test -run '^$$' -bench '$(BENCH)' -p 1 -timeout 60m ./...

# Not rebuilt if it exists: with `make build && sudo make install`, root needs no Go.
.PHONY: install
install:
	@[ -x $(binary) ] && [ -d $(share) ] || $(MAKE) build
	install -D -m 0755 $(binary) '$(DESTDIR)$(PREFIX)/bin/medctrl-supervisor'
	find $(share) -type f -printf '%P\n' | while read -r page; do \
		install -D -m 0644 "$(share)/$$page" "$(DESTDIR)$(PREFIX)/share/$$page"; done

# A service made of the binary is to be stopped first: it would run on.
.PHONY: uninstall
uninstall:
	rm -f '$(DESTDIR)$(PREFIX)/bin/medctrl-supervisor' '$(DESTDIR)$(PREFIX)'/share/man/man1/medctrl-supervisor*.1 '$(DESTDIR)$(PREFIX)/share/man/man5/builds.toml.5' \
		'$(DESTDIR)$(PREFIX)/share/bash-completion/completions/medctrl-supervisor' '$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_medctrl-supervisor' \
		'$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/medctrl-supervisor.fish'

.PHONY: deb rpm
deb rpm: needs-go
	@GO=$(GO) NFPM=$(NFPM) ARCHS='$(ARCHS)' VERSION=$(version) .ci/package $@

# What the workflow does at a tag; RELEASEFLAGS='--snapshot --skip=docker' to try it: in dist/, and nothing is published.
RELEASEFLAGS ?=
.PHONY: release
release: needs-go
	NFPM=$(NFPM) CYCLONEDX=$(CYCLONEDX) $(GO) run $(GORELEASER) release --clean $(RELEASEFLAGS)

.PHONY: clean
clean:
	@for root in run run-worker; do if [ -e $$root/.supervisor/lock ] && ! flock -n $$root/.supervisor/lock true; then \
		echo "$$root/ is in use: end \`make run\` first" >&2; exit 1; fi; done
	rm -rf bin dist run run-worker

.PHONY: needs-run needs-test needs-recipes needs-compare
needs-run needs-test needs-recipes needs-compare: needs-%: needs-go
	@.ci/install $*
