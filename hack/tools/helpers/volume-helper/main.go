// Command volume-helper makes and removes the folders behind persistent volumes. local-path-provisioner runs it
// in a pod as `volume-helper -p PATH -s BYTES -m MODE -a ACTION`, with ACTION create or delete.
package main

import (
	"flag"
	"fmt"
	"os"
)

// A new file system on a disk belongs to root with this mode; a pod gets write access through its fsGroup.
const mode = 0o755

func run() error {
	path := flag.String("p", "", "folder of the volume")
	action := flag.String("a", "", "create or delete")
	flag.String("s", "", "size in bytes, not enforced")
	flag.String("m", "", "volume mode, always Filesystem")
	flag.Parse()
	if *path == "" {
		return fmt.Errorf("no folder given with -p")
	}
	switch *action {
	case "create":
		if err := os.MkdirAll(*path, mode); err != nil {
			return err
		}
		return os.Chmod(*path, mode) // whatever the umask
	case "delete":
		return os.RemoveAll(*path)
	}
	return fmt.Errorf("unknown action %q", *action)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "volume-helper:", err)
		os.Exit(1)
	}
}
