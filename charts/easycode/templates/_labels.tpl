{{- define "easycode.labels" -}}
app.kubernetes.io/name: easycode-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: easycode
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}
