{{/*
The groups of files/*.rules.yaml, for this release: its job and namespace, its number of replicas, and without the alerts
that are disabled. A YAML list.
*/}}
{{- define "inkpass.ruleGroups" -}}
{{- $values := .Values.prometheusRule -}}
{{- $here := printf "job=%q,namespace=%q" (include "inkpass.name" .) .Release.Namespace -}}
{{- $runbooks := default "docs/runbooks" $values.runbookUrl | trimSuffix "/" -}}
{{- range $path, $_ := .Files.Glob "files/*.rules.yaml" -}}
{{- $text := $.Files.Get $path | replace `job="inkpass"` $here | replace "docs/runbooks/" (printf "%s/" $runbooks) -}}
{{- $text = $text | replace "< 3 # replicas" (printf "< %d" (int $.Values.replicaCount)) -}}
{{- range $group := (fromYaml $text).groups }}
{{- $rules := list -}}
{{- range $rule := $group.rules -}}
{{- if $rule.alert }}{{ $_ := set $rule "labels" (merge $rule.labels $values.alertLabels) }}{{ end -}}
{{- if not (has $rule.alert $values.disabled) }}{{ $rules = append $rules $rule }}{{ end -}}
{{- end }}
- {{ set $group "rules" $rules | toYaml | nindent 2 | trim }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The names of all alerts, with spaces between. */}}
{{- define "inkpass.alertNames" -}}
{{- range $path, $_ := .Files.Glob "files/*.rules.yaml" -}}
{{- range ($.Files.Get $path | fromYaml).groups }}{{ range .rules }}{{ with .alert }}{{ . }} {{ end }}{{ end }}{{ end -}}
{{- end -}}
{{- end -}}
