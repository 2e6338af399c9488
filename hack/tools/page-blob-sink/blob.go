package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"sort"
	"sync"
	"time"
)

const pageSize = 512

type extent struct{ start, end int64 }

// blob is one page blob; its lock guards all but the file, which is written at offsets without it.
type blob struct {
	mu       sync.Mutex
	size     int64
	metadata map[string]string
	headers  map[string]string
	lease    string
	until    time.Time
	etag     int
	written  []extent // in order, apart from each other
	file     *os.File
	turn     time.Time // when the bytes taken so far will have been written, at the limit's rate
}

// mark notes that a range was written, or cleared.
func (b *blob) mark(start, end int64, cleared bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.etag++
	// The extents that the range overlaps or touches are written[first:last].
	first := sort.Search(len(b.written), func(i int) bool { return b.written[i].end >= start })
	last := first
	for last < len(b.written) && b.written[last].start <= end {
		last++
	}
	var kept []extent
	if cleared {
		for _, each := range b.written[first:last] {
			if each.start < start {
				kept = append(kept, extent{each.start, min(each.end, start)})
			}
			if each.end > end {
				kept = append(kept, extent{max(each.start, end), each.end})
			}
		}
	} else {
		whole := extent{start, end}
		if first < last {
			whole.start = min(whole.start, b.written[first].start)
			whole.end = max(whole.end, b.written[last-1].end)
		}
		kept = []extent{whole}
	}
	b.written = append(b.written[:first:first], append(kept, b.written[last:]...)...)
}

// ranges lists what of a window was written.
func (b *blob) ranges(start, end int64) []extent {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []extent
	for _, each := range b.written {
		if each.start < end && each.end > start {
			found = append(found, extent{max(each.start, start), min(each.end, end)})
		}
	}
	return found
}

// leased tells whether a lease keeps out who shows this id.
func (b *blob) leased() bool { return b.lease != "" && time.Now().Before(b.until) }

// admits is the answer to a write with this lease id: an error code, empty when it may go on.
func (b *blob) admits(id string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.leased() && id == "":
		return "LeaseIdMissing"
	case b.leased() && id != b.lease:
		return "LeaseIdMismatchWithBlobOperation"
	case !b.leased() && id != "":
		return "LeaseNotPresentWithBlobOperation"
	}
	return ""
}

// wait reserves the time that a number of bytes takes at the limit's rate. False: it would have to wait too long.
func (b *blob) wait(length int64, arrived time.Time, limits limits) bool {
	ready := arrived.Add(limits.latency)
	if limits.rate > 0 {
		b.mu.Lock()
		if b.turn.Before(arrived) {
			b.turn = arrived
		}
		if b.turn.Sub(arrived) > limits.patience {
			b.mu.Unlock()
			return false
		}
		b.turn = b.turn.Add(time.Duration(float64(length) / limits.rate * float64(time.Second)))
		if b.turn.After(ready) {
			ready = b.turn
		}
		b.mu.Unlock()
	}
	time.Sleep(time.Until(ready))
	return true
}

func (b *blob) digest() (string, error) {
	if b.file == nil {
		return "", os.ErrInvalid
	}
	sum := sha256.New()
	_, err := io.CopyBuffer(sum, io.NewSectionReader(b.file, 0, b.size), make([]byte, 1<<20))
	return hex.EncodeToString(sum.Sum(nil)), err
}
