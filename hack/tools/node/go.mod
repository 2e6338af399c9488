module gallery-operator.dev/hack/tools/node

go 1.25.0
