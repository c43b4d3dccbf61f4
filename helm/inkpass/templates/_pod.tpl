{{/* What the pods of the service, the emulator and the test have in common. */}}

{{- define "inkpass.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
# With fsGroup, the keys' files belong to the group that may read them.
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "inkpass.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "inkpass.podBasics" -}}
serviceAccountName: {{ include "inkpass.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  {{- include "inkpass.podSecurity" . | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
tolerations:
  {{- range list "not-ready" "unreachable" }}
  - key: node.kubernetes.io/{{ . }}
    operator: Exists
    effect: NoExecute
    tolerationSeconds: {{ int64 $.Values.nodeLossTolerationSeconds }}
  {{- end }}
  {{- with .Values.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "inkpass.podAnnotations" -}}
kubectl.kubernetes.io/default-container: inkpass
{{- /* Without what the service itself reads again. */}}
checksum/settings: {{ regexReplaceAll "(?m)^(log_level|access_log) = .*\n" (include "inkpass.settings" .) "" | sha256sum }}
{{- end -}}

{{- define "inkpass.mounts" -}}
- name: settings
  mountPath: /etc/inkpass/settings
  readOnly: true
{{- range $volume, $_ := include "inkpass.keyVolumes" . | fromJson }}
- name: {{ $volume }}
  mountPath: /etc/inkpass/{{ $volume }}
  readOnly: true
{{- end }}
{{- end -}}

{{/* Directories, not single files: a single file would never be updated. */}}
{{- define "inkpass.volumes" -}}
- name: settings
  configMap:
    name: {{ include "inkpass.name" . }}
{{- range $volume, $secret := include "inkpass.keyVolumes" . | fromJson }}
{{ include "inkpass.secretVolume" (list $volume $secret) }}
{{- end }}
{{- end -}}

{{/* The argument is a list: the volume's name and the Secret's. */}}
{{- define "inkpass.secretVolume" -}}
- name: {{ index . 0 }}
  secret:
    secretName: {{ index . 1 }}
    # 0644, the default, is open to every user, and refused.
    defaultMode: 0440
{{- end -}}

{{/* What the service has beside settings and keys: the Secret of each, by the name of its volume; a JSON object. */}}
{{- define "inkpass.serverSecrets" -}}
{{- $secrets := dict "tls" .Values.tls.existingSecret "callers" .Values.identity.apiKeysSecret "audit" .Values.audit.saltSecret "store" .Values.store.urlSecret "store-ca" .Values.store.caSecret "upstream" .Values.whiteboard.caSecret "collector" .Values.telemetry.otlpCaSecret -}}
{{- range $volume, $secret := $secrets -}}
{{- if or (not $secret) (and (eq $volume "callers") (include "inkpass.isOpen" $)) }}{{ $_ := unset $secrets $volume }}{{ end -}}
{{- end -}}
{{- $secrets | toJson -}}
{{- end -}}

{{- define "inkpass.asksCluster" -}}
{{- if and .Values.identity.kubernetes.enabled (not (include "inkpass.isOpen" .)) -}}true{{- end -}}
{{- end -}}

{{- define "inkpass.serverMounts" -}}
{{ include "inkpass.mounts" . }}
{{- range $volume, $_ := include "inkpass.serverSecrets" . | fromJson }}
- name: {{ $volume }}
  mountPath: /etc/inkpass/{{ $volume }}
  readOnly: true
{{- end }}
{{- if include "inkpass.asksCluster" . }}
- name: cluster
  mountPath: /etc/inkpass/cluster
  readOnly: true
{{- end }}
{{- end -}}

{{- define "inkpass.serverVolumes" -}}
{{ include "inkpass.volumes" . }}
{{- range $volume, $secret := include "inkpass.serverSecrets" . | fromJson }}
{{ include "inkpass.secretVolume" (list $volume $secret) }}
{{- end }}
{{- if include "inkpass.asksCluster" . }}
# The API server gives the public keys of its tokens to service accounts, and presents a certificate of the cluster's CA.
- name: cluster
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3600
      - configMap:
          name: kube-root-ca.crt
          items:
            - {key: ca.crt, path: ca.crt}
{{- end }}
{{- end -}}

{{/* Who this process is, for traces, and whom it trusts with them. */}}
{{- define "inkpass.identityEnv" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: OTEL_RESOURCE_ATTRIBUTES
  value: service.namespace=$(POD_NAMESPACE),service.instance.id=$(POD_NAMESPACE).$(POD_NAME).inkpass,k8s.pod.name=$(POD_NAME),k8s.namespace.name=$(POD_NAMESPACE),k8s.node.name=$(NODE_NAME)
{{- if .Values.telemetry.otlpCaSecret }}
- name: OTEL_EXPORTER_OTLP_CERTIFICATE
  value: /etc/inkpass/collector/ca.crt
{{- end }}
{{- end -}}
