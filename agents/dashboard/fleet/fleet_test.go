package fleet_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/platypus-platform/platypus/agents/dashboard/fleet"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// telling is a store in the small: what it holds is read anew, prefix by prefix, as the watches bring it.
type telling struct {
	t      *testing.T
	tree   intent.Tree
	reader *fleet.Reader
	pairs  map[string]intent.Pair
	index  uint64
}

func newTelling(t *testing.T) *telling {
	tree, err := intent.ParseRoot(intent.DefaultRoot)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_800_000_000, 0)
	return &telling{t, tree, fleet.NewReader(tree, func() time.Time { at = at.Add(time.Second); return at }), map[string]intent.Pair{}, 0}
}

func (w *telling) put(key string, value any) {
	w.t.Helper()
	data, err := json.Marshal(value)
	if raw, ok := value.(string); ok {
		data = []byte(raw)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.index++
	w.pairs[key] = intent.Pair{Key: key, Value: data, ModifyIndex: w.index}
}

func (w *telling) read() *fleet.Fleet {
	for _, prefix := range w.reader.Prefixes() {
		s := store.Snapshot{Index: w.index}
		for key, p := range w.pairs {
			if _, below := prefix.Below(key); below {
				s.Pairs = append(s.Pairs, p)
			}
		}
		w.reader.Take(prefix, s)
	}
	return w.reader.Fleet()
}

func (w *telling) machine(region, name intent.Name, m intent.Machine) {
	w.put(w.tree.Machine(region, name), m)
}

var whole = intent.Machine{Cores: 32, Memory: 2 * intent.TB}

func TestGauges(t *testing.T) {
	w := newTelling(t)
	reserved := whole
	reserved.Reserved = intent.Share{Cores: 2, Memory: 64 * intent.GB}
	w.put(w.tree.Region("SIN"), intent.Region{Location: "Singapore"})
	w.machine("SIN", "a", reserved)
	w.machine("SIN", "b", whole)
	w.put(w.tree.Ledger("SIN", "a"), intent.Ledger{Entries: []intent.Entry{{VM: "v.0", Cores: 4, Memory: 8 * intent.GB}, {VM: "v.1", Cores: 8, Memory: 8 * intent.GB}}})
	w.put(w.tree.Ledger("SIN", "b"), intent.Ledger{Entries: []intent.Entry{{VM: "v.2", Cores: 40, Memory: 8 * intent.GB}}})
	w.put(w.tree.Ledger("SIN", "lost"), intent.Ledger{Entries: []intent.Entry{{VM: "v.3", Cores: 1, Memory: intent.GB}}})
	w.put(w.tree.Ledger("SIN", "empty"), intent.Ledger{Entries: []intent.Entry{}})
	f := w.read()
	a, b, lost := f.Machines["a"], f.Machines["b"], f.Machines["lost"]
	if a.Cores != (fleet.Gauge{Total: 32, Reserved: 2, Taken: 12}) || a.Cores.Free() != 18 || a.Over() || a.Memory.Free() != int64(2*intent.TB-80*intent.GB) {
		t.Errorf("a: %+v %+v", a.Cores, a.Memory)
	}
	if !b.Over() || b.Cores.Free() != 0 || b.Cores.Over() != 8 || b.Fill() != 4 {
		t.Errorf("b: %+v", b.Cores)
	}
	if lost.Standing != "gone" || !lost.Over() || f.Machines["empty"] != nil {
		t.Errorf("lost: %+v, empty: %+v", lost, f.Machines["empty"])
	}
	if r := f.Regions[0]; r.Code != "SIN" || len(r.Machines) != 3 || r.VMs != 4 || r.Cores.Total != 64 || r.Odd != 2 {
		t.Errorf("SIN: %+v", r)
	}
}

func TestStandingOfMachines(t *testing.T) {
	w := newTelling(t)
	for name, state := range map[intent.Name]intent.MachineState{"ready": "", "cordoned": intent.MachineCordoned, "draining": intent.MachineDraining, "dead": intent.MachineDead, "silent": ""} {
		m := whole
		m.State = state
		w.machine("SIN", name, m)
	}
	w.put(w.tree.Machine("SIN", "unreadable"), `{"cores":`)
	w.put(w.tree.Status("setlive", "silent"), intent.Report{Agent: "setlive", Node: "silent"})
	w.put(w.tree.Status("setlive", "node"), intent.Report{Agent: "setlive", Node: "node"})
	w.put(w.tree.Alive("node", "setlive"), "{}")
	w.put(w.tree.Alive("ready", "preparer"), "{}")
	f := w.read()
	for name, m := range f.Machines {
		if m.Standing != string(name) {
			t.Errorf("%s is %s", name, m.Standing)
		}
	}
	if len(f.Machines) != 7 || f.Unread != 1 || f.Faults[0].Key != w.tree.Machine("SIN", "unreadable") || f.Regions[len(f.Regions)-1].Code != "" {
		t.Errorf("%d machines, %v", len(f.Machines), f.Faults)
	}
}

// TestClip: a text is short, and nothing in it turns, hides or breaks what stands around it.
func TestClip(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                       "plain",
		"Zürich 東京 🦆":                 "Zürich 東京 🦆",
		"\u202egnp.exe\u200b\x1b[31m": "\ufffdgnp.exe\ufffd\ufffd[31m",
		"\xff":                        "\ufffd",
	} {
		if got := fleet.Clip(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	for _, of := range []string{"x", "é", "\u202e", "🦆"} {
		if got := fleet.Clip(strings.Repeat(of, 5000)); len(got) > 1000 || !strings.HasSuffix(got, "…") || !utf8.ValidString(got) {
			t.Errorf("%q is %d bytes", of, len(got))
		}
	}
}

// TestChanges: what is there at first is no news; what changes afterwards is, once, in words.
func TestChanges(t *testing.T) {
	w := newTelling(t)
	w.machine("SIN", "a", whole)
	if f := w.read(); len(f.Changes) != 0 {
		t.Fatalf("%+v", f.Changes)
	}
	cordoned, small := whole, whole
	cordoned.State, small.Cores = intent.MachineCordoned, 16
	small.State = intent.MachineCordoned
	i := intent.Instance{VM: "web"}
	vm := intent.VM{Region: intent.Regions{"SIN"}, Cores: 4, Memory: 8 * intent.GB, Count: 1}
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() { w.machine("SIN", "a", cordoned) }, "machine a cordoned, was ready"},
		{func() { w.machine("SIN", "a", small) }, "machine a 16 cores, 2 TB; had 32 cores, 2 TB"},
		{func() { w.put(w.tree.VM("web"), vm) }, "vm web wanted: 1 × 4 cores, 8 GB in SIN"},
		{func() { w.put(w.tree.PlacedVM(i), intent.Placement{State: intent.Pending, Reason: "full"}) }, "vm web.0 pending: full"},
		{func() { w.put(w.tree.PlacedVM(i), intent.Placement{State: intent.Placed, Region: "SIN", Machine: "a"}) }, "vm web.0 placed on a in SIN"},
		{func() { delete(w.pairs, w.tree.PlacedVM(i)) }, "vm web.0 released from a"},
		{func() { delete(w.pairs, w.tree.Machine("SIN", "a")) }, "machine a is no longer declared in SIN"},
		{func() {
			for n := range 99 {
				w.machine("SIN", intent.Name(fmt.Sprint("m", n)), whole)
			}
		}, "machine 99 machines changed at once, such as m0: declared in SIN: 32 cores, 2 TB"},
	} {
		before := len(w.read().Changes)
		step.do()
		f := w.read()
		if c := f.Changes[0]; len(f.Changes) != before+1 || c.Kind+" "+c.Subject+" "+c.Text != step.want {
			t.Errorf("%d changes after %d, newest %s %s %s, want %s", len(f.Changes), before, c.Kind, c.Subject, c.Text, step.want)
		}
	}
}

// TestRecall: a change that was noticed and its commit are one line; commits from before are lines of their own.
func TestRecall(t *testing.T) {
	w := newTelling(t)
	w.read()
	w.machine("SIN", "a", whole)
	now := w.read().Changes[0].At
	w.reader.Attribute([]fleet.Commit{
		{At: now.Add(-time.Second), By: "ann@desk", Message: "more room", Keys: []string{"machines/SIN/a"}},
		{At: now.Add(-time.Hour), By: "bob@desk", Keys: []string{"clusters/slug/p/config"}},
		{At: now.Add(-2 * time.Hour), By: "bob@desk", Message: "import", Keys: []string{"regions/SIN", "regions/NRT"}},
		{At: now, Keys: nil},
	})
	got := ""
	for _, c := range w.read().Changes {
		got += c.Kind + " " + c.Subject + " " + c.Text + "\n"
	}
	want := "machine a declared in SIN: 32 cores, 2 TB · by ann@desk: more room\nintent clusters/slug/p/config declared · by bob@desk\n" +
		"region 2 keys declared · by bob@desk: import\n"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestSameAgain: reading the same again, in whatever order, gives the same fleet.
func TestSameAgain(t *testing.T) {
	w := newTelling(t)
	for n := range 60 {
		node := intent.Name(fmt.Sprint("m", n))
		w.machine("SIN", node, whole)
		w.put(w.tree.PlacedVM(intent.Instance{VM: "v", Number: n}), intent.Placement{State: intent.Pending, Refused: map[string]int{"a": 1, "b": 1}})
		w.put(w.tree.Status("setlive", node), intent.Report{Node: node, Subjects: map[string]intent.State{"x": {Phase: "failed", Since: time.Unix(5, 0)}, "y": {Phase: "working", Since: time.Unix(5, 0)}}})
	}
	text := func() string { data, _ := json.Marshal(w.read()); return string(data) }
	first := text()
	for range 20 {
		if again := text(); again != first {
			t.Fatal("the same store is another fleet")
		}
	}
}

// TestHostileValues: nothing that stands in the store makes a fleet endless, or panics.
func TestHostileValues(t *testing.T) {
	w := newTelling(t)
	values := []string{"", "null", "[]", "{}", "{", `{"entries":null}`, `{"state":"pending","reason":"` + strings.Repeat("x", 100_000) + `"}`, "\xff",
		`{"subjects":{"` + strings.Repeat("y", 5000) + `":{"phase":"` + strings.Repeat("z", 5000) + `"}}}`, `{"cores":-1,"memory":"1TB"}`, `{"cores":1,"memory":"1TB"}`}
	for _, prefix := range w.reader.Prefixes() {
		for i, v := range values {
			for _, key := range []string{fmt.Sprint("a", i), fmt.Sprint("a/b", i), fmt.Sprint("a/../b", i), fmt.Sprint("//", i), fmt.Sprint("a/b/c", i), "<x>/" + fmt.Sprint(i), strings.Repeat("k", 4000) + fmt.Sprint(i)} {
				w.put(string(prefix)+key, v)
			}
		}
	}
	f := w.read()
	longest := ""
	for _, p := range f.Pending {
		longest = slices.MaxFunc([]string{longest, p.Reason}, func(a, b string) int { return len(a) - len(b) })
	}
	for _, fault := range f.Faults {
		longest = slices.MaxFunc([]string{longest, fault.Key, fault.Text}, func(a, b string) int { return len(a) - len(b) })
	}
	for _, r := range f.Apps {
		longest = slices.MaxFunc([]string{longest, r.Name}, func(a, b string) int { return len(a) - len(b) })
	}
	if len(longest) > 400 || len(f.Faults) > 20 || f.Unread < 100 || len(f.Pending) == 0 {
		t.Errorf("%d bytes, %d faults of %d, %d pending", len(longest), len(f.Faults), f.Unread, len(f.Pending))
	}
}
