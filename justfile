# Each recipe is a plain command: without `just`, run the command itself.

# Lists the recipes.
_list:
    @just --list --unsorted

# Checks format, lints and dependencies. Runs no test.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    .ci/dependencies

# Runs all Rust tests. Needs PostgreSQL's server programs.
test:
    cargo test --workspace --locked

# Runs the tests whose path contains NAME, for example `just one idempotency`.
one NAME:
    cargo test --workspace --locked -- {{ quote(NAME) }}

# Starts the service on http://127.0.0.1:8080 with an embedded database and demo data.
run *ARGUMENTS:
    cargo run --locked -- {{ ARGUMENTS }}

# Runs the short benchmark in a release build. Writes no results.
bench:
    bench/run --quick

# Runs everything that CI runs. Installs missing Debian packages as root.
ci:
    .ci/run
