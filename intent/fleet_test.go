package intent

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSizeForms(t *testing.T) {
	for text, want := range map[string]Size{"8GB": 8e9, "8GiB": 1 << 33, "512MB": 512e6, "512mb": 512e6, "1.5 TB": 1.5e12,
		"1B": 1, " 2TB ": 2e12, "4kB": 4000, "4KiB": 4096, "0.5KiB": 512, "1PB": 1e15} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q is %d, want %d (%v)", text, got, want, err)
		}
	}
	for text, wrong := range map[string]string{"8": "has no unit: write one", "": "not a size", "GB": "not a size", "0GB": "more than nothing",
		"-8GB": "more than nothing", "8Gb/s": "not a size", "1e3GB": "not a size", "1/2GB": "not a size", "2PB": "more than the largest",
		"0.1B": "whole number", "999999999999999999999999999GB": "more than the largest", "٣GB": "not a size", "1.2.3GB": "not a size",
		strings.Repeat("9", 100000) + "GB": "not a size", "8G": "not a size", "NaNGB": "not a size"} {
		if got, err := ParseSize(text); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%.40q is %d, error %v, want one that says %q", text, got, err, wrong)
		}
	}
	for text, want := range map[string]Size{"8": 8e9, "0.5": 500e6, "8GiB": 1 << 33, "512MB": 512e6} {
		if got, err := ParseGB(text); err != nil || got != want {
			t.Errorf("%q as a flag is %d, want %d (%v)", text, got, want, err)
		}
	}
	for _, text := range []string{"0", "-8", "", "8x", "1000001", "--8", "."} {
		if got, err := ParseGB(text); err == nil {
			t.Errorf("%q as a flag is %d, want an error", text, got)
		}
	}
}

func sizes() *rapid.Generator[Size] {
	return rapid.Custom(func(t *rapid.T) Size {
		unit := rapid.SampledFrom([]int64{1e6, 1e9, 1e12, 1 << 20, 1 << 30}).Draw(t, "unit")
		return Size(rapid.Int64Range(1, int64(MaxSize)/unit).Draw(t, "number") * unit)
	})
}

func TestSizeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(sizes(), rapid.Map(rapid.Int64Range(1, int64(MaxSize)), func(n int64) Size { return Size(n) })).Draw(t, "size")
		if back, err := ParseSize(size.String()); err != nil || back != size {
			t.Fatalf("%d is written %s and read %d (%v)", size, size, back, err)
		}
	})
}

func labels(t *rapid.T, name string) map[Name]string {
	m := rapid.MapOfN(names(), rapid.StringN(0, 20, 60), 0, 3).Draw(t, name)
	if len(m) == 0 {
		return nil
	}
	return m
}

func TestMachineRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Machine{Cores: rapid.IntRange(1, MaxCores).Draw(t, "cores"), Memory: sizes().Draw(t, "memory"), Labels: labels(t, "labels"),
			State: rapid.SampledFrom([]MachineState{"", MachineReady, MachineCordoned, MachineDraining, MachineDead}).Draw(t, "state")}
		m.Reserved.Cores = rapid.IntRange(0, m.Cores).Draw(t, "reserved")
		if rapid.Bool().Draw(t, "drain") {
			m.Drain = &Drain{Parallel: rapid.IntRange(0, 1000).Draw(t, "parallel"), Deadline: time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "deadline"), 0).UTC()}
		}
		checkRoundTrip(t, "machines/SIN/m1", m)
	})
}

func TestVMRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := VM{Region: rapid.SliceOfNDistinct(names().Filter(func(n Name) bool { return n != AnyRegion }), 1, 3, rapid.ID).Draw(t, "region"),
			Cores: rapid.IntRange(1, MaxCores).Draw(t, "cores"), Memory: sizes().Draw(t, "memory"), Count: rapid.IntRange(0, MaxCount).Draw(t, "count"),
			Constraints: labels(t, "constraints"), Spread: rapid.SampledFrom([]Spread{"", SpreadNone, SpreadMachine, SpreadDatacenter}).Draw(t, "spread")}
		if rapid.Bool().Draw(t, "app") {
			v.App, v.Cluster = names().Draw(t, "app"), names().Draw(t, "cluster")
		}
		if rapid.Bool().Draw(t, "any") {
			v.Region = append(v.Region, AnyRegion)
		}
		checkRoundTrip(t, "vms/web", v)
	})
}

func TestLedgerRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Ledger{Entries: []Entry{}}
		for range rapid.IntRange(0, 5).Draw(t, "entries") {
			i := Instance{names().Draw(t, "vm"), rapid.IntRange(0, MaxCount).Draw(t, "number")}
			if _, err := ParseVMName(string(i.VM)); err != nil {
				t.Skip(err)
			}
			if back, err := ParseInstance(i.String()); err != nil || back != i {
				t.Fatalf("%v is read as %v (%v)", i, back, err)
			}
			l = l.With(Entry{VM: i.String(), Cores: rapid.IntRange(1, 64).Draw(t, "cores"), Memory: sizes().Draw(t, "memory"),
				Intent: rapid.Uint64Range(0, 1<<40).Draw(t, "index"), Phase: rapid.SampledFrom([]Phase{PhasePlaced, PhaseLeaving, PhaseLost}).Draw(t, "phase")})
		}
		data, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		back, found := Decode[Ledger]("ledger/SIN/m1", data)
		if found.Err() != nil || back.Taken() != l.Taken() || len(back.Entries) != len(l.Entries) {
			t.Fatalf("%s is read as %v: %v", data, back, found)
		}
		for _, e := range l.Entries {
			back = back.Without(e.VM, e.Phase)
		}
		if back.Taken() != (Share{}) {
			t.Fatalf("%v is left", back)
		}
	})
}

func TestBadLedgers(t *testing.T) {
	for value, wrong := range map[string]string{
		`{}`:                            "\"entries\" is missing",
		`{"entries":null}`:              "\"entries\" is missing",
		`{"entries":[{"vm":"web"}]}`:    "not an instance",
		`{"entries":[{"vm":"web.01"}]}`: "not an instance",
		`{"entries":[{"vm":"web.0","cores":0,"memory":"8GB"}]}`:                                                                      "cores must be",
		`{"entries":[{"vm":"web.0","cores":1,"memory":"8GB","phase":"gone"}]}`:                                                       "phase",
		`{"entries":[{"vm":"web.0","cores":1,"memory":"8GB","intent":-1}]}`:                                                          "",
		`{"entries":[{"vm":"web.0","cores":1,"memory":"8GB","intent":1},{"vm":"web.0","cores":1,"memory":"8GB","intent":1}]}`:        "held here twice",
		`{"entries":[{"vm":"web.0","cores":1,"memory":"8GB","intent":1},{"vm":"web.1","cores":1,"memory":"8GB","intent":1}`:          "not JSON",
		`{"entries":[{"vm":"web.0","cores":1,"memory":"8GB","intent":1},{"vm":"web.0","cores":1,"memory":"8GB","phase":"leaving"}]}`: "",
	} {
		_, found := Decode[Ledger]("ledger/SIN/m1", []byte(value))
		switch err := found.Err(); {
		case wrong == "" && err != nil:
			t.Errorf("%s: %v", value, err)
		case wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)):
			t.Errorf("%s: error %v does not say %q", value, err, wrong)
		}
	}
}

func TestNamesOfTheFleet(t *testing.T) {
	for key, wrong := range map[string]string{"regions/any": "stands for every region", "vms/web.": "must not end with a dot",
		"vms/" + strings.Repeat("x", 125): "too long for a vm", "machines/m1": "segments"} {
		if err := Check(key, []byte(`{}`)).Err(); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%s: error %v does not say %q", key, err, wrong)
		}
	}
	tree, _ := ParseRoot("platypus")
	for key, want := range map[string]string{
		tree.Region("SIN"):                "platypus/intent/regions/SIN",
		tree.Machine("SIN", "m1"):         "platypus/intent/machines/SIN/m1",
		tree.VM("web"):                    "platypus/intent/vms/web",
		tree.Ledger("SIN", "m1"):          "platypus/ledger/SIN/m1",
		tree.PlacedVM(Instance{"web", 3}): "platypus/placement/vms/web.3",
		tree.Placement("m1", "slug"):      "platypus/placement/nodes/m1/slug",
		string(tree.LedgersIn("SIN")):     "platypus/ledger/SIN/",
		string(tree.Placements("m1")):     "platypus/placement/nodes/m1/",
		string(tree.MachinesIn("SIN")):    "platypus/intent/machines/SIN/",
	} {
		if key != want {
			t.Errorf("%s, want %s", key, want)
		}
	}
}
