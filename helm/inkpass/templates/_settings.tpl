{{/*
The settings file. Strings are written as JSON, which TOML reads; `toToml` is not used, since it
prints integers as floats.
*/}}
{{- define "inkpass.settings" -}}
[server]
listen = "0.0.0.0:50051"
reflection = {{ .Values.server.reflection }}

[admin]
listen = "0.0.0.0:9464"

[whiteboard]
base_url = {{ include "inkpass.baseUrl" . | toJson }}
{{- if include "inkpass.allowPlaintext" . }}
allow_plaintext = true
{{- end }}

[projects.default]
default = true
{{- with .Values.whiteboard.region }}
region = {{ . | toJson }}
{{- end }}
keys = [{ access_key_file = "/etc/inkpass/keys/access-key", secret_key_file = "/etc/inkpass/keys/secret-key", state = "active" }]

[telemetry]
log_format = {{ .Values.telemetry.logFormat | toJson }}
log_level = {{ .Values.telemetry.logLevel | toJson }}
{{- with .Values.telemetry.otlpEndpoint }}
otlp_endpoint = {{ . | toJson }}
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
