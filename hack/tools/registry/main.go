// Command registry is the CNCF's registry (distribution) with what the tests need of it: blobs in files, redirects to
// another server, basic and token authentication. Its own main program would also build the drivers of three clouds.
package main

import (
	"os"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/auth/token"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/middleware/redirect"
)

func main() {
	if registry.RootCmd.Execute() != nil {
		os.Exit(1)
	}
}
