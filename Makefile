# Two commands matter: `make demo` and `make test`. `make help` lists the others.
CACHE  ?= .cache
PREFIX ?= /usr
CARGO  ?= cargo
PYTHON ?= python3

export NEUROD_CACHE := $(abspath $(CACHE))
export NEUROD_PYTHON ?= $(NEUROD_CACHE)/venv/bin/python

.PHONY: help demo test assets lint bench install uninstall

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: assets ## learn from ten people's fMRI, then watch an eleventh live
	$(CARGO) run --release --quiet -- demo --cache $(CACHE)

test: assets venv ## every test, with every peer that is installed
	$(CARGO) test --release

.PHONY: venv
venv: ## the Python peers (scipy, scikit-learn, pylsl, ...), and a recording that only tests play
	$(PYTHON) tools/fetch_assets.py --cache $(CACHE) --only venv --only data

assets: ## native libraries, the text and image models, the demo's recordings; pinned, fetched once
	$(PYTHON) tools/fetch_assets.py --cache $(CACHE) --only libs --only models --only demo

lint: ## format, clippy, docs: warnings are errors
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items

bench: assets venv ## our figures beside the peers', in one run
	$(CARGO) bench

install: assets ## binary, unit, configuration and native libraries, for a system service (as root)
	$(CARGO) build --release
	install -Dm755 target/release/neurod $(DESTDIR)$(PREFIX)/bin/neurod
	install -d $(DESTDIR)$(PREFIX)/lib/neurod
	cp -P $(CACHE)/lib/*.so* $(DESTDIR)$(PREFIX)/lib/neurod/
	install -Dm644 deploy/neurod.service $(DESTDIR)/usr/lib/systemd/system/neurod.service
	test -e $(DESTDIR)/etc/neurod/neurod.toml || install -Dm644 config/neurod.toml $(DESTDIR)/etc/neurod/neurod.toml
	install -d $(DESTDIR)$(PREFIX)/share/doc/neurod/config
	install -m644 config/*.toml $(DESTDIR)$(PREFIX)/share/doc/neurod/config/
	@echo "next: systemctl daemon-reload && systemctl enable --now neurod; neurod doctor"

uninstall: ## what install put there, but not your configuration
	rm -f $(DESTDIR)$(PREFIX)/bin/neurod $(DESTDIR)/usr/lib/systemd/system/neurod.service
	rm -rf $(DESTDIR)$(PREFIX)/lib/neurod $(DESTDIR)$(PREFIX)/share/doc/neurod
