package agent_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/platypus-platform/platypus/agents/internal/agent"
)

// lastGoodIntent damages a cache in every way that one cut or one changed byte can.
func lastGoodIntent(t *testing.T, path string, good []byte) {
	try := func(what string, at int, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if agent.HasCachedIntent(filepath.Dir(path), "web1") {
			t.Errorf("%s at %d of %d is believed", what, at, len(good))
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s at %d stays in its place", what, at)
		}
		aside, _ := filepath.Glob(path + ".corrupt-*")
		if len(aside) == 0 {
			t.Errorf("%s at %d is not set aside", what, at)
		}
		for _, a := range aside {
			_ = os.Remove(a)
		}
	}
	for at := range good {
		try("cut", at, good[:at])
		damaged := append([]byte{}, good...)
		damaged[at] ^= 1
		try("a changed byte", at, damaged)
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if !agent.HasCachedIntent(filepath.Dir(path), "web1") || agent.HasCachedIntent(filepath.Dir(path), "web2") {
		t.Error("the good one is not believed, or for another node")
	}
}
