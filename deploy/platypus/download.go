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

// errLied says that a node sent something else.
var errLied = errors.New("it sent something else")

// download is one blob on its way here. What came lies beside its place under the name of its digest until it is whole
// and right, also when the program ends before.
type download struct {
	nodes  *nodes
	digest string
	path   string
	have   int64
}

func (d *download) part() string {
	return filepath.Join(filepath.Dir(d.path), "."+filepath.Base(d.path)+"."+d.digest[:16]+".part")
}

// giver is a node that says it holds a blob.
type giver struct {
	node, address string
	liar          bool
}

// run gets the blob from whichever of the nodes gives it, and goes on after each cut where the last one left off. It
// ends when none of them gets any further for a while.
func (d *download) run(ctx context.Context, holders []giver) (from string, err error) {
	began, pause := time.Now(), firstPause
	for {
		var errs []error
		before, hope := d.have, false
		for i, h := range holders {
			if h.liar {
				errs = append(errs, fmt.Errorf("%s: %w", h.node, errLied))
				continue
			}
			err := d.from(ctx, h.address)
			if err == nil {
				return h.node, nil
			}
			var final finalError
			var refused *refusedTLS
			if holders[i].liar = errors.Is(err, errLied); !holders[i].liar && !errors.As(err, &refused) && !errors.As(err, &final) {
				hope = true
			}
			errs = append(errs, fmt.Errorf("%s: %w", h.node, err))
		}
		if d.have > before {
			began, pause = time.Now(), firstPause
		}
		err = errors.Join(errs...)
		if !hope || ctx.Err() != nil || time.Since(began) > linkPatience {
			if d.have > 0 {
				err = fmt.Errorf("%w\n%d bytes are in %s, and the same command goes on with the rest", err, d.have, d.part())
			}
			return "", err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, mostPause)
	}
}

// from gets what is missing from one node. What was there before may be what is wrong, from a node that lied and was cut:
// then the whole is asked for.
func (d *download) from(ctx context.Context, address string) error {
	target, err := d.nodes.url(address, "/blob/"+d.digest)
	if err != nil {
		return err
	}
	resumed, err := d.once(ctx, target)
	if resumed && errors.Is(err, errLied) {
		_, err = d.once(ctx, target)
	}
	return err
}

// once gets what is missing and puts the file in its place, and reports whether something was there before.
func (d *download) once(ctx context.Context, target string) (resumed bool, err error) {
	f, err := os.OpenFile(d.part(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, finalError{err}
	}
	defer f.Close()
	sum := sha256.New()
	if d.have, err = io.Copy(sum, f); err != nil {
		return false, finalError{err}
	}
	resumed = d.have > 0
	if hex.EncodeToString(sum.Sum(nil)) != d.digest {
		if err := d.fill(ctx, target, f, sum); err != nil {
			if d.have == 0 {
				_ = os.Remove(f.Name())
			}
			return resumed, d.nodes.explain(err, strings.TrimSuffix(target, "/blob/"+d.digest))
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != d.digest {
		d.have = 0
		_ = os.Remove(f.Name())
		return resumed, fmt.Errorf("%w: sha256:%s", errLied, got)
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), os.Rename(f.Name(), d.path)); err != nil {
		return resumed, finalError{err}
	}
	return resumed, nil
}

// fill appends what is missing to a file.
func (d *download) fill(ctx context.Context, target string, f *os.File, sum hash.Hash) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return finalError{err}
	}
	if d.have > 0 {
		request.Header.Set("Range", "bytes="+strconv.FormatInt(d.have, 10)+"-")
	}
	stall := time.AfterFunc(linkStall, cancel)
	defer stall.Stop()
	response, err := d.nodes.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusOK && d.have > 0: // it cannot give a part: all of it comes anew
		sum.Reset()
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return finalError{err}
		}
		if err := f.Truncate(0); err != nil {
			return finalError{err}
		}
		d.have = 0
	case response.StatusCode == http.StatusOK, response.StatusCode == http.StatusPartialContent && d.have > 0:
	case response.StatusCode == http.StatusRequestedRangeNotSatisfiable && d.have > 0:
		return nil // more is here than there is: what is here is wrong, and is looked at next
	case response.StatusCode < 500:
		return finalError{fmt.Errorf("it answers %s", response.Status)}
	default:
		return fmt.Errorf("it answers %s", response.Status)
	}
	n, err := io.Copy(io.MultiWriter(f, sum), &prodded{response.Body, stall})
	d.have += n
	return err
}
