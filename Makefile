# make train    train the default recipe, write ckpt.bin
# make test     run every test that needs no real MNIST
# make check    what must hold before a commit: format, lints, tests, documentation
# make data     download MNIST into data/

.PHONY: train test check data

train:
	cargo run --release -- --epochs 10

test:
	cargo test

check: test
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps

data:
	cargo run --release -- data fetch
