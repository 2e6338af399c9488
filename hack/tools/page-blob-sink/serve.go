package main

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type limits struct {
	rate              float64
	latency, patience time.Duration
}

type stats struct {
	Requests  atomic.Int64
	Pages     atomic.Int64
	PageBytes atomic.Int64
	Busy      atomic.Int64
	InFlight  atomic.Int64
}

type sink struct {
	folder  string
	verify  bool
	limits  limits
	mu      sync.Mutex
	blobs   map[string]*blob
	stats   stats
	buffers sync.Pool
}

// The CRC-64 that Azure Storage uses (also known as CRC-64/NVME).
var azureCRC64 = crc64.MakeTable(0x9A6C9329AC4BC9B5)

const mostPageBytes = 4 << 20

func newSink(folder string, verify bool, limits limits) *sink {
	s := &sink{folder: folder, verify: verify, limits: limits, blobs: map[string]*blob{}}
	s.buffers.New = func() any { b := make([]byte, mostPageBytes); return &b }
	return s
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("x-ms-error-code", code)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>%s</Code><Message>%s</Message></Error>", code, code)
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrived := time.Now()
	s.stats.Requests.Add(1)
	if strings.HasPrefix(r.URL.Path, "/-/") {
		s.control(w, r)
		return
	}
	query := r.URL.Query()
	h := w.Header()
	h.Set("x-ms-version", r.Header.Get("x-ms-version"))
	h.Set("x-ms-request-id", strconv.FormatInt(s.stats.Requests.Load(), 16))
	h.Set("x-ms-request-server-encrypted", "true")
	if id := r.Header.Get("x-ms-client-request-id"); id != "" {
		h.Set("x-ms-client-request-id", id)
	}
	if query.Get("restype") == "container" || query.Get("restype") == "account" {
		w.WriteHeader(map[string]int{"GET": 200, "HEAD": 200, "PUT": 201}[r.Method])
		return
	}
	operation := r.Method + " " + query.Get("comp")
	if operation == "PUT " {
		s.create(w, r)
		return
	}
	s.mu.Lock()
	b := s.blobs[r.URL.Path]
	s.mu.Unlock()
	if b == nil {
		fail(w, 404, "BlobNotFound")
		return
	}
	switch operation {
	case "PUT page":
		s.putPage(w, r, b, arrived)
	case "HEAD ", "GET ":
		s.read(w, r, b)
	case "GET pagelist":
		s.pageList(w, r, b)
	case "PUT metadata", "PUT properties":
		s.metadata(w, r, b, operation)
	case "PUT lease":
		s.lease(w, r, b)
	case "DELETE ":
		s.mu.Lock()
		delete(s.blobs, r.URL.Path)
		s.mu.Unlock()
		w.WriteHeader(202)
	default:
		fail(w, 501, "NotImplemented")
	}
}

func (s *sink) create(w http.ResponseWriter, r *http.Request) {
	size, err := strconv.ParseInt(r.Header.Get("x-ms-blob-content-length"), 10, 64)
	if err != nil || r.Header.Get("x-ms-blob-type") != "PageBlob" || size%pageSize != 0 {
		fail(w, 400, "InvalidHeaderValue")
		return
	}
	b := &blob{size: size, metadata: metadataOf(r), headers: map[string]string{}, etag: 1}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.blobs[r.URL.Path]; old != nil {
		if r.Header.Get("If-None-Match") == "*" {
			fail(w, 409, "BlobAlreadyExists")
			return
		}
		if code := old.admits(r.Header.Get("x-ms-lease-id")); code != "" && code != "LeaseNotPresentWithBlobOperation" {
			fail(w, 412, code)
			return
		}
	}
	if s.folder != "" {
		name := filepath.Join(s.folder, base64.RawURLEncoding.EncodeToString([]byte(r.URL.Path)))
		file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err == nil {
			err = file.Truncate(size)
		}
		if err != nil {
			fail(w, 500, "InternalError")
			return
		}
		b.file = file
	}
	s.blobs[r.URL.Path] = b
	stamp(w, b)
	w.WriteHeader(201)
}

func metadataOf(r *http.Request) map[string]string {
	found := map[string]string{}
	for name, values := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-ms-meta-") {
			found[lower] = values[0]
		}
	}
	return found
}

func stamp(w http.ResponseWriter, b *blob) {
	w.Header().Set("ETag", fmt.Sprintf("\"0x%X\"", b.etag))
	w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
}

func rangeOf(r *http.Request) (int64, int64, bool) {
	text := r.Header.Get("x-ms-range")
	if text == "" {
		text = r.Header.Get("Range")
	}
	var start, end int64
	if n, _ := fmt.Sscanf(text, "bytes=%d-%d", &start, &end); n == 2 {
		return start, end + 1, true
	}
	return 0, 0, false
}

func (s *sink) putPage(w http.ResponseWriter, r *http.Request, b *blob, arrived time.Time) {
	start, end, ok := rangeOf(r)
	length := end - start
	if !ok || start%pageSize != 0 || end%pageSize != 0 || length <= 0 {
		fail(w, 400, "InvalidHeaderValue")
		return
	}
	if length > mostPageBytes {
		fail(w, 413, "RequestBodyTooLarge")
		return
	}
	if end > b.size {
		fail(w, 416, "InvalidPageRange")
		return
	}
	cleared := r.Header.Get("x-ms-page-write") == "clear"
	s.stats.InFlight.Add(1)
	defer s.stats.InFlight.Add(-1)
	buffer := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buffer)
	data := (*buffer)[:length]
	if !cleared {
		if r.ContentLength != length {
			fail(w, 400, "InvalidHeaderValue")
			return
		}
		if _, err := io.ReadFull(r.Body, data); err != nil {
			return
		}
	}
	if code := b.admits(r.Header.Get("x-ms-lease-id")); code != "" {
		fail(w, 412, code)
		return
	}
	if code := s.damaged(r, w, data); code != "" && !cleared {
		fail(w, 400, code)
		return
	}
	if !cleared && !b.wait(length, arrived, s.limits) {
		s.stats.Busy.Add(1)
		w.Header().Set("Retry-After", "1")
		fail(w, 503, "ServerBusy")
		return
	}
	if b.file != nil {
		if cleared {
			clear(data)
		}
		if _, err := b.file.WriteAt(data, start); err != nil {
			fail(w, 500, "InternalError")
			return
		}
	}
	b.mark(start, end, cleared)
	s.stats.Pages.Add(1)
	if !cleared {
		s.stats.PageBytes.Add(length)
	}
	b.mu.Lock()
	stamp(w, b)
	b.mu.Unlock()
	w.Header().Set("x-ms-blob-sequence-number", "0")
	w.WriteHeader(201)
}

// damaged compares the bytes with the checksums that came with them.
func (s *sink) damaged(r *http.Request, w http.ResponseWriter, data []byte) string {
	if !s.verify {
		return ""
	}
	if text := r.Header.Get("Content-MD5"); text != "" {
		sum := md5.Sum(data)
		if base64.StdEncoding.EncodeToString(sum[:]) != text {
			return "Md5Mismatch"
		}
		w.Header().Set("Content-MD5", text)
	}
	if text := r.Header.Get("x-ms-content-crc64"); text != "" {
		sum := binary.LittleEndian.AppendUint64(nil, crc64.Checksum(data, azureCRC64))
		if base64.StdEncoding.EncodeToString(sum) != text {
			return "Crc64Mismatch"
		}
		w.Header().Set("x-ms-content-crc64", text)
	}
	return ""
}

func (s *sink) read(w http.ResponseWriter, r *http.Request, b *blob) {
	b.mu.Lock()
	stamp(w, b)
	h := w.Header()
	for name, value := range b.metadata {
		h.Set(name, value)
	}
	for name, value := range b.headers {
		h.Set(name, value)
	}
	h.Set("x-ms-blob-type", "PageBlob")
	h.Set("x-ms-blob-sequence-number", "0")
	h.Set("Accept-Ranges", "bytes")
	if b.leased() {
		h.Set("x-ms-lease-state", "leased")
		h.Set("x-ms-lease-status", "locked")
	} else {
		h.Set("x-ms-lease-state", "available")
		h.Set("x-ms-lease-status", "unlocked")
	}
	b.mu.Unlock()
	start, end, ranged := rangeOf(r)
	if !ranged {
		start, end = 0, b.size
	}
	end = min(end, b.size)
	h.Set("Content-Length", strconv.FormatInt(end-start, 10))
	status := 200
	if ranged {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, end-1, b.size))
		status = 206
	}
	if r.Method == "GET" && b.file == nil {
		h.Del("Content-Length")
		fail(w, 501, "NotImplemented")
		return
	}
	w.WriteHeader(status)
	if r.Method == "GET" {
		io.Copy(w, io.NewSectionReader(b.file, start, end-start))
	}
}

func (s *sink) pageList(w http.ResponseWriter, r *http.Request, b *blob) {
	start, end, ok := rangeOf(r)
	if !ok {
		start, end = 0, b.size
	}
	var body bytes.Buffer
	body.WriteString("<?xml version=\"1.0\" encoding=\"utf-8\"?><PageList>")
	for _, each := range b.ranges(start, end) {
		fmt.Fprintf(&body, "<PageRange><Start>%d</Start><End>%d</End></PageRange>", each.start, each.end-1)
	}
	body.WriteString("</PageList>")
	b.mu.Lock()
	stamp(w, b)
	b.mu.Unlock()
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("x-ms-blob-content-length", strconv.FormatInt(b.size, 10))
	w.Write(body.Bytes())
}

func (s *sink) metadata(w http.ResponseWriter, r *http.Request, b *blob, operation string) {
	if code := b.admits(r.Header.Get("x-ms-lease-id")); code != "" {
		fail(w, 412, code)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.etag++
	if operation == "PUT metadata" {
		b.metadata = metadataOf(r)
	} else if value := r.Header.Get("x-ms-blob-content-md5"); value != "" {
		b.headers["Content-MD5"] = value
	}
	stamp(w, b)
	w.WriteHeader(200)
}

func (s *sink) lease(w http.ResponseWriter, r *http.Request, b *blob) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id, proposed := r.Header.Get("x-ms-lease-id"), r.Header.Get("x-ms-proposed-lease-id")
	switch r.Header.Get("x-ms-lease-action") {
	case "acquire":
		if b.leased() && b.lease != proposed {
			fail(w, 409, "LeaseAlreadyPresent")
			return
		}
		seconds, _ := strconv.Atoi(r.Header.Get("x-ms-lease-duration"))
		b.lease, b.until = proposed, time.Now().Add(time.Duration(seconds)*time.Second)
		stamp(w, b)
		w.Header().Set("x-ms-lease-id", b.lease)
		w.WriteHeader(201)
	case "renew":
		if b.lease != id {
			fail(w, 409, "LeaseIdMismatchWithLeaseOperation")
			return
		}
		b.until = time.Now().Add(time.Minute)
		stamp(w, b)
		w.Header().Set("x-ms-lease-id", b.lease)
		w.WriteHeader(200)
	case "release":
		if b.lease != id {
			fail(w, 409, "LeaseIdMismatchWithLeaseOperation")
			return
		}
		b.lease = ""
		stamp(w, b)
		w.WriteHeader(200)
	default:
		fail(w, 400, "InvalidHeaderValue")
	}
}

// control answers the benchmark itself.
func (s *sink) control(w http.ResponseWriter, r *http.Request) {
	switch what, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/-/"), "/"); what {
	case "stats":
		json.NewEncoder(w).Encode(map[string]int64{
			"requests": s.stats.Requests.Load(), "pages": s.stats.Pages.Load(),
			"page_bytes": s.stats.PageBytes.Load(), "busy": s.stats.Busy.Load(),
		})
	case "sha256":
		s.mu.Lock()
		b := s.blobs["/"+name]
		s.mu.Unlock()
		if b == nil {
			fail(w, 404, "BlobNotFound")
			return
		}
		sum, err := b.digest()
		if err != nil {
			fail(w, 501, "NotImplemented")
			return
		}
		fmt.Fprintln(w, sum)
	case "reset":
		s.mu.Lock()
		for path, b := range s.blobs {
			if b.file != nil {
				os.Remove(b.file.Name())
				b.file.Close()
			}
			delete(s.blobs, path)
		}
		s.mu.Unlock()
		s.stats.Requests.Store(0)
		s.stats.Pages.Store(0)
		s.stats.PageBytes.Store(0)
		s.stats.Busy.Store(0)
	default:
		fail(w, 404, "NotFound")
	}
}
