package fleet

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// pool is the machines of one region. For each level of free cores, and of free memory, it keeps the set of machines that
// have at least so much; a machine that has enough of both is in two such sets.
type pool struct {
	region intent.Name
	policy intent.Policy
	hosts  []*Host
	salt   []uint64        // of each host's name
	cores  []set           // by level
	memory []set           // by level
	many   [coreLevels]int // machines at exactly each level of cores
}

type set []uint64

// Levels are finer where it matters: single cores up to exact, then powers of two; four levels to each doubling of
// memory. Being at a level is necessary for having enough, and [Host.Fits] decides.
const (
	exact        = 64
	coreLevels   = exact + 12
	memoryLevels = 4 * 34
)

func coreLevel(cores int) int {
	if cores < exact {
		return cores
	}
	return min(coreLevels-1, exact+bits.Len(uint(cores))-7)
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

func (p *pool) build() {
	words := (len(p.hosts) + 63) / 64
	all := make([]uint64, words*(coreLevels+memoryLevels))
	next := func() (s set) { s, all = set(all[:words:words]), all[words:]; return s }
	for range coreLevels {
		p.cores = append(p.cores, next())
	}
	for range memoryLevels {
		p.memory = append(p.memory, next())
	}
	for n, h := range p.hosts {
		p.set(n, h.Left)
	}
}

func (p *pool) set(n int, left intent.Share) {
	if level := coreLevel(left.Cores); level >= 0 {
		p.many[level]++
	}
	for level := coreLevel(left.Cores); level >= 0; level-- {
		p.cores[level][n/64] |= 1 << (n % 64)
	}
	for level := memoryLevel(left.Memory); level >= 0; level-- {
		p.memory[level][n/64] |= 1 << (n % 64)
	}
}

func (p *pool) clear(n int, left intent.Share) {
	if level := coreLevel(left.Cores); level >= 0 {
		p.many[level]--
	}
	for level := coreLevel(left.Cores); level >= 0; level-- {
		p.cores[level][n/64] &^= 1 << (n % 64)
	}
	for level := memoryLevel(left.Memory); level >= 0; level-- {
		p.memory[level][n/64] &^= 1 << (n % 64)
	}
}

// best looks at all machines that may fit, or at the first quota that do: when packing from the fullest on, when
// spreading from the emptiest on, within one level from a place that the seed decides.
func (p *pool) best(w *Want, seed uint64, quota int, even map[string]int) candidate {
	best := candidate{n: -1}
	all := len(p.hosts) <= SampleAbove && quota >= SampleAbove
	lowest := coreLevel(w.Cores)
	memory := p.memory[memoryLevel(w.Memory)]
	start := int(mix(seed) % uint64(len(memory)))
	for i := range coreLevels - lowest {
		level := lowest + i
		if p.policy == intent.PolicySpread {
			level = coreLevels - 1 - i
		}
		if p.many[level] == 0 {
			continue
		}
		var above set
		if level+1 < coreLevels {
			above = p.cores[level+1]
		}
		for j := range memory {
			word := (start + j) % len(memory)
			has := p.cores[level][word] & memory[word]
			if above != nil {
				has &^= above[word]
			}
			for ; has != 0; has &= has - 1 {
				n := word*64 + bits.TrailingZeros64(has)
				if !p.try(n, w, seed, even, &best) {
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

// try looks at one machine.
func (p *pool) try(n int, w *Want, seed uint64, even map[string]int, best *candidate) (fits bool) {
	h := p.hosts[n]
	if h.Spot == w.Avoid || h.Fits(w) != Fits {
		return false
	}
	c := candidate{pool: p, n: n, score: Score(p.policy, h.Spec.Usable(), h.Left, w.Share), rank: mix(seed ^ p.salt[n])}
	if even != nil {
		c.even = even[h.Spec.Datacenter]
	}
	if c.better(best) {
		*best = c
	}
	return true
}

// kind is the same for wants that every machine answers alike.
func (w *Want) kind() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %d %v %s %v", w.Cores, w.Memory, w.Regions, w.Avoid, w.Constraints)
	if w.App != "" || w.Apart {
		fmt.Fprintf(&b, " %s %s %v", w.App, w.VM, w.Apart)
	}
	return b.String()
}
