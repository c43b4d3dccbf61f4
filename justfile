# What CI runs, recipe by recipe.

buf := "npx --yes @bufbuild/buf@1.75.0"
tag := `sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1`

_list:
    @just --list --unsorted

# All of it
ci: fmt clippy proto proto-languages features deny doc test constant-time smoke bench-check image rotation chart rules alerts e2e-refusals e2e-if-possible

# The sources are formatted
fmt:
    cargo fmt --check

# No warning anywhere
clippy:
    cargo clippy --locked --all-targets -- -D warnings

# The .proto files pass Buf's lint
proto:
    {{ buf }} lint proto

# Debian 12's protoc generates Go, Java and C# from the .proto files; Go and Java compile
proto-languages:
    .ci/protos

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

# Changes that the tests of a directory of src/ do not notice (`just mutants src/token --shard 0/8`); not part of CI
mutants directory *options:
    .ci/mutants {{ directory }} {{ options }}

# Comparing a signature takes as many instructions wherever it is wrong
constant-time:
    .ci/constant-time

# What each step of an IssueToken costs alone, by criterion
bench *options:
    cargo bench --locked --bench hot_path -- {{ options }}

# A build for `bench-load`
bench-build:
    cargo build --release --locked --features bench --bins

# Calls under load beside the least that one can cost; all scenarios take half an hour (`--scenario NAME`, `--rounds N`)
bench-load *options: bench-build
    benches/load/run {{ options }}

# A call's CPU time, as a multiple of the least, is no worse than what is committed
bench-check: bench-build
    benches/load/run --check --rounds 5

# So many minutes of calls, and an attack in every fifth
soak minutes="60": bench-build
    INKPASS_SOAK_MINUTES={{ minutes }} benches/load/run --scenario soak

# So many minutes of 500 calls a second, and a fault in each: keys, policy, audit file, upstream, stalls, attackers
chaos minutes="60": static
    INKPASS_PROGRAM=$PWD/target/image/inkpass INKPASS_CHAOS_MINUTES={{ minutes }} \
        cargo test --locked --test inkpass -- --ignored --nocapture decisions::chaos

# The README's run command and first calls
smoke:
    .ci/readme run

# The static binary and the CA roots, in target/image
static:
    .ci/image-files target/image

# The image's program: keys rotate under 2,000 calls a second for a minute, memory keeps nothing of them, and 64 MiB are enough
rotation: static
    INKPASS_PROGRAM=$PWD/target/image/inkpass cargo test --locked --test inkpass -- --include-ignored --nocapture \
        decisions::rotation canary command_line::hardening abuse::limits

# The container image, in target/inkpass.tar
image: static
    .ci/image {{ tag }}

# The Helm chart: lint, golden files, refusals, settings (`just chart --renew` rewrites the golden files)
chart *options: static
    PATH="$(.ci/helm):$PATH" tests/helm/check target/image/inkpass {{ options }}

# Recording rules, alerts, their runbooks and the dashboard: promtool, examples of each alert, Grafana's schema
rules:
    "${INKPASS_PYTHON:-python3}" -B tests/monitoring/check
    go run -C helm/dashboard . --check ../inkpass/files/dashboard.json

# Prometheus scrapes three replicas under load, and the fault of each alert makes it fire: two minutes
alerts *options:
    cargo build --locked
    "${INKPASS_PYTHON:-python3}" -B tests/monitoring/live target/debug/inkpass {{ options }}

# Writes the dashboard from helm/dashboard/panels.go
dashboard:
    go run -C helm/dashboard . ../inkpass/files/dashboard.json

# The chart on a real cluster: KUBECONFIG's, or one that the program INKPASS_CLUSTER starts
e2e: image
    tests/e2e/run {{ tag }}

# Where it cannot run, it says why
e2e-refusals:
    tests/e2e/refusals

# As CI runs it: where there is no cluster, or no time for it, it says so
e2e-if-possible: image
    tests/e2e/run {{ tag }} --if-possible
