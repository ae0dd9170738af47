# make train    train the default recipe, write ckpt.bin
# make install  build the release, install it under PREFIX (~/.local) with its manual and the scripts by which bash, zsh
#               and fish complete its flags; make uninstall removes them. DESTDIR is put before PREFIX
# make wheel    build a wheel for pip, which carries the release, into target/wheels; needs maturin
# make test     run every test that needs no real MNIST
# make check    what must hold before a commit: format, lints, tests, documentation
# make check-aarch64
#               lints, tests and short runs on 64-bit ARM, in an emulator; needs gcc-aarch64-linux-gnu and qemu-aarch64
# make check-export
#               run exported models of every network in onnxruntime and PyTorch, which are installed, gigabytes; after
#               make data
# make check-mpi
#               trainings by 2, 4 and 8 processes, kills and errors; needs MPI and libclang (docs/CLUSTER.md), after make data
# make check-long
#               make check, check-aarch64, check-mpi, instructions and check-export
# make data     download MNIST into data/
# make bench    time every stage, keep the record, write the tables of OPTIMIZATIONS.md; after make data
# make scaling  likewise for threads, batch size, training-set size and the network's sizes, with pictures, and, where MPI is
#               installed, for ranks, into docs/CLUSTER.md; after make data
# make profiles flamegraphs of every stage, into profiles/flamegraphs and OPTIMIZATIONS.md; after make data
# make perf-record, perf-report, perf-annotate
#               look at STAGE with Linux perf; the fastest exact stage if none is named
# make instructions
#               count the instructions of a step of every stage and compare them with the record; needs Valgrind
# make compare  install other frameworks, gigabytes, and time one epoch and ten of the same job, and steps of other
#               networks; after make data
# make report-picture
#               train the default network and take the picture of its page; after make data, needs Chromium
# make faults   kill runs, fail system calls, fuzz for hours and look over unsafe code, keep the records;
#               needs strace, cargo-fuzz, Miri, Valgrind and qemu-x86_64

CARGO_TARGET_DIR ?= target
PROGRAM = $(CARGO_TARGET_DIR)/release/mnist-train
PREFIX ?= $(HOME)/.local
SHARE = $(DESTDIR)$(PREFIX)/share
INSTALLED = $(DESTDIR)$(PREFIX)/bin/mnist-train
MANUAL = $(SHARE)/man/man1/mnist-train.1
BASH_SCRIPT = $(SHARE)/bash-completion/completions/mnist-train
ZSH_SCRIPT = $(SHARE)/zsh/site-functions/_mnist-train
EXPORT_PYTHON = tests/reference/.venv
FISH_SCRIPT = $(SHARE)/fish/vendor_completions.d/mnist-train.fish

.PHONY: train install uninstall wheel $(PROGRAM) test check check-aarch64 check-export check-mpi check-long data bench scaling profiles \
	instructions compare perf-record perf-report perf-annotate report-picture faults

train:
	cargo run --release -- --epochs 10

$(PROGRAM):
	cargo build --release --locked

install: $(PROGRAM)
	install -D -m 755 $(PROGRAM) $(INSTALLED)
	install -d $(dir $(MANUAL) $(BASH_SCRIPT) $(ZSH_SCRIPT) $(FISH_SCRIPT))
	$(PROGRAM) man > $(MANUAL)
	$(PROGRAM) completions bash > $(BASH_SCRIPT)
	$(PROGRAM) completions zsh > $(ZSH_SCRIPT)
	$(PROGRAM) completions fish > $(FISH_SCRIPT)

uninstall:
	rm -f $(INSTALLED) $(MANUAL) $(BASH_SCRIPT) $(ZSH_SCRIPT) $(FISH_SCRIPT)

wheel:
	maturin build --release --out $(CARGO_TARGET_DIR)/wheels

test:
	cargo test

check: test
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps

check-aarch64:
	.ci/aarch64

check-export: $(PROGRAM)
	$(MAKE) -C peers pytorch
	python3 -m venv $(EXPORT_PYTHON)
	$(EXPORT_PYTHON)/bin/pip install --quiet -r tests/reference/requirements-export.txt
	$(EXPORT_PYTHON)/bin/python tests/reference/check_export.py --all $(PROGRAM) $${MNIST_DATA:-data}
	peers/pytorch/.venv/bin/python tests/reference/check_export.py --all --format safetensors $(PROGRAM) $${MNIST_DATA:-data}

check-mpi:
	.ci/mpi $${MNIST_DATA:-data}

check-long: check check-aarch64 check-mpi instructions check-export

data:
	cargo run --release -- data fetch

bench:
	MNIST_DATA=$${MNIST_DATA:-data} profiles/record.py ladder

scaling:
	profiles/record.py scaling
	if command -v mpirun > /dev/null; then MNIST_DATA=$${MNIST_DATA:-data} profiles/record.py ranks; \
	else echo 'NOT MEASURED, there is no MPI: ranks'; fi

compare:
	profiles/record.py compare
	profiles/record.py compare --networks

faults:
	profiles/reliability.py kills
	profiles/reliability.py faults
	profiles/reliability.py fuzz
	profiles/reliability.py unsafe
	profiles/reliability.py cpus
	profiles/record.py splice

report-picture: $(PROGRAM)
	profiles/page.py picture $(PROGRAM) $${MNIST_DATA:-data}

profiles:
	MNIST_DATA=$${MNIST_DATA:-data} profiles/record.py profiles

instructions:
	profiles/instructions.py

perf-record perf-report perf-annotate: perf-%:
	profiles/perf.py $* $(STAGE)
