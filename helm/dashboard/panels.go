package main

import "github.com/grafana/grafana-foundation-sdk/go/units"

// The width of a panel that shows one figure; a row is 24 wide.
const smallest = 4

var rows = []row{
	{"Now", 4, smallest, []panel{
		{"Replicas up", "Fewer than there should be: replicas-few.md", units.Short, []query{
			{`sum(up{@})`, ""},
		}, 0},
		{"Calls", "", units.RequestsPerSecond, []query{
			{`sum(rate(inkpass_calls_total{@}[$__rate_interval]))`, ""},
		}, 0},
		{"Signing: failed", "Of calls that mint or verify tokens; 0.01 % may fail", units.PercentUnit, []query{
			{`job:inkpass_failures:ratio5m{@,objective="signing"}`, ""},
		}, 0.0001},
		{"Upstream: failed, our part", "Of calls that go to the whiteboard API; 0.1 % may fail through a fault of ours", units.PercentUnit, []query{
			{`job:inkpass_failures:ratio5m{@,objective="upstream"}`, ""},
		}, 0.001},
		{"Upstream: failed, vendor's part", "1 % may fail", units.PercentUnit, []query{
			{`job:inkpass_failures:ratio5m{@,objective="vendor"}`, ""},
		}, 0.01},
		{"Replicas that can only refuse", "Because of audit, clock or certificate", units.Short, []query{
			{`sum(max by (instance) (inkpass_refusing{@}))`, ""},
		}, 1},
	}},
	{"Calls", 8, 8, []panel{
		{"Rate by RPC", "", units.RequestsPerSecond, []query{
			{`sum by (rpc_method) (rate(inkpass_calls_total{@}[$__rate_interval]))`, "{{rpc_method}}"},
		}, 0},
		{"Refused and failed, by reason", "Reasons: docs/errors.md", units.RequestsPerSecond, []query{
			{`sum by (rpc_status_code, reason) (rate(inkpass_calls_total{@,rpc_status_code!="OK"}[$__rate_interval]))`, "{{rpc_status_code}} {{reason}}"},
		}, 0},
		{"Duration by RPC, 99th percentile", "From a call's headers to the end of its answer", units.Seconds, []query{
			{`histogram_quantile(0.99, sum by (rpc_method, le) (rate(rpc_server_call_duration_seconds_bucket{@}[$__rate_interval])))`, "{{rpc_method}}"},
		}, 0},
		{"Failed, as a share of calls", "In five minutes, an hour and a day", units.PercentUnit, []query{
			{`job:inkpass_failures:ratio5m{@}`, "{{objective}} 5m"},
			{`job:inkpass_failures:ratio1h{@}`, "{{objective}} 1h"},
			{`job:inkpass_failures:ratio1d{@}`, "{{objective}} 1d"},
		}, 0},
		{"The vendor's faults, by reason", "", units.RequestsPerSecond, []query{
			{`job_reason:inkpass_vendor_faults:rate5m{@}`, "{{reason}}"},
		}, 0},
		{"IssueToken, percentiles", "", units.Seconds, []query{
			{`histogram_quantile(0.5, sum by (le) (rate(rpc_server_call_duration_seconds_bucket{@,rpc_method="inkpass.v1.TokenService/IssueToken"}[$__rate_interval])))`, "50th"},
			{`histogram_quantile(0.99, sum by (le) (rate(rpc_server_call_duration_seconds_bucket{@,rpc_method="inkpass.v1.TokenService/IssueToken"}[$__rate_interval])))`, "99th"},
		}, 0.05},
	}},
	{"Tokens and callers", 7, 6, []panel{
		{"Tokens minted", "By kind and role", units.CountsPerSecond, []query{
			{`sum by (project, kind, role) (rate(inkpass_tokens_issued_total{@}[$__rate_interval]))`, "{{project}} {{kind}} {{role}}"},
		}, 0},
		{"Decisions", "", units.CountsPerSecond, []query{
			{`sum by (decision, reason) (rate(inkpass_decisions_total{@}[$__rate_interval]))`, "{{decision}} {{reason}}"},
		}, 0},
		{"Refused by a quota", "quota-exhausted.md", units.RequestsPerSecond, []query{
			{`sum by (quota) (rate(inkpass_quota_refusals_total{@}[$__rate_interval]))`, "{{quota}}"},
		}, 0},
		{"Not authenticated, by cause", "callers-unknown.md", units.RequestsPerSecond, []query{
			{`sum by (cause) (rate(inkpass_callers_unknown_total{@}[$__rate_interval])) > 0`, "{{cause}}"},
		}, 0},
	}},
	{"The whiteboard API", 7, 6, []panel{
		{"Exchanges, by region and status", "upstream-failing.md", units.RequestsPerSecond, []query{
			{`sum by (region, status) (rate(inkpass_upstream_call_duration_seconds_count{@}[$__rate_interval]))`, "{{region}} {{status}}"},
		}, 0},
		{"Duration by region, 90th percentile", "upstream-slow.md", units.Seconds, []query{
			{`histogram_quantile(0.9, sum by (region, le) (rate(inkpass_upstream_call_duration_seconds_bucket{@}[$__rate_interval])))`, "{{region}}"},
		}, 2},
		{"Duration by call, 90th percentile", "", units.Seconds, []query{
			{`histogram_quantile(0.9, sum by (call, le) (rate(inkpass_upstream_call_duration_seconds_bucket{@}[$__rate_interval])))`, "{{call}}"},
		}, 0},
		{"Attempts", "", units.RequestsPerSecond, []query{
			{`sum by (region, kind) (rate(inkpass_upstream_attempts_total{@}[$__rate_interval]))`, "{{region}} {{kind}}"},
		}, 0},
		{"Circuit breaker", "0: closed; 1: one call tries; 2: open", units.Short, []query{
			{`max by (region, class) (inkpass_upstream_breaker_state{@})`, "{{region}} {{class}}"},
		}, 1},
		{"Retry budget", "Repeats that are allowed now, in the replica that has least", units.Short, []query{
			{`min(inkpass_upstream_retry_budget{@})`, "repeats"},
		}, 0},
		{"Pauses that the vendor asks for", "upstream-limits.md", units.CountsPerSecond, []query{
			{`sum by (region) (rate(inkpass_upstream_pauses_total{@}[$__rate_interval]))`, "{{region}}"},
		}, 0},
		{"The vendor's clock is ahead by", "clock-unstable.md", units.Seconds, []query{
			{`max by (instance) (inkpass_upstream_clock_skew_seconds{@})`, "{{instance}}"},
		}, 30},
	}},
	{"Saturation", 7, 6, []panel{
		{"In use, of what is bounded", "1: all of it. One caller has half at most", units.PercentUnit, []query{
			{`max by (resource) (inkpass_in_use_ratio{@})`, "{{resource}}"},
		}, 1},
		{"Calls under way", "", units.Short, []query{
			{`sum by (class) (inkpass_calls_in_flight{@})`, "{{class}}"},
		}, 0},
		{"Refused for want of a place", "total: overloaded.md; share: quota-exhausted.md", units.RequestsPerSecond, []query{
			{`sum by (resource, cause) (rate(inkpass_calls_shed_total{@}[$__rate_interval])) > 0`, "{{resource}} {{cause}}"},
		}, 0},
		{"Watches", "", units.Short, []query{
			{`sum(inkpass_watches{@})`, "open"},
			{`sum(inkpass_conversions_followed{@})`, "conversions followed"},
		}, 0},
		{"Connections", "", units.Short, []query{
			{`sum by (instance) (inkpass_connections{@,listener="grpc"})`, "{{instance}}"},
		}, 0},
		{"Connections, by outcome", "", units.CountsPerSecond, []query{
			{`sum(rate(inkpass_connections_accepted_total{@,listener="grpc"}[$__rate_interval]))`, "accepted"},
			{`sum by (cause) (rate(inkpass_connections_refused_total{@,listener="grpc"}[$__rate_interval]))`, "refused: {{cause}}"},
			{`sum by (cause) (rate(inkpass_connections_cut_total{@,listener="grpc"}[$__rate_interval]))`, "cut: {{cause}}"},
			{`sum by (cause) (rate(inkpass_connections_failed_total{@,listener="grpc"}[$__rate_interval]))`, "failed: {{cause}}"},
		}, 0},
		{"Processor", "Cores in use", units.Short, []query{
			{`sum by (instance) (rate(process_cpu_seconds_total{@}[$__rate_interval]))`, "{{instance}}"},
			{`sum by (instance) (rate(tokio_worker_busy_seconds_total{@}[$__rate_interval]))`, "{{instance}} tasks"},
		}, 0},
		{"Memory", "", units.BytesIEC, []query{
			{`max by (instance) (process_resident_memory_bytes{@})`, "{{instance}}"},
		}, 0},
		{"Descriptors in use", "", units.PercentUnit, []query{
			{`max by (instance) (process_open_fds{@} / process_max_fds{@})`, "{{instance}}"},
		}, 0.9},
		{"Tasks", "", units.Short, []query{
			{`sum by (instance) (tokio_alive_tasks{@})`, "{{instance}} alive"},
			{`sum by (instance) (tokio_global_queue_depth{@})`, "{{instance}} waiting"},
		}, 0},
	}},
	{"Keys, certificates, files", 7, 6, []panel{
		{"Age of the keys", "Since the secret file was changed: key-old.md", units.Days, []query{
			{`max by (project, access_key, state) (inkpass_key_age_seconds{@}) / 86400`, "{{project}} {{access_key}} {{state}}"},
		}, 180},
		{"The certificate is valid for", "Absent without TLS: certificate-expiring.md", units.Days, []query{
			{`min by (instance) (inkpass_certificate_expiry_timestamp_seconds{@} - time()) / 86400`, "{{instance}}"},
		}, 0},
		{"Files that cannot be used", "reload-failing.md", units.Short, []query{
			{`sum by (what) (inkpass_reload_failing{@})`, "{{what}}"},
		}, 1},
		{"Issuers' keys were fetched", "Before so long; absent without issuers: callers-unknown.md", units.Seconds, []query{
			{`time() - min by (issuer) (inkpass_jwks_fetched_timestamp_seconds{@} > 0)`, "{{issuer}}"},
		}, 43200},
	}},
	{"Audit trail", 7, 6, []panel{
		{"Lines and writes", "", units.CountsPerSecond, []query{
			{`sum(rate(inkpass_audit_lines_total{@}[$__rate_interval]))`, "lines"},
			{`sum(rate(inkpass_audit_writes_total{@}[$__rate_interval]))`, "writes"},
			{`sum(rate(inkpass_audit_denials_summed_total{@}[$__rate_interval]))`, "denials summed up"},
		}, 0},
		{"Failures", "audit-unwritable.md", units.Short, []query{
			{`sum(increase(inkpass_audit_failures_total{@}[$__rate_interval]))`, "lines"},
			{`sum(increase(inkpass_audit_files_lost_total{@}[$__rate_interval]))`, "files lost"},
			{`sum(increase(inkpass_audit_files_unreachable_total{@}[$__rate_interval]))`, "files unreachable"},
			{`sum(inkpass_audit_failing{@})`, "replicas failing"},
		}, 1},
		{"Since the last line", "", units.Seconds, []query{
			{`time() - max by (instance) (inkpass_audit_last_write_timestamp_seconds{@} > 0)`, "{{instance}}"},
		}, 0},
		{"Can only refuse, by cause", "", units.Short, []query{
			{`sum by (cause) (inkpass_refusing{@})`, "{{cause}}"},
		}, 1},
	}},
	{"Store: empty without one", 7, 6, []panel{
		{"Connected replicas", "store-away.md", units.Short, []query{
			{`sum(inkpass_store_connected{@})`, "connected"},
			{`sum(inkpass_store_outcomes_unwritten{@})`, "outcomes unwritten"},
		}, 0},
		{"Duration, 99th percentile", "", units.Seconds, []query{
			{`histogram_quantile(0.99, sum by (call, le) (rate(inkpass_store_call_duration_seconds_bucket{@}[$__rate_interval])))`, "{{call}}"},
		}, 0},
		{"Errors", "", units.CountsPerSecond, []query{
			{`sum by (call, cause) (rate(inkpass_store_errors_total{@}[$__rate_interval])) > 0`, "{{call}} {{cause}}"},
		}, 0},
		{"Calls with a request_id", "forged: store-away.md", units.CountsPerSecond, []query{
			{`sum by (outcome) (rate(inkpass_store_claims_total{@}[$__rate_interval]))`, "{{outcome}}"},
		}, 0},
	}},
	{"Logs and exports", 7, 8, []panel{
		{"Spans", "collector-away.md", units.CountsPerSecond, []query{
			{`sum(rate(inkpass_spans_exported_total{@}[$__rate_interval]))`, "exported"},
			{`sum by (cause) (rate(inkpass_spans_dropped_total{@}[$__rate_interval]))`, "dropped: {{cause}}"},
		}, 0},
		{"Failed exports", "", units.CountsPerSecond, []query{
			{`sum by (signal) (rate(inkpass_otlp_exports_failed_total{@}[$__rate_interval]))`, "{{signal}}"},
		}, 0},
		{"Log lines dropped", "log-lines-dropped.md", units.CountsPerSecond, []query{
			{`sum(rate(inkpass_log_lines_dropped_total{@}[$__rate_interval]))`, "lines"},
		}, 0},
	}},
}
