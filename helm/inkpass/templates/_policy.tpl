{{/*
The policy file, from the tables in the values. Lists of strings are written as JSON, which TOML reads; numbers that YAML
made floats are written as the integers that they are.
*/}}
{{- define "inkpass.policy" -}}
{{- range .Values.policy.grants }}
[[grants]]
name = {{ .name | toJson }}
principals = {{ .principals | toJson }}
rpcs = {{ .rpcs | toJson }}
projects = {{ .projects | toJson }}
{{- with .regions }}
regions = {{ . | toJson }}
{{- end }}
{{- with .tokens }}
tokens = [
{{- range . }}
  {{ include "inkpass.inlineTable" . }},
{{- end }}
]
{{- end }}
{{- with .quota }}
quota = {{ include "inkpass.inlineTable" . }}
{{- end }}
{{ end }}
{{- range .Values.policy.tests }}
[[tests]]
{{- range $name, $value := . }}
{{ $name }} = {{ include "inkpass.scalar" $value }}
{{- end }}
{{ end }}
{{- end -}}

{{- define "inkpass.inlineTable" -}}
{{- $pairs := list -}}
{{- range $name, $value := . -}}
{{- $pairs = append $pairs (printf "%s = %s" $name (include "inkpass.scalar" $value)) -}}
{{- end -}}
{ {{ join ", " $pairs }} }
{{- end -}}

{{- define "inkpass.scalar" -}}
{{- if or (kindIs "float64" .) (kindIs "int64" .) (kindIs "int" .) }}{{ int64 . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end -}}
