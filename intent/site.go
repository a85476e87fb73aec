package intent

import (
	"fmt"
	"path"
	"strings"
)

// Site is a folder of files that every node serves: the value of sites/<name>. Its manifest, a blob, lists the files;
// nothing else is served.
type Site struct {
	Manifest  string            `json:"manifest"`            // "sha256:…" of a [Manifest]; required
	Hosts     []string          `json:"hosts,omitempty"`     // in addition to its name
	NotFound  string            `json:"not_found,omitempty"` // path of the page for status 404; /404.html if the site has one
	Fallback  string            `json:"fallback,omitempty"`  // path served instead of a missing one, for a single-page app
	Redirects map[string]string `json:"redirects,omitempty"` // from a path to a path or address
	MaxAge    Duration          `json:"max_age,omitempty"`   // how long a cache may keep a page without asking
}

// Manifest lists the files of a site by their request path.
type Manifest struct {
	Files map[string]File `json:"files"`
}

// File is one file of a site.
type File struct {
	SHA256 string `json:"sha256"` // 64 hexadecimal digits
	Size   int64  `json:"size"`   // bytes
	Type   string `json:"type"`   // Content-Type
	Gzip   string `json:"gzip,omitempty"`
}

// Blob is content that nodes store: the value of blobs/<digest>, with the digest as 64 hexadecimal digits.
type Blob struct {
	Name   string `json:"name,omitempty"`   // its original file name
	Size   int    `json:"size,omitempty"`   // bytes
	Copies int    `json:"copies,omitempty"` // on how many nodes; 2 when unset
}

// DefaultCopies is the default number of nodes that store a blob.
const DefaultCopies = 2

// SiteOf reads the value of a site's key. If the problems contain an error, the site must not be used.
func SiteOf(key string, data []byte) (Site, Problems) {
	var s Site
	return s, decode(key, data, &s)
}

// BlobOf reads the value of a blob's key. If the problems contain an error, the blob must not be used.
func BlobOf(key string, data []byte) (Blob, Problems) {
	var b Blob
	return b, decode(key, data, &b)
}

// Digest returns the digest of the manifest, 64 hexadecimal digits.
func (s Site) Digest() string {
	digest, _ := digestOf(s.Manifest)
	return digest
}

func (s *Site) check(p *parser, v *value, pointer string) {
	complain := p.memberErrorf(v, pointer)
	if _, ok := digestOf(s.Manifest); !ok {
		complain("manifest", "manifest %q is not sha256: and 64 hexadecimal digits: platypus site DIR NAME makes one", truncate(s.Manifest))
	}
	for _, host := range s.Hosts {
		if _, err := ParseName(host); err != nil || host != strings.ToLower(strings.TrimSuffix(host, ".")) {
			complain("hosts", "host %q is not a plain name in lower case, without a port", truncate(host))
		}
	}
	for name, page := range map[string]string{"not_found": s.NotFound, "fallback": s.Fallback} {
		if page != "" {
			if why := pageFault(page); why != "" {
				complain(name, "%s", why)
			}
		}
	}
	for from, to := range s.Redirects {
		if why := pageFault(from); why != "" {
			complain("redirects", "%s", why)
		}
		if !strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "https://") && !strings.HasPrefix(to, "http://") ||
			strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\r\n\x00\\") {
			complain("redirects", "%q leads to %q, which is neither a path nor an address", truncate(from), truncate(to))
		}
	}
}

// pageFault says why a path is not valid in a site, or "".
func pageFault(page string) string {
	if !strings.HasPrefix(page, "/") || path.Clean(page) != strings.TrimSuffix(page, "/") && page != "/" || strings.ContainsAny(page, "\x00\\") {
		return fmt.Sprintf("path %q must be plain and begin with /", truncate(page))
	}
	return ""
}

func (b *Blob) check(p *parser, v *value, pointer string) {
	complain := p.memberErrorf(v, pointer)
	if b.Size < 0 {
		complain("size", "size must not be negative")
	}
	if b.Copies < 0 || b.Copies > maxReplicas {
		complain("copies", "copies must be within 0 to %d", maxReplicas)
	}
}
