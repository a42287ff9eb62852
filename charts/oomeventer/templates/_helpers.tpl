{{- define "oomeventer.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "oomeventer.serviceAccount" -}}
{{- default (include "oomeventer.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{- /* A cluster has one of each name: the namespace tells two releases' apart. */}}
{{- define "oomeventer.clusterName" -}}
{{- $name := include "oomeventer.fullname" . }}
{{- eq $name .Release.Namespace | ternary $name (printf "%s-%s" .Release.Namespace $name) }}
{{- end }}

{{- define "oomeventer.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "oomeventer.labels" -}}
{{ include "oomeventer.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "oomeventer.image" -}}
{{- with .Values.image }}
{{- if not .repository }}{{ fail "no image is published yet: build it (make image), push it to a registry of yours, and name it: --set image.repository=YOUR-REGISTRY/oomeventer" }}{{ end }}
{{- if .digest }}{{ .repository }}@{{ .digest }}
{{- else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Numbers reach a template as floats, which would be written 8.64e+06. */}}
{{- define "oomeventer.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ printf "%.0f" . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* The annotation that leads to an alert's section of docs/alerts.md. Of: the root, the alert's name. */}}
{{- define "oomeventer.runbook" -}}
{{- with (first .).Values.prometheusRule.runbookBaseUrl }}
runbook_url: {{ printf "%s#%s" . (last $ | lower) | quote }}
{{- end }}
{{- end }}
