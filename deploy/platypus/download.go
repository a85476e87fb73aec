package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// errWrongContent: the content from a node does not match the digest.
var errWrongContent = errors.New("it sent something else")

// download is one download of a blob. Received bytes stay in a file next to the target, named after the digest, until
// they are complete and verified, even if the program ends before.
type download struct {
	client *nodeClient
	digest string
	path   string
	have   int64
}

func (d *download) partPath() string {
	return filepath.Join(filepath.Dir(d.path), "."+filepath.Base(d.path)+"."+d.digest[:16]+".part")
}

// sourceNode is a node that claims to hold a blob.
type sourceNode struct {
	node, address string
	wrongContent  bool
}

// run downloads the blob from any of the nodes and resumes after each interruption. It ends when none of them makes
// progress for a while.
func (d *download) run(ctx context.Context, holders []sourceNode) (from string, err error) {
	began, pause := time.Now(), firstPause
	for {
		var errs []error
		before, hope := d.have, false
		for i, h := range holders {
			if h.wrongContent {
				errs = append(errs, fmt.Errorf("%s: %w", h.node, errWrongContent))
				continue
			}
			err := d.fetchFrom(ctx, h.address)
			if err == nil {
				return h.node, nil
			}
			var final permanentError
			var refused *tlsError
			if holders[i].wrongContent = errors.Is(err, errWrongContent); !holders[i].wrongContent && !errors.As(err, &refused) && !errors.As(err, &final) {
				hope = true
			}
			errs = append(errs, fmt.Errorf("%s: %w", h.node, err))
		}
		if d.have > before {
			began, pause = time.Now(), firstPause
		}
		err = errors.Join(errs...)
		if !hope || ctx.Err() != nil || time.Since(began) > linkTimeout {
			if d.have > 0 {
				err = fmt.Errorf("%w\n%d bytes are in %s, and the same command goes on with the rest", err, d.have, d.partPath())
			}
			return "", err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, maxPause)
	}
}

// fetchFrom downloads the rest from one node. If the result is wrong, bytes of an earlier node may be at fault: then it
// downloads everything again.
func (d *download) fetchFrom(ctx context.Context, address string) error {
	target, err := d.client.url(address, "/blob/"+d.digest)
	if err != nil {
		return err
	}
	resumed, err := d.resume(ctx, target)
	if resumed && errors.Is(err, errWrongContent) {
		_, err = d.resume(ctx, target)
	}
	return err
}

// resume downloads the rest and moves the file to its target. resumed reports whether bytes existed before.
func (d *download) resume(ctx context.Context, target string) (resumed bool, err error) {
	f, err := os.OpenFile(d.partPath(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, permanentError{err}
	}
	defer f.Close()
	sum := sha256.New()
	if d.have, err = io.Copy(sum, f); err != nil {
		return false, permanentError{err}
	}
	resumed = d.have > 0
	if hex.EncodeToString(sum.Sum(nil)) != d.digest {
		if err := d.appendMissing(ctx, target, f, sum); err != nil {
			if d.have == 0 {
				_ = os.Remove(f.Name())
			}
			return resumed, d.client.explainTLS(err, strings.TrimSuffix(target, "/blob/"+d.digest))
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != d.digest {
		d.have = 0
		_ = os.Remove(f.Name())
		return resumed, fmt.Errorf("%w: sha256:%s", errWrongContent, got)
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), os.Rename(f.Name(), d.path)); err != nil {
		return resumed, permanentError{err}
	}
	return resumed, nil
}

// appendMissing appends the missing bytes to a file.
func (d *download) appendMissing(ctx context.Context, target string, f *os.File, sum hash.Hash) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return permanentError{err}
	}
	if d.have > 0 {
		request.Header.Set("Range", "bytes="+strconv.FormatInt(d.have, 10)+"-")
	}
	stall := time.AfterFunc(stallTimeout, cancel)
	defer stall.Stop()
	response, err := d.client.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusOK && d.have > 0: // the node does not support ranges: everything is sent again
		sum.Reset()
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return permanentError{err}
		}
		if err := f.Truncate(0); err != nil {
			return permanentError{err}
		}
		d.have = 0
	case response.StatusCode == http.StatusOK, response.StatusCode == http.StatusPartialContent && d.have > 0:
	case response.StatusCode == http.StatusRequestedRangeNotSatisfiable && d.have > 0:
		return nil // the local part is longer than the blob: it is wrong, and verified next
	case response.StatusCode < 500:
		return permanentError{fmt.Errorf("it answers %s", response.Status)}
	default:
		return fmt.Errorf("it answers %s", response.Status)
	}
	n, err := io.Copy(io.MultiWriter(f, sum), &stallReader{response.Body, stall})
	d.have += n
	return err
}
