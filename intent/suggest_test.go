package intent_test

import (
	"testing"

	"github.com/platypus-platform/platypus/intent"
)

func TestNear(t *testing.T) {
	known := []string{"web1", "web2", "db-primary", "app.example.com"}
	for name, want := range map[string]string{
		"wbe1": "web1", "Web2": "web2", "db-prmary": "db-primary", "app": "app.example.com", "web2.example.com": "web2",
		"x": "", "worker9": "", "web1": "web2", "": "",
	} {
		if got := intent.Near(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
