package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"aead.dev/minisign"

	"github.com/platypus-platform/platypus/agents/internal/fetch"
	"github.com/platypus-platform/platypus/intent"
)

// What vouches for an install, as reports and records say it.
const (
	byIntent   = "sha256 of intent"
	bySidecar  = "sha256 beside the artifact"
	unverified = "unverified"
)

// maxSidecar bounds a digest or signature file, in bytes.
const maxSidecar = 64 << 10

// keys are the minisign keys this host trusts.
type keys []minisign.PublicKey

// readKeys reads an allow-list: one public key a line, as minisign writes them; other lines are comments.
func readKeys(file string) (keys, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all keys
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "untrusted comment:") {
			continue
		}
		var k minisign.PublicKey
		if err := k.UnmarshalText([]byte(line)); err != nil {
			return nil, fmt.Errorf("%s:%d: not a minisign public key", file, n)
		}
		all = append(all, k)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s holds no key", file)
	}
	return all, nil
}

// verification is what an artifact's content is held against.
type verification struct {
	sha256    string // "" when nothing says what it must be
	signature []byte
	by        string
}

// expected finds what vouches for an artifact, and refuses when that is less than the policy wants.
func (h *preparer) expected(ctx context.Context, s Step, a artifact) (verification, error) {
	p := verification{by: unverified}
	if s.SHA256 != "" {
		p.sha256, p.by = s.SHA256, byIntent
	} else if err := h.fromSidecar(ctx, &p, a); err != nil {
		return p, err
	}
	switch {
	case s.Require == intent.RequireSignature:
		return p, h.signature(ctx, &p, a)
	case p.sha256 == "" && (s.Require == intent.RequireDigest || s.Require == intent.RequireUnset && a.remote()):
		return p, stepErrorf(NoDigest, "nothing says what %s must be: give its sha256 in intent, or publish %[1]s.sha256", a.name())
	}
	return p, nil
}

func (h *preparer) fromSidecar(ctx context.Context, p *verification, a artifact) error {
	data, err := fetch.Small(ctx, h.request(a.beside(".sha256")), maxSidecar)
	if fetch.ReasonOf(err) == fetch.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	sum, ok := sidecarDigest(string(data), a.name())
	if !ok {
		return stepErrorf(DigestMismatch, "%s.sha256 holds no sha256 of %[1]s", a.name())
	}
	p.sha256, p.by = sum, bySidecar
	return nil
}

// sidecarDigest finds the digest of a file in the output of sha256sum (also with --tag), or a bare digest.
func sidecarDigest(text, name string) (string, bool) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if tagged, rest, ok := strings.Cut(line, ") = "); ok {
			if file, isSum := strings.CutPrefix(tagged, "SHA256 ("); isSum && path.Base(file) == name && isSHA256(rest) {
				return strings.ToLower(rest), true
			}
			continue
		}
		sum, file, _ := strings.Cut(line, " ")
		file = strings.TrimPrefix(strings.TrimSpace(file), "*")
		if isSHA256(sum) && (file == "" || path.Base(file) == name) {
			return strings.ToLower(sum), true
		}
	}
	return "", false
}

func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32
}

func (h *preparer) signature(ctx context.Context, p *verification, a artifact) error {
	if len(h.options.keys) == 0 {
		return stepErrorf(Unsigned, "a signature is required, and this host trusts no key: give --keys")
	}
	data, err := fetch.Small(ctx, h.request(a.beside(".minisig")), maxSidecar)
	if fetch.ReasonOf(err) == fetch.NotFound {
		return stepErrorf(Unsigned, "a signature is required, and there is no %s.minisig", a.name())
	}
	p.signature = data
	return err
}

// signedReader reads src on behalf of the extraction and digests it for the signature, if there is one.
func (p *verification) signedReader(src io.Reader) (io.Reader, *minisign.Reader) {
	if p.signature == nil {
		return src, nil
	}
	r := minisign.NewReader(src)
	return r, r
}

// check holds the content against the proof. It is called when all of the content has been read.
func (p *verification) check(sum string, read *minisign.Reader, trusted keys, name string) error {
	if p.sha256 != "" && sum != p.sha256 {
		return stepErrorf(DigestMismatch, "%s has sha256 %s, want %s (%s)", name, sum, p.sha256, p.by)
	}
	if read == nil {
		return nil
	}
	var s minisign.Signature
	if err := s.UnmarshalText(p.signature); err != nil {
		return stepErrorf(Unsigned, "%s.minisig is no signature", name)
	}
	for _, k := range trusted {
		if !read.Verify(k, p.signature) {
			continue
		}
		if file, ok := signedName(s.TrustedComment); ok && file != name {
			return stepErrorf(Unsigned, "the signature is that of %s, not of %s", file, name)
		}
		p.by = fmt.Sprintf("signature of %016X (%s)", k.ID(), s.TrustedComment)
		return nil
	}
	return stepErrorf(Unsigned, "the signature of %s is by no trusted key, or of other content", name)
}

// signedName finds the file name that minisign puts into the trusted comment, which keeps a good signature from being
// moved to another version.
func signedName(comment string) (string, bool) {
	for field := range strings.FieldsSeq(comment) {
		if name, ok := strings.CutPrefix(field, "file:"); ok {
			return name, true
		}
	}
	return "", false
}
