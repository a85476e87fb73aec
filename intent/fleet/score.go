package fleet

import (
	"math"

	"github.com/platypus-platform/platypus/intent"
)

// Best is the highest score.
const Best = 1_000_000

// pow10 holds 10^(i/pow10Steps) in millionths: integers, so that all machines and compilers compute the same plan.
var pow10 = func() (table [pow10Steps + 1]int64) {
	for i := range table {
		table[i] = int64(math.Round(1e6 * math.Pow(10, float64(i)/pow10Steps)))
	}
	return table
}()

const pow10Steps = 4096

// Score rates a machine for a share, from 0 to [Best]; left is its free capacity before, usable its total. Packing is
// Google's BestFit-v3 as in Nomad: 20 - (10^free cores + 10^free memory) after placement, within 0 to 18. Spreading
// is worst fit: (10^free cores + 10^free memory) - 2.
func Score(policy intent.Policy, usable, left, share intent.Share) int64 {
	after := left.Minus(share)
	sum := pow10[fraction(int64(after.Cores), int64(usable.Cores))] + pow10[fraction(int64(after.Memory>>20),
		int64(usable.Memory>>20))]
	score := 20_000_000 - sum
	if policy == intent.PolicySpread {
		score = sum - 2_000_000
	}
	return max(0, min(score, 18_000_000)) / 18
}

// fraction is part/whole in pow10Steps.
func fraction(part, whole int64) int64 {
	if part <= 0 || whole <= 0 {
		return 0
	}
	return min(pow10Steps, part*pow10Steps/whole)
}

// Seed is the tie-breaker of an instance and attempt: siblings and later attempts prefer other machines among equals.
func Seed(i intent.Instance, attempt int) uint64 {
	h := hash(string(i.VM))
	return mix(h ^ mix(uint64(i.Number)<<32|uint64(uint32(attempt))))
}

// hash is FNV-1a.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
