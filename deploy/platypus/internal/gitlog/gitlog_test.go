package gitlog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
	"github.com/platypus-platform/platypus/store/history"
)

// fixture is a history and a git repository that mirrors it.
type fixture struct {
	*testing.T
	store *store.Store
	tree  intent.Tree
	log   *history.Log
	repo  *Repo
	rng   *rand.Rand
	n     int // number of commits
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git")
	}
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	s, err := store.Open(store.Config{Address: embedtest.Start(t)})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := intent.ParseRoot("test")
	if err != nil {
		t.Fatal(err)
	}
	w := &fixture{t, s, tree, history.Open(s, tree), &Repo{Dir: filepath.Join(t.TempDir(), "intent.git")}, rand.New(rand.NewPCG(1, 2)), 0}
	if err := w.repo.Init(t.Context(), "intent"); err != nil {
		t.Fatal(err)
	}
	return w
}

// addCommits adds commits that set and delete some of twenty keys; every third one has no message.
func (w *fixture) addCommits(n int) {
	w.Helper()
	for range n {
		w.n++
		r := history.Request{Note: history.Note{Author: history.Author{Name: "ann@desk", Proof: history.Claimed}}}
		if w.n%3 > 0 {
			r.Note.Message = fmt.Sprintf("change %d", w.n)
		}
		e := history.Edit{Key: fmt.Sprintf("nodes/n%d/app", w.rng.IntN(20)), Value: fmt.Appendf(nil, `{"cluster": "c%d"}`, w.n)}
		if live, err := w.log.Live(w.Context(), e.Key); err == nil && live[e.Key] > 0 && w.rng.IntN(4) == 0 {
			e.Value, e.Delete = nil, true
		}
		r.Edits = []history.Edit{e}
		if _, err := w.log.Commit(w.Context(), r); err != nil {
			w.Fatal(err)
		}
	}
}

// mirror exports what is new to the repository.
func (w *fixture) mirror() (e Result) {
	w.Helper()
	if err := w.repo.Import(w.Context(), func(out io.Writer) (err error) {
		e, err = Export(w.Context(), w.log, out, Target{Branch: "intent", Repo: w.repo})
		return err
	}); err != nil {
		w.Fatal(err)
	}
	return e
}

func (w *fixture) git(args ...string) string {
	w.Helper()
	out, err := w.repo.git(w.Context(), args...)
	if err != nil {
		w.Fatal(err)
	}
	return out
}

// files returns the files that git has at a commit.
func (w *fixture) files(ref string) string {
	var b strings.Builder
	for path := range strings.Lines(w.git("ls-tree", "-r", "--name-only", ref)) {
		path = strings.TrimSuffix(path, "\n")
		fmt.Fprintf(&b, "%s %s\n", path, w.git("cat-file", "blob", ref+":"+path))
	}
	return b.String()
}

// stateAt returns the same for the history.
func (w *fixture) stateAt(seq uint64) string {
	w.Helper()
	s, err := w.log.At(w.Context(), seq)
	if err != nil || len(s.Faults) > 0 {
		w.Fatal(err, s.Faults)
	}
	var b strings.Builder
	for v := range s.All("") {
		fmt.Fprintf(&b, "%s.json %s\n", v.Key, v.Data)
	}
	return b.String()
}

func (w *fixture) compact(keep int) {
	w.Helper()
	if _, err := w.log.Compact(w.Context(), history.Keep{Commits: keep}); err != nil {
		w.Fatal(err)
	}
}

// Mirrors a history night by night while it is compacted: git has every commit unchanged.
func TestExportOnto_Nightly(t *testing.T) {
	w := newFixture(t)
	nights, each := 8, 60
	if os.Getenv("PLATYPUS_FAULTS") != "" {
		nights, each = 30, 334
	}
	for night := range nights {
		w.addCommits(each)
		if night == 2 {
			if _, err := w.log.Tag(t.Context(), history.Tag{Name: "old", Seq: uint64(2*each + 1)}); err != nil {
				t.Fatal(err)
			}
		}
		if night == 3 { // of a commit that git already has
			if err := w.log.Untag(t.Context(), "old"); err != nil {
				t.Fatal(err)
			}
			if _, err := w.log.Tag(t.Context(), history.Tag{Name: "late", Seq: uint64(3 * each)}); err != nil {
				t.Fatal(err)
			}
		}
		e := w.mirror()
		if e.Commits != each || len(e.Damaged) > 0 || e.Compacted.From > 0 {
			t.Fatalf("night %d: %+v", night, e)
		}
		if got, want := w.files("intent"), w.stateAt(uint64(w.n)); got != want {
			t.Fatalf("night %d: git has\n%s, the history\n%s", night, got, want)
		}
		if night == 5 {
			_ = w.log.Untag(t.Context(), "late")
		}
		w.compact(1)
	}
	if floor, _, err := w.log.Floor(t.Context()); err != nil || int(floor) < w.n/2 {
		t.Fatalf("nothing was compacted: %d %v", floor, err)
	}
	w.git("fsck", "--strict")
	if got := strings.Count(w.git("rev-list", "intent"), "\n"); got != w.n {
		t.Errorf("git has %d commits of %d", got, w.n)
	}
	if got := strings.TrimSpace(w.git("log", "-1", "--format=%(trailers:key=Platypus-Seq,valueonly)", "late")); got != fmt.Sprint(3*each) {
		t.Errorf("the tag is at commit %s", got)
	}
	if got := w.git("log", "--format=%s", "intent"); strings.Contains(got, "Platypus-") || !strings.Contains(got, "set nodes/n") {
		t.Errorf("subjects: %.200s", got)
	}
	w.checkImport()
}

// checkImport imports the git history into another tree and compares the two.
func (w *fixture) checkImport() {
	w.Helper()
	s, err := Read(strings.NewReader(w.git("fast-export", "--first-parent", "intent")))
	if err != nil {
		w.Fatal(err)
	}
	tree, _ := intent.ParseRoot("other")
	was, log := w.log, history.Open(w.store, tree)
	if _, err := Import(w.Context(), log, s); err != nil {
		w.Fatal(err)
	}
	w.log = log
	n := 0
	for c, err := range log.Commits(w.Context(), history.Query{Oldest: true}) {
		if err != nil {
			w.Fatal(err)
		}
		n++
		if want := fmt.Sprintf("change %d", n); n%3 > 0 && c.Note.Message != want || n%3 == 0 && c.Note.Message != "" {
			w.Errorf("commit %d says %q", n, c.Note.Message)
		}
	}
	if got, want := w.stateAt(uint64(n)), w.files("intent"); n != w.n || got != want {
		w.Errorf("%d commits came back of %d, with\n%s, git has\n%s", n, w.n, got, want)
	}
	w.log = was
}

// Commits compacted before git got them are reported, and the next commit has the whole tree.
func TestExportOnto_AfterCompaction(t *testing.T) {
	w := newFixture(t)
	w.addCommits(30)
	w.mirror()
	w.addCommits(250)
	w.compact(10)
	floor, _, err := w.log.Floor(t.Context())
	if err != nil || floor < 100 {
		t.Fatal(floor, err)
	}
	e := w.mirror()
	if e.Compacted != (Span{31, floor - 1}) || e.Onto != 30 || e.Commits != w.n-int(floor)+1 {
		t.Errorf("%+v", e)
	}
	if got, want := w.files("intent"), w.stateAt(uint64(w.n)); got != want {
		t.Errorf("git has\n%s, the history\n%s", got, want)
	}
	if got := w.git("log", "--format=%(trailers:key=Platypus-Gap)", "intent"); !strings.Contains(got, fmt.Sprintf("Platypus-Gap: 31-%d", floor-1)) {
		t.Error("the gap is not named in git")
	}
	if e := w.mirror(); e.Commits != 0 || e.Compacted.From != 0 {
		t.Errorf("once more: %+v", e)
	}
}

// The export continues, reports the gap, and has the correct tree in git again from the next checkpoint on.
func TestExport_DamagedEntry(t *testing.T) {
	w := newFixture(t)
	w.addCommits(40)
	w.mirror()
	w.addCommits(10)
	key := w.tree.History().Key("head")
	key = strings.TrimSuffix(key, "head") + fmt.Sprintf("c/%010d/%02d", 0, 45)
	if err := w.store.Put(t.Context(), key, []byte("forged")); err != nil {
		t.Fatal(err)
	}
	e := w.mirror()
	if fmt.Sprint(e.Damaged) != "[45]" || e.Commits != 9 || !e.Stale || e.Head != 50 {
		t.Fatalf("%+v", e)
	}
	if got := w.git("log", "-1", "--format=%(trailers:key=Platypus-Incomplete,valueonly)", "intent"); strings.TrimSpace(got) != "45" {
		t.Errorf("the trailer says %q", got)
	}
	w.log = history.Open(w.store, w.tree)
	found, err := w.log.Survey(t.Context()) // as the recorder does: it allows the next checkpoint
	if err == nil {
		_, err = w.log.Observe(t.Context(), found)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.addCommits(150)
	e = w.mirror()
	if e.Commits != 150 || e.Stale || len(e.Damaged) > 0 {
		t.Errorf("%+v", e)
	}
	if got, want := w.files("intent"), w.stateAt(uint64(w.n)); got != want {
		t.Errorf("git has\n%s, the history\n%s", got, want)
	}
	w.git("fsck", "--strict")
}

// A branch that is not an earlier state of this history is refused.
func TestExportOnto_OtherHistory(t *testing.T) {
	w := newFixture(t)
	w.addCommits(5)
	w.mirror()
	tree, _ := intent.ParseRoot("other")
	w.log = history.Open(w.store, tree)
	w.addCommits(9)
	var out bytes.Buffer
	_, err := Export(t.Context(), w.log, &out, Target{Branch: "intent", Repo: w.repo})
	if err == nil || !strings.Contains(err.Error(), "not an earlier state of this history") {
		t.Error(err)
	}
	if err := w.repo.Import(context.Background(), func(io.Writer) error { return err }); err == nil {
		t.Error("git took a stream that was cut off")
	}
	if got := strings.Count(w.git("rev-list", "intent"), "\n"); got != 5 {
		t.Errorf("git has %d commits", got)
	}
}
