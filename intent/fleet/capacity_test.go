package fleet

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/intent"
)

// flyLight is the inventory of fly-light: 99 machines with 32 cores and 2,000 GB in 10 regions, of which DEN has 9.
func flyLight() *Fleet {
	f := &Fleet{Regions: map[intent.Name]intent.Region{}}
	for _, code := range []intent.Name{"ARN", "BOM", "DEN", "GDL", "GRU", "HKG", "JNB", "MEL", "NRT", "SIN"} {
		f.Regions[code] = intent.Region{}
		for i := range 10 {
			if code != "DEN" || i > 0 {
				f.Machines = append(f.Machines, machine(code, i, 32, 2*intent.TB))
			}
		}
	}
	Sort(f)
	return f
}

func machine(region intent.Name, n, cores int, memory intent.Size) *Machine {
	name := intent.Name(fmt.Sprintf("%s-m%d", region, n))
	return &Machine{Spot: Spot{region, name}, Spec: intent.Machine{Cores: cores, Memory: memory}, Index: 1}
}

func vmOf(name string, cores int, memory intent.Size, regions ...intent.Name) VM {
	return VM{Name: intent.Name(name), Spec: intent.VM{Region: regions, Cores: cores, Memory: memory, Count: 1}, Index: 1}
}

// fill places instances until none fits.
func fill(r *Room, v VM) (placed int, refused Refusals) {
	want := WantOf(v)
	for ; ; placed++ {
		i := intent.Instance{VM: v.Name, Number: placed}
		c, ok := r.Choose(&want, Seed(i, 1))
		if !ok {
			return placed, r.Refusals(&want)
		}
		r.Take(c.Spot, intent.Entry{VM: i.String(), Cores: v.Spec.Cores, Memory: v.Spec.Memory})
	}
}

// TestRoom_FlyLight_ExpectedCounts checks how many instances fit into the inventory of fly-light.
func TestRoom_FlyLight_ExpectedCounts(t *testing.T) {
	for _, test := range []struct {
		vm      VM
		placed  int
		refused string
	}{
		{vmOf("a", 4, 8*intent.GB, "SIN"), 80, "10 short of cores"},
		{vmOf("a", 4, 250*intent.GB, "SIN"), 80, "10 short of cores"},
		{vmOf("a", 4, 8*intent.GB, "DEN"), 72, "9 short of cores"},
		{vmOf("a", 4, 8*intent.GB, "any"), 792, "99 short of cores"},
		{vmOf("a", 4, 8*intent.GB, "SIN", "any"), 792, "99 short of cores"},
		{vmOf("a", 1, 256*intent.GB, "any"), 7 * 99, "99 short of memory"},
		{vmOf("a", 32, 32*intent.GB, "any"), 99, "99 short of cores"},
		{vmOf("a", 33, 32*intent.GB, "any"), 0, "99 short of cores"},
		{vmOf("a", 1, intent.GB, "XXX"), 0, "no machine there"},
	} {
		for _, policy := range []intent.Policy{intent.PolicyPack, intent.PolicySpread} {
			f := flyLight()
			for code := range f.Regions {
				f.Regions[code] = intent.Region{Policy: policy}
			}
			placed, refused := fill(NewRoom(f), test.vm)
			if placed != test.placed || refused.String() != test.refused {
				t.Errorf("%+v by %s: %d placed and then %q, want %d and %q", test.vm.Spec, policy, placed, refused, test.placed, test.refused)
			}
		}
	}
}

func anyFleet() *rapid.Generator[*Fleet] {
	return rapid.Custom(func(t *rapid.T) *Fleet {
		f := &Fleet{Regions: map[intent.Name]intent.Region{}}
		for i := range rapid.IntRange(1, 3).Draw(t, "regions") {
			code := intent.Name(fmt.Sprintf("R%d", i))
			f.Regions[code] = intent.Region{Policy: rapid.SampledFrom([]intent.Policy{"", intent.PolicyPack, intent.PolicySpread}).Draw(t, "policy")}
			many := rapid.SampledFrom([]int{0, 1, 3, 8, 130}).Draw(t, "machines")
			for n := range many {
				m := machine(code, n, rapid.SampledFrom([]int{1, 2, 8, 64, 100, 1000}).Draw(t, "cores"), rapid.SampledFrom([]intent.Size{intent.GB, 3 * intent.GB, 64 * intent.GB}).Draw(t, "memory"))
				m.Spec.State = rapid.SampledFrom([]intent.MachineState{"", "", "", "", intent.MachineCordoned, intent.MachineDead}).Draw(t, "state")
				m.Spec.Datacenter = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "datacenter")
				m.Away = rapid.IntRange(0, 9).Draw(t, "away") == 0
				f.Machines = append(f.Machines, m)
			}
		}
		Sort(f)
		return f
	})
}

func anyVM() *rapid.Generator[VM] {
	return rapid.Custom(func(t *rapid.T) VM {
		v := vmOf(rapid.SampledFrom([]string{"a", "b", "a.1"}).Draw(t, "name"),
			rapid.SampledFrom([]int{1, 2, 60, 70, 900}).Draw(t, "cores"),
			rapid.SampledFrom([]intent.Size{intent.MB, intent.GB, 2 * intent.GB}).Draw(t, "memory"),
			rapid.SampledFrom([][]intent.Name{{"any"}, {"R0"}, {"R1", "R0"}, {"R1", "any"}}).Draw(t, "region")...)
		v.Spec.App = rapid.SampledFrom([]intent.Name{"", "", "slug"}).Draw(t, "app")
		v.Spec.Spread = rapid.SampledFrom([]intent.Spread{"", intent.SpreadMachine, intent.SpreadDatacenter}).Draw(t, "spread")
		return v
	})
}

// TestRoom_RandomFleets_MatchesLinearSearch compares the index with a linear search: it finds a machine exactly when
// one is feasible, in the first such region, and never exceeds the capacity.
func TestRoom_RandomFleets_MatchesLinearSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFleet().Draw(t, "fleet")
		room, again := NewRoom(f), NewRoom(f)
		held := map[Spot][]intent.Entry{}
		for n := range rapid.IntRange(1, 25).Draw(t, "instances") {
			v := anyVM().Draw(t, "wish")
			i := intent.Instance{VM: v.Name, Number: n}
			want := WantOf(v)
			can := map[intent.Name]int{}
			for _, m := range f.Machines {
				if oracle(m, held[m.Spot], v) {
					can[m.Region]++
				}
			}
			c, ok := room.Choose(&want, Seed(i, 1))
			if c2, ok2 := again.Choose(&want, Seed(i, 1)); c2 != c || ok2 != ok {
				t.Fatalf("%v the first time, %v the second", c, c2)
			}
			first := intent.Name("")
			for _, region := range v.Spec.Region {
				for _, code := range f.Codes() {
					if first == "" && can[code] > 0 && (region == code || region == intent.AnyRegion) {
						first = region
					}
				}
			}
			if ok != (first != "") || ok && first != intent.AnyRegion && c.Region != first {
				t.Fatalf("%+v goes to %v (%v); there is room in %v", v.Spec, c, ok, can)
			}
			if !ok {
				continue
			}
			if m := f.Machine(c.Spot); !oracle(m, held[c.Spot], v) {
				t.Fatalf("%+v goes to %v, where it does not fit: %v", v.Spec, c, held[c.Spot])
			}
			e := intent.Entry{VM: i.String(), Cores: v.Spec.Cores, Memory: v.Spec.Memory, App: v.Spec.App}
			held[c.Spot] = append(held[c.Spot], e)
			room.Take(c.Spot, e)
			again.Take(c.Spot, e)
			if rapid.IntRange(0, 4).Draw(t, "give") == 0 { // what is given back can be taken again
				room.Give(c.Spot, e)
				again.Give(c.Spot, e)
				held[c.Spot] = held[c.Spot][:len(held[c.Spot])-1]
			}
		}
	})
}

// oracle decides feasibility without the index and without Fits.
func oracle(m *Machine, held []intent.Entry, v VM) bool {
	cores, memory := m.Spec.Cores-m.Spec.Reserved.Cores, m.Spec.Memory-m.Spec.Reserved.Memory
	for _, e := range held {
		cores -= e.Cores
		memory -= e.Memory
		if v.Spec.App != "" && e.App == v.Spec.App {
			return false
		}
		if v.Spec.Spread != "" && string(VMOf(e.VM)) == string(v.Name) {
			return false
		}
	}
	return (m.Spec.State == "" || m.Spec.State == intent.MachineReady) && !m.Away && cores >= v.Spec.Cores && memory >= v.Spec.Memory
}

// TestChoose_SpreadDatacenter_EvenDespitePacking checks that spreading over datacenters overrides the packing policy.
func TestChoose_SpreadDatacenter_EvenDespitePacking(t *testing.T) {
	f := &Fleet{}
	for n := range 9 {
		m := machine("SIN", n, 32, intent.TB)
		m.Spec.Datacenter = []string{"a", "b", "c"}[n%3]
		f.Machines = append(f.Machines, m)
	}
	Sort(f)
	v := vmOf("web", 1, intent.GB, "SIN")
	v.Spec.Spread = intent.SpreadDatacenter
	room := NewRoom(f)
	for n := range 9 {
		i := intent.Instance{VM: "web", Number: n}
		want := WantOf(v)
		c, ok := room.Choose(&want, Seed(i, 1))
		if !ok {
			t.Fatalf("%v finds no place", i)
		}
		room.Take(c.Spot, intent.Entry{VM: i.String(), Cores: 1, Memory: intent.GB})
		even := room.datacenterCounts(&want)
		if low, high := min(even["a"], even["b"], even["c"]), max(even["a"], even["b"], even["c"]); high-low > 1 {
			t.Fatalf("after %v: %v", i, even)
		}
	}
}

// TestScore_Policies_OrderMachines checks the order of full, half-full and empty machines for each policy.
func TestScore_Policies_OrderMachines(t *testing.T) {
	whole := intent.Share{Cores: 32, Memory: 2 * intent.TB}
	one := intent.Share{Cores: 4, Memory: 250 * intent.GB}
	last, half := one, intent.Share{Cores: 16, Memory: intent.TB}
	pack := func(left intent.Share) int64 { return Score(intent.PolicyPack, whole, left, one) }
	spread := func(left intent.Share) int64 { return Score(intent.PolicySpread, whole, left, one) }
	if !(pack(last) > pack(half) && pack(half) > pack(whole)) || pack(last) != Best {
		t.Errorf("packing: %d %d %d", pack(last), pack(half), pack(whole))
	}
	if !(spread(last) < spread(half) && spread(half) < spread(whole)) || spread(last) != 0 {
		t.Errorf("spreading: %d %d %d", spread(last), spread(half), spread(whole))
	}
}

// BenchmarkChoose measures decisions a second on one core, on machines that are three quarters full.
func BenchmarkChoose(b *testing.B) {
	for _, machines := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("machines=%d", machines), func(b *testing.B) {
			f := &Fleet{}
			for n := range machines {
				f.Machines = append(f.Machines, machine("SIN", n, 32, 2*intent.TB))
			}
			Sort(f)
			room := NewRoom(f)
			type taken struct {
				at Spot
				e  intent.Entry
			}
			var all []taken
			place := func(n int) {
				i := intent.Instance{VM: "bench", Number: n}
				v := vmOf("bench", 1+n%4, intent.Size(1+n%7)*20*intent.GB, "SIN")
				want := WantOf(v)
				if c, ok := room.Choose(&want, Seed(i, 1)); ok {
					e := intent.Entry{VM: i.String(), Cores: v.Spec.Cores, Memory: v.Spec.Memory}
					room.Take(c.Spot, e)
					all = append(all, taken{c.Spot, e})
				}
			}
			for n := range machines * 10 {
				place(n)
			}
			slowest, over := time.Duration(0), 0
			b.ResetTimer()
			for n := range b.N {
				from := time.Now()
				place(n)
				if took := time.Since(from); took > time.Millisecond {
					over++
					slowest = max(slowest, took)
				}
				b.StopTimer()
				t := all[n%len(all)]
				room.Give(t.at, t.e)
				all[n%len(all)] = all[len(all)-1]
				all = all[:len(all)-1]
				b.StartTimer()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
			b.ReportMetric(100*float64(over)/float64(b.N), "%over-1ms")
		})
	}
}
