module gallery-operator.dev/hack/tools/page-blob-sink

go 1.25.0
