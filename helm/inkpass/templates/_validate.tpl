{{/*
What the schema cannot say. Every mistake is reported at once, as a sentence that says what to do.
*/}}
{{- define "inkpass.validate" -}}
{{- $mistakes := list -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" (include "inkpass.name" .)) -}}
{{- $mistakes = append $mistakes (printf "%s, the release's name, is no name of a Service, which begins with a letter and has no dot: set fullnameOverride." (include "inkpass.name" .)) -}}
{{- end -}}
{{- $ownUpstream := and .Values.emulator.enabled (not .Values.whiteboard.baseUrl) -}}
{{- if not (or .Values.keys.existingSecret .Values.projects $ownUpstream) -}}
{{- $mistakes = append $mistakes "keys.existingSecret is empty: make a Secret with the data access-key and secret-key and name it, or, to try without an account, set emulator.enabled=true and leave whiteboard.baseUrl empty." -}}
{{- end -}}
{{- $identity := .Values.identity -}}
{{- $byCertificate := or $identity.trustDomains $identity.allowDnsSan -}}
{{- $byBearer := or $identity.kubernetes.enabled $identity.issuers $identity.apiKeysSecret -}}
{{- if and .Values.insecureAllowAll (or $byCertificate $identity.issuers $identity.apiKeysSecret) -}}
{{- $mistakes = append $mistakes "insecureAllowAll allows unauthenticated callers and identity does not: leave out either." -}}
{{- end -}}
{{- if not (include "inkpass.isOpen" .) -}}
{{- if not (or $byBearer $byCertificate) -}}
{{- $mistakes = append $mistakes "identity is empty, so no caller could be authenticated: set identity.kubernetes.enabled=true, identity.issuers, identity.apiKeysSecret or identity.trustDomains, or, for a trial, insecureAllowAll=true." -}}
{{- end -}}
{{- if and $byBearer (not .Values.tls.existingSecret) (not .Values.server.plaintext) -}}
{{- $mistakes = append $mistakes "tls.existingSecret is empty, and callers' tokens would cross the network in the clear: make a Secret with the data tls.crt, tls.key and ca.crt and name it, or set server.plaintext=true where a mesh encrypts." -}}
{{- end -}}
{{- if and $byCertificate (not .Values.tls.existingSecret) -}}
{{- $mistakes = append $mistakes "identity.trustDomains and identity.allowDnsSan are about callers' certificates: name a Secret in tls.existingSecret, whose ca.crt says which are good." -}}
{{- end -}}
{{- if not .Values.policy.grants -}}
{{- $mistakes = append $mistakes "policy.grants is empty, so everything would be denied: add grants as docs/policy.md explains them, or, for a trial, set insecureAllowAll=true." -}}
{{- end -}}
{{- end -}}
{{- if and .Values.server.plaintext .Values.tls.existingSecret -}}
{{- $mistakes = append $mistakes "server.plaintext and tls.existingSecret exclude each other: leave one of them out." -}}
{{- end -}}
{{- if and .Values.projects .Values.keys.existingSecret -}}
{{- $mistakes = append $mistakes "projects and keys.existingSecret exclude each other: move the key into projects." -}}
{{- end -}}
{{- $mistakes = concat $mistakes (include "inkpass.projectMistakes" . | fromJsonArray) -}}
{{- $issuers := list -}}
{{- if $identity.kubernetes.enabled }}{{ $issuers = append $issuers "cluster" }}{{ end -}}
{{- range $identity.issuers -}}
{{- if has .name $issuers -}}
{{- $mistakes = append $mistakes (printf "identity.issuers: %s is another issuer's name (the cluster's own is cluster)." .name) -}}
{{- end -}}
{{- $issuers = append $issuers .name -}}
{{- end -}}
{{- $grants := list -}}
{{- range .Values.policy.grants -}}
{{- if has .name $grants -}}
{{- $mistakes = append $mistakes (printf "policy.grants has %s twice: give each grant a name of its own." .name) -}}
{{- end -}}
{{- $grants = append $grants .name -}}
{{- end -}}
{{- if and (gt (int .Values.replicaCount) 1) (not .Values.audit.saltSecret) (not (include "inkpass.isOpen" .)) -}}
{{- $mistakes = append $mistakes "audit.saltSecret is empty, so each replica would give one token another fingerprint: make a Secret with the data salt (kubectl create secret generic inkpass-salt --from-literal=salt=$(openssl rand -hex 32)) and name it." -}}
{{- end -}}
{{- if and .Values.store.urlSecret (not .Values.audit.saltSecret) -}}
{{- $mistakes = append $mistakes "store.urlSecret needs audit.saltSecret: what is in the store is authenticated by a key that is derived from the salt." -}}
{{- end -}}
{{- if and (not .Values.store.urlSecret) (or .Values.store.caSecret .Values.store.allowPlaintext .Values.store.shareQuotas) -}}
{{- $mistakes = append $mistakes "store.urlSecret is empty, which the other values of store are about: name a Secret with the data url." -}}
{{- end -}}
{{- if and (hasPrefix "http://" (include "inkpass.baseUrl" .)) (not (include "inkpass.allowPlaintext" .)) -}}
{{- $mistakes = append $mistakes "whiteboard.baseUrl is http://, which would send tokens in the clear: use https://, or set whiteboard.allowPlaintext=true." -}}
{{- end -}}
{{- range $region, $url := .Values.whiteboard.baseUrls -}}
{{- if and (hasPrefix "http://" $url) (not (include "inkpass.allowPlaintext" $)) -}}
{{- $mistakes = append $mistakes (printf "whiteboard.baseUrls.%s is http://, which would send tokens in the clear: use https://, or set whiteboard.allowPlaintext=true." $region) -}}
{{- end -}}
{{- end -}}
{{- $needed := include "inkpass.gracePeriodNeeded" . | int -}}
{{- $given := .Values.terminationGracePeriodSeconds -}}
{{- if and (not (kindIs "invalid" $given)) (lt (int $given) $needed) -}}
{{- $mistakes = append $mistakes (printf "terminationGracePeriodSeconds is %d, but a pod needs %d to end in order: %d (preStopSleepSeconds) + 15 (calls finish) + 10 (margin). Set it to at least %d, or leave it out." (int $given) $needed (int .Values.preStopSleepSeconds) $needed) -}}
{{- end -}}
{{- $alerts := include "inkpass.alertNames" . | splitList " " -}}
{{- range .Values.prometheusRule.disabled -}}
{{- if not (has . $alerts) -}}
{{- $mistakes = append $mistakes (printf "prometheusRule.disabled: there is no alert %s." .) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.telemetry.otlpCaSecret (not (hasPrefix "https://" (default "" .Values.telemetry.otlpEndpoint))) -}}
{{- $mistakes = append $mistakes "telemetry.otlpCaSecret is about the certificate of an https:// collector: name that in telemetry.otlpEndpoint, or leave it out." -}}
{{- end -}}
{{- $env := list -}}
{{- if .Values.telemetry.otlpEndpoint -}}
{{- $env = include "inkpass.identityEnv" . | fromYamlArray -}}
{{- end -}}
{{- $names := include "inkpass.names" .Values.extraEnv | trim | splitList " " -}}
{{- range uniq $names -}}
{{- if gt (sub (len $names) (len (without $names .))) 1 -}}
{{- $mistakes = append $mistakes (printf "extraEnv has %s twice: keep only one." .) -}}
{{- end -}}
{{- end -}}
{{- $repeated := list
  (list "podLabels" (keys (default dict .Values.podLabels)) (include "inkpass.selector" (list . "server") | fromYaml | keys))
  (list "podAnnotations" (keys (default dict .Values.podAnnotations)) (include "inkpass.podAnnotations" . | fromYaml | keys))
  (list "extraEnv" $names (include "inkpass.names" $env | splitList " "))
-}}
{{- range $repeated -}}
{{- $mistakes = append $mistakes (include "inkpass.repeated" .) -}}
{{- end -}}
{{- $mistakes = compact $mistakes -}}
{{- if $mistakes -}}
{{- fail (printf "\n\n%s\n" (join "\n" $mistakes)) -}}
{{- end -}}
{{- end -}}

{{/*
What pods would refuse of the projects, and of the grants that speak of them: a JSON array.
*/}}
{{- define "inkpass.projectMistakes" -}}
{{- $mistakes := list -}}
{{- $names := list -}}
{{- $pairs := list -}}
{{- $defaults := 0 -}}
{{- range $project := include "inkpass.projects" . | fromJsonArray -}}
{{- if has $project.name $names -}}
{{- $mistakes = append $mistakes (printf "projects has %s twice: give each project a name of its own." $project.name) -}}
{{- end -}}
{{- $names = append $names $project.name -}}
{{- if $project.default }}{{ $defaults = add1 $defaults }}{{ end -}}
{{- $states := list -}}
{{- range $key := $project.keys -}}
{{- $states = append $states $key.state -}}
{{- $access := printf "%s of the Secret %s" $key.accessKeyName $key.secret -}}
{{- if has $access $pairs -}}
{{- $mistakes = append $mistakes (printf "projects has the access key %s twice: it belongs to one project, once." $access) -}}
{{- end -}}
{{- if eq $key.accessKeyName $key.secretKeyName -}}
{{- $mistakes = append $mistakes (printf "projects: %s is named as access key and as secret key." $access) -}}
{{- end -}}
{{- $pairs = append $pairs $access -}}
{{- end -}}
{{- if not (has "active" $states) -}}
{{- $mistakes = append $mistakes (printf "projects: %s has no active key, so nothing could be signed." $project.name) -}}
{{- end -}}
{{- end -}}
{{- if gt (int $defaults) 1 -}}
{{- $mistakes = append $mistakes "projects has more than one default: keep only one." -}}
{{- end -}}
{{- range $grant := .Values.policy.grants -}}
{{- range $name := $grant.projects -}}
{{- if not (has $name $names) -}}
{{- $mistakes = append $mistakes (printf "policy.grants: %s is about the project %s, which there is not." $grant.name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $mistakes | toJson -}}
{{- end -}}

{{/*
A sentence if the chart itself sets what a value names too: pods would not fit their selector, or a key would stand there
twice. The argument is a list: the value's name, what it names, and what the chart does.
*/}}
{{- define "inkpass.repeated" -}}
{{- $value := index . 0 -}}
{{- $own := index . 2 -}}
{{- $both := list -}}
{{- range sortAlpha (index . 1) -}}
{{- if and . (has . $own) }}{{ $both = append $both . }}{{ end -}}
{{- end -}}
{{- if $both -}}
{{ $value }} has {{ join " and " $both }}, which the chart itself sets: leave that out of {{ $value }}.
{{- end -}}
{{- end -}}

{{- define "inkpass.names" -}}
{{- range . }}{{ .name }} {{ end -}}
{{- end -}}

{{/* 15 s is how long the service lets calls finish after SIGTERM; 10 s are for the last export and for slow machines. */}}
{{- define "inkpass.gracePeriodNeeded" -}}
{{- add (int .Values.preStopSleepSeconds) 15 10 -}}
{{- end -}}

{{- define "inkpass.gracePeriod" -}}
{{- $given := .Values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $given }}{{ include "inkpass.gracePeriodNeeded" . }}{{ else }}{{ int $given }}{{ end -}}
{{- end -}}
