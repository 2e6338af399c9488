// Command s3-server is S3-compatible storage in memory that verifies signatures of version 4: rclone's, with keys.
//
//	s3-server ACCESS_KEY_ID:SECRET_ACCESS_KEY
//
// It listens on a free port of 127.0.0.1 and prints its URL.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"
)

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("usage: s3-server ACCESS_KEY_ID:SECRET_ACCESS_KEY")
	}
	id, secret, found := strings.Cut(arguments[0], ":")
	if !found {
		return fmt.Errorf("a pair of keys is written as ID:SECRET")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	storage := gofakes3.New(s3mem.New(), gofakes3.WithV4Auth(map[string]string{id: secret}))
	return http.Serve(listener, storage.Server())
}
