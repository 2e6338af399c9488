{{- define "gallery-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Name of all resources: the release's, without saying the chart's name twice. */}}
{{- define "gallery-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := include "gallery-operator.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "gallery-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "gallery-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "gallery-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "gallery-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "gallery-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "gallery-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "gallery-operator.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end }}
{{- end }}

{{/* ConfigMap with the private CA, or nothing. */}}
{{- define "gallery-operator.caConfigMap" -}}
{{- if and .Values.azure.caBundle .Values.azure.caBundleConfigMap.name }}
{{- fail "set one of azure.caBundle and azure.caBundleConfigMap.name, not both" }}
{{- end }}
{{- if .Values.azure.caBundle }}
{{- printf "%s-ca" (include "gallery-operator.fullname" . | trunc 60 | trimSuffix "-") }}
{{- else }}
{{- .Values.azure.caBundleConfigMap.name }}
{{- end }}
{{- end }}

{{/* Labels of the Jobs' pods; operator/gallery_operator/planning/jobs.py sets them. */}}
{{- define "gallery-operator.jobSelector" -}}
app.kubernetes.io/name: gallery-operator
app.kubernetes.io/managed-by: gallery-operator
{{- end }}

{{- define "gallery-operator.validate" -}}
{{- $identity := .Values.azure.workloadIdentity }}
{{- if and $identity.enabled .Values.azure.credentialSecret }}
{{- fail "set one of azure.workloadIdentity.enabled and azure.credentialSecret, not both: the secret would be used" }}
{{- end }}
{{- if and $identity.enabled (not .Values.azure.clientId) }}
{{- fail "azure.workloadIdentity.enabled needs azure.clientId (the identity's client id)" }}
{{- end }}
{{- if and $identity.enabled (eq $identity.mode "projected") (not .Values.azure.tenantId) }}
{{- fail "azure.workloadIdentity.mode projected needs azure.tenantId" }}
{{- end }}
{{- end }}
