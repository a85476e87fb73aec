package fleet

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// regionIndex indexes the machines of one region. For each level of free cores and of free memory, it keeps the set
// of machines with at least that much; a machine with enough of both is in two such sets.
type regionIndex struct {
	code     intent.Name
	policy   intent.Policy
	hosts    []*Host
	nameHash []uint64        // by host
	cores    []bitset        // by level
	memory   []bitset        // by level
	atCores  [coreLevels]int // machines at exactly each level
}

type bitset []uint64

// Levels are single cores up to exactCores, then powers of two; memory has four levels per doubling. A level is a
// necessary condition only; [Host.Fits] decides.
const (
	exactCores   = 64
	coreLevels   = exactCores + 12
	memoryLevels = 4 * 34
)

func coreLevel(cores int) int {
	if cores < exactCores {
		return cores
	}
	return min(coreLevels-1, exactCores+bits.Len(uint(cores))-7)
}

func memoryLevel(memory intent.Size) int {
	mega := uint64(memory) >> 20
	if memory < 0 {
		return -1
	}
	if mega < 4 {
		return int(mega)
	}
	n := bits.Len64(mega)
	return min(memoryLevels-1, 4*(n-2)+int(mega>>(n-3))&3)
}

func (x *regionIndex) build() {
	words := (len(x.hosts) + 63) / 64
	all := make([]uint64, words*(coreLevels+memoryLevels))
	next := func() (s bitset) { s, all = bitset(all[:words:words]), all[words:]; return s }
	for range coreLevels {
		x.cores = append(x.cores, next())
	}
	for range memoryLevels {
		x.memory = append(x.memory, next())
	}
	for n, h := range x.hosts {
		x.set(n, h.Left)
	}
}

func (x *regionIndex) set(n int, left intent.Share) {
	if level := coreLevel(left.Cores); level >= 0 {
		x.atCores[level]++
	}
	for level := coreLevel(left.Cores); level >= 0; level-- {
		x.cores[level][n/64] |= 1 << (n % 64)
	}
	for level := memoryLevel(left.Memory); level >= 0; level-- {
		x.memory[level][n/64] |= 1 << (n % 64)
	}
}

func (x *regionIndex) clear(n int, left intent.Share) {
	if level := coreLevel(left.Cores); level >= 0 {
		x.atCores[level]--
	}
	for level := coreLevel(left.Cores); level >= 0; level-- {
		x.cores[level][n/64] &^= 1 << (n % 64)
	}
	for level := memoryLevel(left.Memory); level >= 0; level-- {
		x.memory[level][n/64] &^= 1 << (n % 64)
	}
}

// findBest scores all feasible machines, or the first quota of them: packing starts with the fullest, spreading with
// the emptiest. Within a level the seed selects the starting point.
func (x *regionIndex) findBest(w *Want, seed uint64, quota int, even map[string]int) candidate {
	best := candidate{host: -1}
	all := len(x.hosts) <= SampleAbove && quota >= SampleAbove
	lowest := coreLevel(w.Cores)
	memory := x.memory[memoryLevel(w.Memory)]
	start := int(mix(seed) % uint64(len(memory)))
	for i := range coreLevels - lowest {
		level := lowest + i
		if x.policy == intent.PolicySpread {
			level = coreLevels - 1 - i
		}
		if x.atCores[level] == 0 {
			continue
		}
		var above bitset
		if level+1 < coreLevels {
			above = x.cores[level+1]
		}
		for j := range memory {
			word := (start + j) % len(memory)
			has := x.cores[level][word] & memory[word]
			if above != nil {
				has &^= above[word]
			}
			for ; has != 0; has &= has - 1 {
				n := word*64 + bits.TrailingZeros64(has)
				if !x.tryHost(n, w, seed, even, &best) {
					continue
				}
				if quota--; quota <= 0 && !all {
					return best
				}
			}
		}
	}
	return best
}

// tryHost scores one machine if it is feasible.
func (x *regionIndex) tryHost(n int, w *Want, seed uint64, even map[string]int, best *candidate) (fits bool) {
	h := x.hosts[n]
	if h.Spot == w.Avoid || h.Fits(w) != Fits {
		return false
	}
	c := candidate{region: x, host: n, score: Score(x.policy, h.Spec.Usable(), h.Left, w.Share),
		rank: mix(seed ^ x.nameHash[n])}
	if even != nil {
		c.even = even[h.Spec.Datacenter]
	}
	if c.better(best) {
		*best = c
	}
	return true
}

// cacheKey is equal for wants that every machine answers alike.
func (w *Want) cacheKey() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %d %v %s %v", w.Cores, w.Memory, w.Regions, w.Avoid, w.Constraints)
	if w.App != "" || w.Apart {
		fmt.Fprintf(&b, " %s %s %v", w.App, w.VM, w.Apart)
	}
	return b.String()
}
