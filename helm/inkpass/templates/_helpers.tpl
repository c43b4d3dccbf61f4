{{/* Names and labels. The release's name is the Service's name. */}}

{{- define "inkpass.name" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{- define "inkpass.serviceAccountName" -}}
{{- default (ternary (include "inkpass.name" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "inkpass.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{/* The argument is a list: the root and the component, `server` or `emulator`. */}}
{{- define "inkpass.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: inkpass
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "inkpass.labels" -}}
{{- $root := index . 0 -}}
{{ include "inkpass.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: inkpass
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: inkpass-{{ $root.Chart.Version }}
{{- end -}}

{{/* The Secret with the keys: the one named, or the chart's own for the emulator. */}}
{{- define "inkpass.keysSecret" -}}
{{- default (printf "%s-emulator-keys" (include "inkpass.name" .)) .Values.keys.existingSecret -}}
{{- end -}}
