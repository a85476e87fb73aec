package unpack

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"strings"
)

// Archive extracts src into the directory into, which has to be empty and private to the caller, and digests src on
// the way. A refused archive is an *Error; any other error comes from src, from the disk or from ctx.
//
// On a refusal the Result still carries the digest, so that a caller who knows the expected one can tell a bad
// archive from bytes damaged on the way. What was extracted by then stays in the directory for the caller to remove.
func Archive(ctx context.Context, src io.Reader, into *os.Root, lim Limits) (Result, error) {
	lim = lim.withDefaults()
	s := newReadAhead(ctx, src)
	defer s.stop()
	res, err := extract(ctx, s, into, lim)
	if err != nil && ctx.Err() != nil {
		return res, ctx.Err()
	}
	var refused *Error
	if err != nil && !errors.As(err, &refused) {
		return res, err
	}
	// The source is read to its end even behind a refusal: its own error outranks what the decoders made of it.
	sum, size, cut := s.digest()
	res.SHA256, res.Size = sum, size
	if cut != nil {
		return res, cut
	}
	return res, err
}

func extract(ctx context.Context, source *readAhead, into *os.Root, lim Limits) (Result, error) {
	p, err := newDecompressor(source, lim)
	if err != nil {
		return Result{}, classify("", err)
	}
	defer p.stop()
	x := &extraction{limits: lim, decompressor: p, tar: tar.NewReader(p), tree: newTree(lim), out: newFileWriters(into)}
	err = x.entries(ctx)
	if werr := x.out.finish(); err == nil {
		err = werr
	}
	if err == nil {
		err = x.tree.checkDeferredLinks()
	}
	return Result{Bytes: x.bytes, Files: x.tree.count}, err
}

// extraction is one archive on its way to the disk.
type extraction struct {
	limits       Limits
	decompressor *decompressor
	tar          *tar.Reader
	tree         *tree
	out          *fileWriters
	bytes        int64
}

// entries extracts one entry after the other, then checks how the archive ends.
func (x *extraction) entries(ctx context.Context) error {
	last := ""
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		before := x.decompressor.read
		h, err := x.tar.Next()
		if err == io.EOF {
			return x.end(n, last, x.decompressor.read-before)
		}
		if err != nil {
			return classify(last, err)
		}
		last = h.Name
		if err := x.entry(h); err != nil {
			return err
		}
	}
}

// end demands the two blank blocks and then nothing but blank padding. archive/tar itself is content when an archive
// just stops between two entries, which is what a cut file looks like; ate is what it read to learn of the end.
func (x *extraction) end(entries int, last string, ate int64) error {
	if ate < 1024 || x.decompressor.zeros < 1024 {
		return refuse(last, NoEnd)
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := x.decompressor.Read(buf)
		if x.decompressor.zeros < int64(n) {
			return refuse("", Trailing)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return classifyTrailing(err)
		}
	}
	if entries == 0 {
		return refuse("", Empty)
	}
	return nil
}

// classifyTrailing judges errors met behind the end of the tar archive, where a bad header is what garbage looks like.
func classifyTrailing(err error) error {
	err = classify("", err)
	var e *Error
	if errors.As(err, &e) && e.Reason == Corrupt {
		return &Error{Reason: Trailing, Err: e.Err}
	}
	return err
}

func (x *extraction) entry(h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return x.tree.countEntry(h.Name)
	}
	name, err := cleanName(h.Name, x.limits)
	if err != nil {
		return err
	}
	if err := x.parents(name); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return x.dir(name, h.FileInfo().Mode().Perm())
	case tar.TypeReg, tar.TypeGNUSparse:
		return x.file(name, h)
	case tar.TypeSymlink:
		return x.symlink(name, h.Linkname)
	case tar.TypeLink:
		return x.hardlink(name, h.Linkname)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return refuse(name, Special)
	default:
		return refusef(name, Unsupported, "type %q", h.Typeflag)
	}
}

func (x *extraction) parents(name string) error {
	made, err := x.tree.missingDirs(name)
	if err != nil {
		return err
	}
	for _, dir := range made {
		if err := x.out.mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// dir makes a directory. That of the tree itself is the caller's, who decides who may enter it.
func (x *extraction) dir(name string, mode os.FileMode) error {
	if name == "." {
		return x.tree.countEntry(name)
	}
	switch x.tree.kinds[name] {
	case directory:
		if err := x.tree.countEntry(name); err != nil {
			return err
		}
		return x.out.chmodDir(name, mode)
	case absent:
		if err := x.tree.add(name, directory); err != nil {
			return err
		}
		return x.out.mkdir(name, mode)
	default:
		return refuse(name, Clash)
	}
}

// claim takes a name for something that is not a directory; such a name is given once.
func (x *extraction) claim(name string, k kind) error {
	if name == "." || x.tree.kinds[name] != absent {
		return refuse(name, Clash)
	}
	return x.tree.add(name, k)
}

func (x *extraction) file(name string, h *tar.Header) error {
	if err := x.claim(name, file); err != nil {
		return err
	}
	// The size is judged before a byte of it is read, since a sparse file of terabytes is a header of 500 bytes.
	if x.bytes += h.Size; x.bytes > x.limits.Bytes || h.Size < 0 {
		return refusef(name, TooBig, "limit %d bytes for all files", x.limits.Bytes)
	}
	if err := x.decompressor.checkRatio(x.bytes); err != nil {
		return err
	}
	err := x.out.write(newFile{name: name, mode: h.FileInfo().Mode().Perm(), mtime: h.ModTime, size: h.Size}, x.tar)
	var disk *diskError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &disk):
		return disk.err
	default:
		return classify(name, err)
	}
}

func (x *extraction) symlink(name, target string) error {
	deferred, err := checkSymlink(name, target, x.limits)
	if err != nil {
		return err
	}
	if err := x.claim(name, link); err != nil {
		return err
	}
	if deferred {
		x.tree.deferredLinks[name] = target
	}
	return x.out.symlink(target, name)
}

// hardlink links only files this archive made: a link to a symbolic link would carry its ".." to another depth.
func (x *extraction) hardlink(name, target string) error {
	old, err := cleanName(strings.TrimSuffix(target, "/"), x.limits)
	if err != nil {
		return refusef(name, LinkEscapes, "%.200q", target)
	}
	if old == name && x.tree.kinds[name] == file {
		return x.tree.countEntry(name)
	}
	if x.tree.kinds[old] != file {
		return refusef(name, LinkMissing, "%.200q", target)
	}
	if err := x.claim(name, file); err != nil {
		return err
	}
	return x.out.link(old, name)
}
