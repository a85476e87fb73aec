package fleet

import (
	"cmp"
	"slices"

	"github.com/platypus-platform/platypus/intent"
)

// SampleAbove is how many machines of a region are all looked at; of a larger region that many that fit are.
const SampleAbove = 100

// wideLimit bounds what is looked at over all regions together.
const wideLimit = 1000

// Room is all machines by what they have free, and how that changes while steps are planned. Everything it answers
// depends on the state alone, never on the order in which it came about.
type Room struct {
	pools map[intent.Name]*pool
	codes []intent.Name
	at    map[Spot]place
	moves int // counts changes, so that what was found out once is known to be still true
	known map[string]refused
}

type place struct {
	pool *pool
	n    int
}

type refused struct {
	moves  int
	counts Refusals
}

// NewRoom makes the index of a fleet's machines, which must be sorted.
func NewRoom(f *Fleet) *Room {
	r := &Room{pools: map[intent.Name]*pool{}, at: make(map[Spot]place, len(f.Machines)), known: map[string]refused{}}
	for _, m := range f.Machines {
		p := r.pools[m.Region]
		if p == nil {
			p = &pool{region: m.Region, policy: f.Regions[m.Region].Policy}
			r.pools[m.Region] = p
			r.codes = append(r.codes, m.Region)
		}
		r.at[m.Spot] = place{p, len(p.hosts)}
		p.hosts = append(p.hosts, HostOf(m))
		p.salt = append(p.salt, hash(string(m.Name())))
	}
	for _, p := range r.pools {
		p.build()
	}
	slices.Sort(r.codes)
	return r
}

// Host is the machine at a spot as it stands now, or nil.
func (r *Room) Host(s Spot) *Host {
	if p, ok := r.at[s]; ok {
		return p.pool.hosts[p.n]
	}
	return nil
}

// Take notes that an entry stands on a machine.
func (r *Room) Take(s Spot, e intent.Entry) {
	r.change(s, func(h *Host) {
		h.Lodged = append(slices.Clip(h.Lodged), e)
		h.Left = h.Left.Minus(e.Share())
	})
}

// Give notes that the entry of an instance no longer stands on a machine.
func (r *Room) Give(s Spot, e intent.Entry) {
	r.change(s, func(h *Host) {
		at := slices.IndexFunc(h.Lodged, func(o intent.Entry) bool { return o.VM == e.VM && o.Phase == e.Phase })
		if at < 0 {
			return
		}
		h.Left = h.Left.Plus(h.Lodged[at].Share())
		h.Lodged = slices.Delete(slices.Clone(h.Lodged), at, at+1)
	})
}

func (r *Room) change(s Spot, do func(*Host)) {
	p, ok := r.at[s]
	if !ok {
		return
	}
	h := p.pool.hosts[p.n]
	p.pool.clear(p.n, h.Left)
	do(h)
	p.pool.set(p.n, h.Left)
	r.moves++
}

// Choice is a place that was found.
type Choice struct {
	Spot
	Score int64 // 0 to Best
}

// Choose finds the best place for an instance. Regions are tried in the order wanted; within one, machines that are
// equally good are told apart by the seed.
func (r *Room) Choose(w *Want, seed uint64) (Choice, bool) {
	even := r.evenness(w)
	for tier := range w.Regions {
		pools := r.tier(w.Regions, tier)
		quota := SampleAbove
		if len(pools)*SampleAbove > wideLimit {
			quota = max(4, wideLimit/len(pools))
		}
		best := candidate{n: -1}
		for _, p := range pools {
			if c := p.best(w, seed, quota, even); c.better(&best) {
				best = c
			}
		}
		if best.n >= 0 {
			return Choice{best.pool.hosts[best.n].Spot, best.score}, true
		}
	}
	return Choice{}, false
}

// tier returns the pools of one of the regions wanted; "any" stands for all that come not before it.
func (r *Room) tier(regions intent.Regions, tier int) (pools []*pool) {
	if regions[tier] != intent.AnyRegion {
		if p := r.pools[regions[tier]]; p != nil {
			pools = append(pools, p)
		}
		return pools
	}
	for _, code := range r.codes {
		if !slices.Contains(regions[:tier], code) {
			pools = append(pools, r.pools[code])
		}
	}
	return pools
}

// evenness counts the instances of a vm by datacenter, when it is to be even over them.
func (r *Room) evenness(w *Want) map[string]int {
	if !w.Even {
		return nil
	}
	counts := map[string]int{}
	for _, p := range r.pools {
		for _, h := range p.hosts {
			if n := h.Has(w.VM); n > 0 {
				counts[h.Spec.Datacenter] += n
			}
		}
	}
	return counts
}

// Refusals counts the machines of the regions wanted by what keeps the instance off them.
func (r *Room) Refusals(w *Want) (counts Refusals) {
	key := w.kind()
	if k, ok := r.known[key]; ok && k.moves == r.moves {
		return k.counts
	}
	for tier := range w.Regions {
		for _, p := range r.tier(w.Regions, tier) {
			for _, h := range p.hosts {
				if h.Spot != w.Avoid {
					counts[h.Fits(w)]++
				}
			}
		}
	}
	r.known[key] = refused{r.moves, counts}
	return counts
}

// candidate is a machine that fits.
type candidate struct {
	pool  *pool
	n     int // -1: none
	even  int // instances of the vm in its datacenter
	score int64
	rank  uint64
}

// better reports whether c is to be preferred over o.
func (c *candidate) better(o *candidate) bool {
	switch {
	case c.n < 0 || o.n < 0:
		return c.n >= 0
	case c.even != o.even:
		return c.even < o.even
	case c.score != o.score:
		return c.score > o.score
	case c.rank != o.rank:
		return c.rank < o.rank
	}
	return cmp.Or(cmp.Compare(c.pool.region, o.pool.region), cmp.Compare(c.n, o.n)) < 0
}
