{{/* What the operator is told about Azure. What is empty is left out: the program has its own defaults. */}}
{{- define "gallery-operator.azureEnvironment" -}}
{{- $azure := .Values.azure }}
{{- $identity := $azure.workloadIdentity }}
{{- $secret := $azure.credentialSecret }}
{{- $plain := dict
  "AZURE_AUTHORITY_HOST" $azure.authorityHost
  "AZURE_RESOURCE_MANAGER_ENDPOINT" $azure.resourceManagerEndpoint
  "AZURE_RESOURCE_MANAGER_AUDIENCE" $azure.resourceManagerAudience
  "AZURE_TENANT_ID" $azure.tenantId
  "AZURE_CLIENT_ID" $azure.clientId
  "AZURE_SUBSCRIPTION_ID" $azure.subscriptionId
  "GALLERY_OPERATOR_STORAGE_API_VERSION" $azure.storageApiVersion
  "GALLERY_OPERATOR_AZURE_RATE_FACTOR" ($azure.rateFactor | default "" | toString)
}}
{{- if and $identity.enabled (eq $identity.mode "projected") }}
{{- $_ := set $plain "AZURE_FEDERATED_TOKEN_FILE" "/var/run/secrets/azure/tokens/azure-identity-token" }}
{{- end }}
{{- if include "gallery-operator.caConfigMap" . }}
{{- $_ := set $plain "SSL_CERT_FILE" "/etc/gallery-operator/ca/ca.crt" }}
{{- $_ := set $plain "REQUESTS_CA_BUNDLE" "/etc/gallery-operator/ca/ca.crt" }}
{{- end }}
{{- $lines := list }}
{{- range $name, $value := $plain }}
{{- if $value }}
{{- $lines = append $lines (dict "name" $name "value" $value) }}
{{- end }}
{{- end }}
{{- if $secret }}
{{- range list "AZURE_TENANT_ID" "AZURE_CLIENT_ID" "AZURE_SUBSCRIPTION_ID" "AZURE_CLIENT_SECRET" "AZURE_CLIENT_CERTIFICATE" "AZURE_CLIENT_CERTIFICATE_PASSWORD" }}
{{- if not (get $plain .) }}
{{- $reference := dict "name" $secret "key" . "optional" true }}
{{- $lines = append $lines (dict "name" . "valueFrom" (dict "secretKeyRef" $reference)) }}
{{- end }}
{{- end }}
{{- end }}
{{- with $lines }}
{{- toYaml . }}
{{- end }}
{{- end }}
