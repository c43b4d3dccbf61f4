{{/*
The settings file. Strings are written as JSON, which TOML reads; `toToml` is not used, since it
prints integers as floats.
*/}}
{{- define "inkpass.settings" -}}
[server]
listen = "0.0.0.0:50051"
reflection = {{ .Values.server.reflection }}
connections_per_peer = {{ int .Values.server.connectionsPerPeer }}
unready_when_refusing = {{ .Values.server.unreadyWhenRefusing }}
{{- if .Values.tls.existingSecret }}
tls_cert_file = "/etc/inkpass/tls/tls.crt"
tls_key_file = "/etc/inkpass/tls/tls.key"
{{- with .Values.tls.names }}
tls_names = {{ toJson . }}
{{- end }}
{{- if or .Values.identity.trustDomains .Values.identity.allowDnsSan }}
client_ca_file = "/etc/inkpass/tls/ca.crt"
{{- end }}
{{- else if .Values.server.plaintext }}
plaintext = true
{{- end }}

[admin]
listen = "0.0.0.0:9464"

[whiteboard]
base_url = {{ include "inkpass.baseUrl" . | toJson }}
{{- if include "inkpass.allowPlaintext" . }}
allow_plaintext = true
{{- end }}
{{- range $region, $url := .Values.whiteboard.baseUrls }}
base_urls.{{ $region }} = {{ $url | toJson }}
{{- end }}
{{- if .Values.whiteboard.caSecret }}
ca_file = "/etc/inkpass/upstream/ca.crt"
{{- end }}
{{- if .Values.whiteboard.tryNewKeys }}
try_new_keys = true
{{- end }}
{{- if .Values.whiteboard.propagateTrace }}
propagate_trace = true
{{- end }}
{{ range include "inkpass.projects" . | fromJsonArray }}
[projects.{{ .name }}]
default = {{ .default | default false }}
{{- with .region }}
region = {{ . | toJson }}
{{- end }}
keys = [
{{- range .keys }}
  { access_key_file = "{{ .path }}/{{ .accessKeyName }}", secret_key_file = "{{ .path }}/{{ .secretKeyName }}", state = {{ .state | toJson }} },
{{- end }}
]
{{ end }}
{{- if not (include "inkpass.isOpen" .) }}
[identity]
{{- with .Values.identity.apiKeysSecret }}
api_keys_file = "/etc/inkpass/callers/callers.toml"
{{- end }}
trust_domains = {{ .Values.identity.trustDomains | toJson }}
allow_dns_san = {{ .Values.identity.allowDnsSan }}
issuers = [
{{- with .Values.identity.kubernetes }}
{{- if .enabled }}
  { name = "cluster", kubernetes = true, issuer = {{ .issuer | toJson }}, audience = {{ .audience | toJson }}, jwks_url = {{ .jwksUrl | toJson }}, ca_file = "/etc/inkpass/cluster/ca.crt", jwks_token_file = "/etc/inkpass/cluster/token" },
{{- end }}
{{- end }}
{{- range .Values.identity.issuers }}
  { name = {{ .name | toJson }}, issuer = {{ .issuer | toJson }}, audience = {{ .audience | toJson }}, jwks_url = {{ .jwksUrl | toJson }} },
{{- end }}
]
{{ end }}
{{- if .Values.policy.grants }}
[policy]
file = "/etc/inkpass/settings/policy.toml"
{{ end }}
[audit]
on_failure = {{ .Values.audit.onFailure | toJson }}
{{- with .Values.audit.saltSecret }}
salt_file = "/etc/inkpass/audit/salt"
{{- end }}
{{- if .Values.store.urlSecret }}

[store]
url_file = "/etc/inkpass/store/url"
{{- if .Values.store.caSecret }}
ca_file = "/etc/inkpass/store-ca/ca.crt"
{{- end }}
allow_plaintext = {{ .Values.store.allowPlaintext }}
share_quotas = {{ .Values.store.shareQuotas }}
{{- end }}

[telemetry]
log_format = {{ .Values.telemetry.logFormat | toJson }}
log_level = {{ .Values.telemetry.logLevel | toJson }}
access_log = {{ .Values.telemetry.accessLog | toJson }}
{{- with .Values.telemetry.otlpEndpoint }}
otlp_endpoint = {{ . | toJson }}
{{- end }}
{{- with .Values.telemetry.otlpProtocol }}
otlp_protocol = {{ . | toJson }}
{{- end }}
{{- if not (kindIs "invalid" .Values.telemetry.samplingRatio) }}
sampling_ratio = {{ include "inkpass.float" .Values.telemetry.samplingRatio }}
{{- end }}
{{- end -}}

{{- define "inkpass.baseUrl" -}}
{{- if .Values.whiteboard.baseUrl -}}
{{ .Values.whiteboard.baseUrl }}
{{- else if .Values.emulator.enabled -}}
http://{{ include "inkpass.name" . }}-emulator:8089
{{- else -}}
https://api.netless.link
{{- end -}}
{{- end -}}

{{- define "inkpass.allowPlaintext" -}}
{{- if or .Values.whiteboard.allowPlaintext (and .Values.emulator.enabled (not .Values.whiteboard.baseUrl)) -}}true{{- end -}}
{{- end -}}

{{/* A TOML float: 1 is an integer there, 1.0 is not. */}}
{{- define "inkpass.float" -}}
{{- $text := toString (float64 .) -}}
{{- if regexMatch "[.e]" $text }}{{ $text }}{{ else }}{{ $text }}.0{{ end -}}
{{- end -}}

{{/*
The projects, with each key's Secret, the volume that it is in and where that is mounted: a JSON array. A Secret has one
volume, so that what it holds changes at once.
*/}}
{{- define "inkpass.projects" -}}
{{- $projects := list -}}
{{- $volumes := dict -}}
{{- range $index, $project := .Values.projects -}}
{{- $keys := list -}}
{{- range $number, $key := $project.keys -}}
{{- $volume := get $volumes $key.existingSecret | default (printf "keys-%d-%d" $index $number) -}}
{{- $_ := set $volumes $key.existingSecret $volume -}}
{{- $names := dict "accessKeyName" (default "access-key" $key.accessKeyName) "secretKeyName" (default "secret-key" $key.secretKeyName) -}}
{{- $keys = append $keys (merge $names (dict "secret" $key.existingSecret "state" $key.state "volume" $volume "path" (printf "/etc/inkpass/%s" $volume))) -}}
{{- end -}}
{{- $projects = append $projects (dict "name" $project.name "default" $project.default "region" (default $.Values.whiteboard.region $project.region) "keys" $keys) -}}
{{- end -}}
{{- if not $projects -}}
{{- $names := dict "accessKeyName" "access-key" "secretKeyName" "secret-key" -}}
{{- $key := merge $names (dict "secret" (include "inkpass.keysSecret" .) "state" "active" "volume" "keys" "path" "/etc/inkpass/keys") -}}
{{- $projects = list (dict "name" "default" "default" true "region" .Values.whiteboard.region "keys" (list $key)) -}}
{{- end -}}
{{- $projects | toJson -}}
{{- end -}}

{{/* The Secrets with keys: the name of each, by that of its volume; a JSON object. */}}
{{- define "inkpass.keyVolumes" -}}
{{- $volumes := dict -}}
{{- range include "inkpass.projects" . | fromJsonArray }}{{ range .keys }}{{ $_ := set $volumes .volume .secret }}{{ end }}{{ end -}}
{{- $volumes | toJson -}}
{{- end -}}

{{/*
Whether everyone may do everything: where that is asked for, and in a trial with ephemeral keys whose policy is empty.
*/}}
{{- define "inkpass.isOpen" -}}
{{- $isTrial := and .Values.emulator.enabled (not .Values.keys.existingSecret) (not .Values.projects) (not .Values.whiteboard.baseUrl) -}}
{{- if or .Values.insecureAllowAll (and $isTrial (not .Values.policy.grants)) -}}true{{- end -}}
{{- end -}}
