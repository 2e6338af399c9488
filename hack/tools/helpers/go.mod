module gallery-operator.dev/hack/tools/helpers

go 1.25.0
