package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
	"github.com/platypus-platform/platypus/store/history"
)

// harness is a store with one tree in it.
type harness struct {
	testing.TB
	address, state string
	store          *store.Store
	log            *history.Log
}

func newHarness(t testing.TB, address string) harness {
	t.Setenv("CONSUL_HTTP_TOKEN", "")
	s, err := store.Open(store.Config{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := intent.ParseRoot("platypus")
	if err != nil {
		t.Fatal(err)
	}
	return harness{t, address, t.TempDir(), s, history.Open(s, tree)}
}

// recorder is the program as a process, not started yet.
func (r harness) recorder(said io.Writer, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		r.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = append([]string{"recorder", "--http-addr", r.address, "--root", "platypus", "--node", "r1", "--state-dir", r.state}, args...)
	cmd.Stdout, cmd.Stderr = said, said
	return cmd
}

// once runs it over what stands, and returns what it said.
func (r harness) once() string {
	r.Helper()
	var said bytes.Buffer
	if err := r.recorder(&said, "--once").Run(); err != nil {
		r.Fatalf("recorder --once: %v: %s", err, &said)
	}
	return said.String()
}

// put writes plainly and returns the index at which that happened.
func (r harness) put(key, value string) uint64 {
	index, err := r.store.Commit(context.Background(), []store.Change{{Verb: store.Set, Key: "platypus/intent/" + key, Value: []byte(value)}})
	if err != nil {
		r.Error(err)
	}
	return index
}

func (r harness) lines() []string {
	r.Helper()
	all, err := lines(context.Background(), r.log)
	if err != nil {
		r.Fatal(err)
	}
	return all
}

// writers and puts are how many goroutines write how often.
const (
	writers = 4
	puts    = 2500
)

// TestRecorder_ConcurrentWrites_RecordsTrueStates writes ten thousand times at full speed while a recorder runs:
// whatever it says was there was there, within the indexes that it names; what stood last is recorded; and the history
// replayed is the tree, byte for byte.
func TestRecorder_ConcurrentWrites_RecordsTrueStates(t *testing.T) {
	for name, start := range stores {
		t.Run(name, func(t *testing.T) {
			r := newHarness(t, start(t))
			var said bytes.Buffer
			cmd := r.recorder(&said, "--resync", "1s")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
			written, took := r.writeConcurrently()
			r.waitRecorded(&said)
			states, kept := 0, map[string]int{}
			for c, err := range r.log.Commits(context.Background(), history.Query{Oldest: true, Values: true}) {
				if err != nil || c.Fault != nil || c.Kind != history.Observed {
					t.Fatalf("%+v, %v", c, err)
				}
				for _, x := range c.Changes {
					states++
					index, was := written[x.Key+"="+string(x.Value)]
					n := 0
					_, _ = fmt.Sscanf(string(x.Value), "%d", &n)
					switch {
					case !was:
						t.Errorf("commit %d: %s was never %s", c.Seq, x.Key, x.Value)
					case x.Index != index || x.Seen.After >= index || x.Seen.At < index:
						t.Errorf("commit %d: %s was written at %d, recorded as %d within (%d, %d]", c.Seq, x.Key, index, x.Index, x.Seen.After, x.Seen.At)
					case n <= kept[x.Key]:
						t.Errorf("commit %d: %s was %d before it was %d", c.Seq, x.Key, kept[x.Key], n)
					}
					kept[x.Key] = n
				}
			}
			t.Logf("%d of %d plain writes in %s were seen, in intervals of %s", states, writers*puts, took.Round(time.Millisecond), (took * writers / time.Duration(max(states, 1))).Round(time.Millisecond))
			r.checkReplay()
		})
	}
}

// writeConcurrently writes, and returns the index of each value that ever stood.
func (r harness) writeConcurrently() (written map[string]uint64, took time.Duration) {
	written = map[string]uint64{}
	var mu sync.Mutex
	var all sync.WaitGroup
	began := time.Now()
	for w := range writers {
		all.Go(func() {
			key := fmt.Sprintf("nodes/n%d/app", w)
			for i := 1; i <= puts; i++ {
				index := r.put(key, fmt.Sprint(i))
				mu.Lock()
				written[fmt.Sprintf("%s=%d", key, i)] = index
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return written, time.Since(began)
}

// waitRecorded waits until what stands is recorded.
func (r harness) waitRecorded(said fmt.Stringer) {
	for deadline := time.Now().Add(testhost.HangLimit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		s, err := r.log.Survey(context.Background())
		if err != nil {
			r.Fatal(err)
		}
		if pending, err := r.log.Pending(context.Background(), s); err == nil && len(pending) == 0 {
			return
		}
	}
	r.Fatalf("not all is recorded after %s: %s", testhost.HangLimit, said)
}

// checkReplay holds the history replayed against the tree.
func (r harness) checkReplay() {
	r.Helper()
	ctx := context.Background()
	head, err := r.log.Head(ctx)
	if err != nil {
		r.Fatal(err)
	}
	s, err := r.log.At(ctx, head.Seq)
	if err != nil {
		r.Fatal(err)
	}
	live, err := r.log.Survey(ctx)
	if err != nil {
		r.Fatal(err)
	}
	if s.Len() != len(live.Pairs) {
		r.Errorf("%d keys in the history, %d in the tree", s.Len(), len(live.Pairs))
	}
	for _, pair := range live.Pairs {
		if v, _ := s.Get(strings.TrimPrefix(pair.Key, "platypus/intent/")); string(v.Data) != string(pair.Value) {
			r.Errorf("%s is %q, in the history %q", pair.Key, pair.Value, v.Data)
		}
	}
	if faults, err := r.log.Verify(ctx); err != nil || len(faults) > 0 {
		r.Errorf("%v %v", faults, err)
	}
}

// TestRecorder_SnapshotRestored_WarnsAndContinues: Consul is put back to an earlier state, its history with it. That is
// told, and from then on all is recorded as it is.
func TestRecorder_SnapshotRestored_WarnsAndContinues(t *testing.T) {
	r := newHarness(t, testhost.Consul(t, "r1"))
	r.put("nodes/n/a", "1")
	r.once()
	snapshot := r.http(http.MethodGet, "/v1/snapshot", nil)
	r.put("nodes/n/a", "2")
	r.put("nodes/n/b", "1")
	r.once()
	r.http(http.MethodPut, "/v1/snapshot", snapshot)
	if said := r.once(); !strings.Contains(said, "the history was rewound") || !strings.Contains(said, "a snapshot of the store was restored") {
		t.Errorf("nothing is told of the snapshot: %s", said)
	}
	if said := r.once(); strings.Contains(said, "rewound") {
		t.Errorf("it is told again: %s", said)
	}
	r.put("nodes/n/a", "3")
	r.once()
	if got := strings.Join(r.lines(), "; "); got != "1 observed nodes/n/a=1; 2 observed nodes/n/a=3" {
		t.Error(got)
	}
	r.checkReplay()
}

// TestRecorder_KeysImported_RecordsNothing: all keys are carried to another Consul, as `consul kv export` and `import`
// do. All indexes are new and all values are the same: nothing happened that would have to be recorded.
func TestRecorder_KeysImported_RecordsNothing(t *testing.T) {
	r := newHarness(t, embedtest.Start(t))
	r.put("nodes/n/a", "1")
	r.put("nodes/n/b", "1")
	r.once()
	r.put("nodes/n/a", "2")
	r.once()
	pairs, _, err := r.store.List(context.Background(), "platypus/", store.Consistent)
	if err != nil {
		t.Fatal(err)
	}
	other := newHarness(t, testhost.Consul(t, "r1"))
	other.state = r.state
	for _, pair := range pairs {
		if strings.HasPrefix(pair.Key, "platypus/alive/") {
			continue
		}
		if err := other.store.Put(context.Background(), pair.Key, pair.Value); err != nil {
			t.Fatal(err)
		}
	}
	if said := other.once(); strings.Contains(said, "WARN") {
		t.Errorf("an import is no alarm: %s", said)
	}
	if a, b := strings.Join(r.lines(), "; "), strings.Join(other.lines(), "; "); a != b {
		t.Errorf("the history was %s and is %s", a, b)
	}
	other.put("nodes/n/b", "2")
	other.once()
	if all := other.lines(); all[len(all)-1] != "3 observed nodes/n/b=2" {
		t.Error(all)
	}
	other.checkReplay()
}

func (r harness) http(method, path string, body []byte) []byte {
	r.Helper()
	request, err := http.NewRequest(method, "http://"+r.address+path, bytes.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		r.Fatalf("%s %s: %s %v", method, path, response.Status, err)
	}
	return data
}
