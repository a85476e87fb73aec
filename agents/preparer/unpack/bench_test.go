package unpack

import (
	"archive/tar"
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

// rounds is how often ours and the shell's are measured in turn. All of it stays on the disk until the end, some 4 GB.
const rounds = 9

// BenchmarkInstall measures what the preparer pays for one artifact of 200 MB in 5,000 files, digest and sync
// included, beside `sha256sum f && tar xzf f` on the same file in the same run. The ratio of the medians is the
// figure to keep: below 1 is faster than the shell, which does not even sync.
func BenchmarkInstall(b *testing.B) {
	if _, err := exec.LookPath("tar"); err != nil {
		b.Skip("no tar to compare with")
	}
	work := b.TempDir()
	if dir := os.Getenv("PLATYPUS_BENCH_DIR"); dir != "" {
		var err error
		work, err = os.MkdirTemp(dir, "install")
		must(b, err)
		b.Cleanup(func() { os.RemoveAll(work) })
	}
	archive := filepath.Join(work, "app.tar.gz")
	size := writeArtifact(b, archive, 5000, 200<<20)
	var mine, theirs, syncs []time.Duration
	ours := func(i int) {
		dir := filepath.Join(work, fmt.Sprint("ours", i))
		must(b, os.Mkdir(dir, 0o755))
		root, err := os.OpenRoot(dir)
		must(b, err)
		f, err := os.Open(archive)
		must(b, err)
		_, err = Archive(b.Context(), f, root, Limits{})
		must(b, err)
		synced := time.Now()
		must(b, Sync(dir))
		syncs = append(syncs, time.Since(synced))
		root.Close()
		f.Close()
	}
	shell := func(i int) {
		dir := filepath.Join(work, fmt.Sprint("shell", i))
		must(b, os.Mkdir(dir, 0o755))
		out, err := exec.Command("sh", "-c", "sha256sum "+archive+" && tar xzf "+archive+" -C "+dir).CombinedOutput()
		if err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
	for i := range rounds {
		mine = append(mine, timed(b, func() { ours(i) }))
		theirs = append(theirs, timed(b, func() { shell(i) }))
	}
	m, t := median(mine), median(theirs)
	b.ReportMetric(float64(m)/float64(t), "ratio")
	b.ReportMetric(m.Seconds()*1000, "ms/install")
	b.ReportMetric(t.Seconds()*1000, "ms/shell")
	b.ReportMetric(median(syncs).Seconds()*1000, "ms/sync")
	b.ReportMetric(float64(size)/(1<<20), "MiB/archive")
	b.ReportMetric(peakRSS(), "MiB/peak-rss")
	b.ReportMetric(0, "ns/op")
}

// timed runs one contender on a quiet disk. What it makes stays until the end: some file systems are many times
// slower at creating files right after many were deleted, and the next contender would pay for that.
func timed(b *testing.B, run func()) time.Duration {
	b.StopTimer()
	defer b.StartTimer()
	syscall.Sync()
	runtime.GC()
	start := time.Now()
	run()
	return time.Since(start)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// peakRSS reads the high-water mark of this process, in MiB; 0 where there is no /proc.
func peakRSS() float64 {
	data, _ := os.ReadFile("/proc/self/status")
	for line := range strings.SplitSeq(string(data), "\n") {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	return 0
}

// writeArtifact writes an archive of text-like files of mixed sizes, streaming, and returns its size.
func writeArtifact(tb testing.TB, name string, files, total int) int64 {
	f, err := os.Create(name)
	must(tb, err)
	buf := bufio.NewWriterSize(f, 1<<20)
	z := gzip.NewWriter(buf)
	w := tar.NewWriter(z)
	r := rand.New(rand.NewPCG(1, 2))
	words := make([][]byte, 3000)
	for i := range words {
		words[i] = fmt.Appendf(nil, "%x ", r.Uint64()>>(r.UintN(40)))
	}
	for i := range files {
		size := total / files / 2
		if i%10 == 0 {
			size = total/files*10 - 9*size
		}
		must(tb, w.WriteHeader(&tar.Header{Name: fmt.Sprintf("lib/d%02d/e%d/f%d", i/100, i/25%4, i), Mode: 0o644, Size: int64(size), ModTime: time.Unix(1700000000, 0), Typeflag: tar.TypeReg}))
		line := make([]byte, 0, size+32)
		for len(line) < size {
			line = append(line, words[r.IntN(len(words))]...)
		}
		_, err := w.Write(line[:size])
		must(tb, err)
	}
	must(tb, w.Close())
	must(tb, z.Close())
	must(tb, buf.Flush())
	st, err := f.Stat()
	must(tb, err)
	must(tb, f.Close())
	return st.Size()
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
