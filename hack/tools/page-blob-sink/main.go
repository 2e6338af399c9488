// page-blob-sink is a small fast server of page blobs for benchmarks: it takes what uploaders send as quickly as
// the machine allows, so that their own cost is what is measured. It knows Create, Put Page (write and clear), Get
// Properties, Get Page Ranges, leases, metadata and Get Blob, checks no signature, and keeps everything in memory
// except the content, which goes to a sparse file or nowhere.
//
//	page-blob-sink -listen 127.0.0.1:0 [-folder DIR] [-verify] [-certificate F -key F] [-rate BYTES -latency 40ms]
//
// It prints its address on the first line. GET /-/stats tells what was done, as JSON; GET /-/sha256/<container>/<blob>
// the digest of a blob's content (with -folder only); POST /-/reset forgets everything.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	folder := flag.String("folder", "", "keep content as sparse files here; empty throws it away")
	verify := flag.Bool("verify", false, "compare Content-MD5 and x-ms-content-crc64 with the bytes")
	certificate := flag.String("certificate", "", "PEM file of the server's certificate; with it TLS is spoken")
	key := flag.String("key", "", "PEM file of its key")
	rate := flag.Float64("rate", 0, "bytes per second that one blob takes; 0: no limit (Azure: 62914560)")
	latency := flag.Duration("latency", 0, "shortest time from a request to its answer (Azure: about 40ms)")
	patience := flag.Duration("patience", 3*time.Second, "a request that would wait longer for its turn gets 503 ServerBusy")
	flag.Parse()

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	scheme := "http"
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *key)
		if err != nil {
			log.Fatal(err)
		}
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
		scheme = "https"
	}
	sink := newSink(*folder, *verify, limits{rate: *rate, latency: *latency, patience: *patience})
	fmt.Printf("%s://%s\n", scheme, listener.Addr())
	server := &http.Server{Handler: sink, ErrorLog: log.New(os.Stderr, "", log.LstdFlags)}
	log.Fatal(server.Serve(listener))
}
