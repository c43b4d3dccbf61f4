# What CI runs, recipe by recipe.

buf := "npx --yes @bufbuild/buf@1.75.0"

_list:
    @just --list --unsorted

# All of it
ci: fmt clippy proto features deny doc test smoke

# The sources are formatted
fmt:
    cargo fmt --check

# No warning anywhere
clippy:
    cargo clippy --locked --all-targets -- -D warnings

# The .proto files pass Buf's lint
proto:
    {{ buf }} lint proto

# The signer builds without tokio, tonic and generated code; the client without the server
features:
    .ci/features

# Licences, duplicates, banned crates and sources
deny:
    cargo deny --locked check bans licenses sources

# The documentation builds without a warning
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

# The README's test command
test:
    .ci/readme test

# The README's run command and first calls
smoke:
    .ci/readme run
