package fleet

import (
	"cmp"
	"slices"

	"github.com/platypus-platform/platypus/intent"
)

// SampleAbove is the largest number of machines of a region that are all scored; of a larger region, this many
// feasible ones are.
const SampleAbove = 100

// wideLimit bounds the machines scored over all regions together.
const wideLimit = 1000

// Room indexes all machines by free capacity while steps are planned. Its answers depend only on the current state,
// not on the order of changes.
type Room struct {
	regions  map[intent.Name]*regionIndex
	codes    []intent.Name
	hosts    map[Spot]hostRef
	changes  int // counts changes, to invalidate cached refusals
	refusals map[string]cachedRefusals
}

type hostRef struct {
	region *regionIndex
	host   int
}

type cachedRefusals struct {
	changes int
	counts  Refusals
}

// NewRoom indexes a fleet's machines, which must be sorted.
func NewRoom(f *Fleet) *Room {
	r := &Room{regions: map[intent.Name]*regionIndex{}, hosts: make(map[Spot]hostRef, len(f.Machines)),
		refusals: map[string]cachedRefusals{}}
	for _, m := range f.Machines {
		p := r.regions[m.Region]
		if p == nil {
			p = &regionIndex{code: m.Region, policy: f.Regions[m.Region].Policy}
			r.regions[m.Region] = p
			r.codes = append(r.codes, m.Region)
		}
		r.hosts[m.Spot] = hostRef{p, len(p.hosts)}
		p.hosts = append(p.hosts, HostOf(m))
		p.nameHash = append(p.nameHash, hash(string(m.Name())))
	}
	for _, p := range r.regions {
		p.build()
	}
	slices.Sort(r.codes)
	return r
}

// Host returns a machine with the planned changes, or nil.
func (r *Room) Host(s Spot) *Host {
	if p, ok := r.hosts[s]; ok {
		return p.region.hosts[p.host]
	}
	return nil
}

// Take adds an entry to a machine.
func (r *Room) Take(s Spot, e intent.Entry) {
	r.change(s, func(h *Host) {
		h.Lodged = append(slices.Clip(h.Lodged), e)
		h.Left = h.Left.Minus(e.Share())
	})
}

// Give removes the entry of an instance from a machine.
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
	p, ok := r.hosts[s]
	if !ok {
		return
	}
	h := p.region.hosts[p.host]
	p.region.clear(p.host, h.Left)
	do(h)
	p.region.set(p.host, h.Left)
	r.changes++
}

// Choice is the machine found for an instance.
type Choice struct {
	Spot
	Score int64 // 0 to Best
}

// Choose finds the best machine for an instance. It tries regions in the requested order; within a region, the seed
// breaks ties.
func (r *Room) Choose(w *Want, seed uint64) (Choice, bool) {
	even := r.datacenterCounts(w)
	for tier := range w.Regions {
		pools := r.tierRegions(w.Regions, tier)
		quota := SampleAbove
		if len(pools)*SampleAbove > wideLimit {
			quota = max(4, wideLimit/len(pools))
		}
		best := candidate{host: -1}
		for _, p := range pools {
			if c := p.findBest(w, seed, quota, even); c.better(&best) {
				best = c
			}
		}
		if best.host >= 0 {
			return Choice{best.region.hosts[best.host].Spot, best.score}, true
		}
	}
	return Choice{}, false
}

// tierRegions returns the indexes of the tier-th requested region; "any" stands for all regions not listed before it.
func (r *Room) tierRegions(regions intent.Regions, tier int) (pools []*regionIndex) {
	if regions[tier] != intent.AnyRegion {
		if p := r.regions[regions[tier]]; p != nil {
			pools = append(pools, p)
		}
		return pools
	}
	for _, code := range r.codes {
		if !slices.Contains(regions[:tier], code) {
			pools = append(pools, r.regions[code])
		}
	}
	return pools
}

// datacenterCounts counts the instances of a VM by datacenter, if it is to be spread over them.
func (r *Room) datacenterCounts(w *Want) map[string]int {
	if !w.Even {
		return nil
	}
	counts := map[string]int{}
	for _, p := range r.regions {
		for _, h := range p.hosts {
			if n := h.Has(w.VM); n > 0 {
				counts[h.Spec.Datacenter] += n
			}
		}
	}
	return counts
}

// Refusals counts the machines of the requested regions by the reason why they cannot take the instance.
func (r *Room) Refusals(w *Want) (counts Refusals) {
	key := w.cacheKey()
	if k, ok := r.refusals[key]; ok && k.changes == r.changes {
		return k.counts
	}
	for tier := range w.Regions {
		for _, p := range r.tierRegions(w.Regions, tier) {
			for _, h := range p.hosts {
				if h.Spot != w.Avoid {
					counts[h.Fits(w)]++
				}
			}
		}
	}
	r.refusals[key] = cachedRefusals{r.changes, counts}
	return counts
}

// candidate is a feasible machine.
type candidate struct {
	region *regionIndex
	host   int // -1: none
	even   int // instances of the VM in its datacenter
	score  int64
	rank   uint64
}

// better reports whether c is preferred over o.
func (c *candidate) better(o *candidate) bool {
	switch {
	case c.host < 0 || o.host < 0:
		return c.host >= 0
	case c.even != o.even:
		return c.even < o.even
	case c.score != o.score:
		return c.score > o.score
	case c.rank != o.rank:
		return c.rank < o.rank
	}
	return cmp.Or(cmp.Compare(c.region.code, o.region.code), cmp.Compare(c.host, o.host)) < 0
}
