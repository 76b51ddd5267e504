{{/* Labels by which the operator's pods are found; they never change. */}}
{{- define "easycode.selector" -}}
app.kubernetes.io/name: easycode-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "easycode.labels" -}}
{{ include "easycode.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: easycode
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "easycode.image" -}}
{{ .Values.image.repository }}{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag }}{{ end }}
{{- end -}}

{{/* Labels by which client-admin's pods are found. The stacks' policies let pods of this name reach user-service. */}}
{{- define "easycode.clientAdmin.selector" -}}
app.kubernetes.io/name: easycode-client-admin
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "easycode.clientAdmin.labels" -}}
{{ include "easycode.clientAdmin.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: easycode
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Variable of a policy: whether a deletion is confirmed by the object's own name. */}}
{{- define "easycode.confirmed" -}}
- name: confirmed
  expression: >-
    has(oldObject.metadata.annotations) && 'easycode.io/confirm-delete' in oldObject.metadata.annotations
    && oldObject.metadata.annotations['easycode.io/confirm-delete'] == oldObject.metadata.name
{{- end -}}
