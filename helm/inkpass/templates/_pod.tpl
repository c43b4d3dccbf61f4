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
    tolerationSeconds: {{ $.Values.nodeLossTolerationSeconds }}
  {{- end }}
  {{- with .Values.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "inkpass.podAnnotations" -}}
kubectl.kubernetes.io/default-container: inkpass
checksum/settings: {{ include "inkpass.settings" . | sha256sum }}
{{- end -}}

{{- define "inkpass.mounts" -}}
- name: settings
  mountPath: /etc/inkpass/settings
  readOnly: true
- name: keys
  mountPath: /etc/inkpass/keys
  readOnly: true
{{- end -}}

{{/* Directories, not single files: a single file would never be updated. */}}
{{- define "inkpass.volumes" -}}
- name: settings
  configMap:
    name: {{ include "inkpass.name" . }}
- name: keys
  secret:
    secretName: {{ include "inkpass.keysSecret" . }}
    # 0644, the default, is open to every user, and refused.
    defaultMode: 0440
{{- end -}}

{{/* Who this process is, for traces. */}}
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
{{- end -}}
