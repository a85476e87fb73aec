package engine

import (
	"context"
	"testing"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/intent"
)

func TestHostileLoads(t *testing.T) {
	e, err := New("", &outside{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range fixture.Cases(t) {
		t.Log(name)
		s, err := e.Load(context.Background(), Spec{Name: name, Bounds: intent.Bounds{Memory: 16 << 20}}, fixture.Hostile(t, name))
		if err != nil {
			t.Logf("%s: %v", name, err)
			continue
		}
		s.Close()
	}
}
