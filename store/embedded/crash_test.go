package embedded_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/platypus-platform/platypus/store/consultest"
)

// What clients do to a key in a history, and the results they get.
type crashInput struct {
	op    string // get, put, cas or delete
	key   string
	value string
	index uint64 // the index that cas expects
}

type crashOutput struct {
	unknown bool // no answer: it may have happened, and may yet
	ok      bool // what cas said
	value   string
	index   uint64 // 0 for a missing key
}

// crashState is one key in the model. The store chooses the index of a write and only a read reveals it: 0 is an index
// that nobody has read yet.
type crashState struct {
	value   string
	present bool
	index   uint64
}

// model is a key-value store with check-and-set, checked per key.
func model() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{crashState{}} },
		Step: func(state, input, output any) []any {
			return step(state.(crashState), input.(crashInput), output.(crashOutput))
		},
		Equal: func(a, b any) bool { return a == b },
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byKey := map[string][]porcupine.Operation{}
			for _, op := range history {
				key := op.Input.(crashInput).key
				byKey[key] = append(byKey[key], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range byKey {
				parts = append(parts, part)
			}
			return parts
		},
	}
	return m.ToModel()
}

func step(s crashState, in crashInput, out crashOutput) []any {
	written := crashState{value: in.value, present: true}
	if s.present && s.value == in.value {
		written = s // the same value again changes nothing
	}
	var after crashState
	switch in.op {
	case "get":
		if out.unknown {
			return []any{s}
		}
		if s.present != (out.index != 0) || s.value != out.value || s.index != 0 && s.index != out.index {
			return nil
		}
		s.index = out.index
		return []any{s}
	case "put":
		after = written
	case "delete":
		after = crashState{}
	case "cas":
		fits := s.present && (s.index == in.index || s.index == 0)
		misses := !s.present || s.index != in.index
		var states []any
		if fits && (out.unknown || out.ok) {
			states = append(states, written)
		}
		if misses && (out.unknown || !out.ok) {
			states = append(states, s)
		}
		return states
	}
	return []any{after}
}

// history records the operations of all clients on one clock.
type history struct {
	mu     sync.Mutex
	ops    []porcupine.Operation
	answer atomic.Int64 // operations answered so far
}

func (h *history) add(op porcupine.Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

// TestStore_KilledRepeatedly_IsLinearizable runs five clients against a store that is killed repeatedly, and checks
// that what they observed is linearizable.
func TestStore_KilledRepeatedly_IsLinearizable(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a store for half a minute")
	}
	t.Parallel()
	wanted, most := int64(4000), 25*time.Second
	if thorough() {
		wanted, most = 10000, 40*time.Second
	}
	addr := fmt.Sprintf("127.0.0.1:%d", consultest.FreePorts(t, 1)[0])
	dir := t.TempDir()
	p := launch(t, dir, addr)
	var h history
	stop := make(chan struct{})
	var group sync.WaitGroup
	for id := range 5 {
		group.Go(func() { h.work(id, "http://"+addr+"/v1/kv/crash/", stop) })
	}
	kills := 0
	for end := time.Now().Add(most); time.Now().Before(end) && (h.answer.Load() < wanted || kills < 10); kills++ {
		time.Sleep(500*time.Millisecond + rand.N(1500*time.Millisecond))
		p.kill()
		p = launch(t, dir, addr)
	}
	close(stop)
	group.Wait()
	t.Logf("%d operations answered, %d in all, %d kills", h.answer.Load(), len(h.ops), kills)
	if n := h.answer.Load(); n < wanted {
		t.Logf("this machine was too slow for %d operations", wanted)
	}
	h.finish(t, "http://"+addr+"/v1/kv/crash/")
	switch got := porcupine.CheckOperationsTimeout(model(), h.ops, 2*hang); got {
	case porcupine.Ok:
	case porcupine.Unknown:
		t.Logf("this machine was too slow to check the history")
	default:
		t.Errorf("history of %d operations: %s", len(h.ops), got)
	}
}

var crashKeys = []string{"a", "b", "c", "d", "e", "f", "g", "h"}

// work is one client: it bases check-and-sets on the index it read last.
func (h *history) work(id int, base string, stop <-chan struct{}) {
	c := &http.Client{Timeout: hang, Transport: &http.Transport{}}
	defer c.CloseIdleConnections()
	random := rand.New(rand.NewPCG(uint64(id), 2))
	indexes := map[string]uint64{}
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		in := crashInput{key: crashKeys[random.IntN(len(crashKeys))], value: fmt.Sprintf("%d.%d", id, n)}
		in.op = []string{"get", "get", "put", "put", "cas", "cas", "delete"}[random.IntN(7)]
		if in.index = indexes[in.key]; in.op == "cas" && in.index == 0 {
			in.op = "get"
		}
		start := time.Now().UnixNano()
		out := request(c, base, in)
		op := porcupine.Operation{ClientId: id, Input: in, Call: start, Output: out, Return: time.Now().UnixNano()}
		if out.unknown {
			op.Return = 1 << 62 // It may take effect at any time from its start.
			time.Sleep(20 * time.Millisecond)
		} else {
			h.answer.Add(1)
		}
		if in.op == "get" && !out.unknown {
			indexes[in.key] = out.index
		}
		if in.op != "get" || !out.unknown {
			h.add(op)
		}
	}
}

// finish reads every key once more, so that a write lost at the very end is noticed too.
func (h *history) finish(t *testing.T, base string) {
	c := client(t)
	for _, key := range crashKeys {
		in := crashInput{op: "get", key: key}
		start := time.Now().UnixNano()
		out := request(c, base, in)
		if out.unknown {
			t.Fatalf("read %s at the end: no answer", key)
		}
		h.add(porcupine.Operation{ClientId: 5, Input: in, Call: start, Output: out, Return: time.Now().UnixNano()})
	}
}

func request(c *http.Client, base string, in crashInput) crashOutput {
	method, url := "PUT", base+in.key
	switch in.op {
	case "get":
		method = "GET"
	case "delete":
		method = "DELETE"
	case "cas":
		url += "?cas=" + strconv.FormatUint(in.index, 10)
	}
	code, _, body, err := do(c, method, url, in.value)
	if err != nil || code >= 500 {
		return crashOutput{unknown: true}
	}
	if in.op != "get" {
		return crashOutput{ok: body == "true"}
	}
	var pairs []struct {
		Value       []byte
		ModifyIndex uint64
	}
	if code == http.StatusNotFound {
		return crashOutput{}
	}
	if json.Unmarshal([]byte(body), &pairs) != nil || len(pairs) != 1 {
		return crashOutput{unknown: true}
	}
	return crashOutput{value: string(pairs[0].Value), index: pairs[0].ModifyIndex}
}

// TestModel_LostWrite_IsNoticed checks the model itself.
func TestModel_LostWrite_IsNoticed(t *testing.T) {
	put := crashInput{op: "put", key: "a", value: "1"}
	get := crashInput{op: "get", key: "a"}
	for name, c := range map[string]struct {
		out  crashOutput
		want bool
	}{
		"seen": {crashOutput{value: "1", index: 2}, true}, "lost": {crashOutput{}, false}, "other": {crashOutput{value: "2", index: 2}, false},
	} {
		ops := []porcupine.Operation{
			{Input: put, Output: crashOutput{ok: true}, Call: 1, Return: 2},
			{Input: get, Output: c.out, Call: 3, Return: 4},
		}
		if got := porcupine.CheckOperations(model(), ops); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
