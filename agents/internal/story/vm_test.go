package story

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestVM_WithApp_PlacedAndReleased wishes for a vm with an app and nothing else: the allocator finds it a machine, preparer and setlive on that
// node bring the app up, and when the vm is released the app goes and then its share is free.
func TestVM_WithApp_PlacedAndReleased(t *testing.T) {
	for _, store := range []string{"embedded", "consul"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			placedApp(newHarness(t, store, "runit"), nginx)
		})
	}
}

func placedApp(w *harness, p program) {
	port := freePort(w.TB)
	w.publish(p, port, "v1", false)
	w.write(filepath.Join(w.dir, "run/.keep"), "")
	w.put("clusters/"+p.app+"/production/deploy_config", fmt.Sprintf(`{"basedir":%q,"health":`+p.health+`}`, filepath.Join(w.dir, "srv", p.app), port))
	w.activate(p, "v1")
	w.put("regions/SIN", `{}`)
	w.put("machines/SIN/"+node, `{"cores":8,"memory":"64GB"}`)
	w.agent("preparer")
	w.agent("setlive")
	w.agent("allocator")

	said := w.platypus(0, "launch", "--vm-memory", "8", "--vm-cores", "2", "--vm-region", "SIN", "--app", p.app, "--cluster", "production", "shop")
	if !strings.Contains(said, node) {
		w.Fatalf("launch does not say which machine it got:\n%s", said)
	}
	w.answers(p, port, "v1")
	w.converged()
	w.Logf("placed:\n%s", w.platypus(0, "vms"))

	// A second one of the app finds no other machine.
	said = w.platypus(2, "launch", "--vm-memory", "8", "--vm-cores", "2", "--vm-region", "SIN", "--app", p.app, "--cluster", "production", "second")
	if !strings.Contains(said, "1 have the app") {
		w.Fatalf("launch does not say why it is full:\n%s", said)
	}
	w.platypus(0, "release", "second")

	w.platypus(0, "release", "shop")
	w.eventually("the app is gone", func() error {
		if version, err := p.asks(port); err == nil {
			return fmt.Errorf("%s still answers", version)
		}
		if _, err := os.Lstat(filepath.Join(w.dir, "srv", p.app, "current")); err == nil {
			return fmt.Errorf("current is still there")
		}
		return nil
	})
	w.eventually("its share is free", func() error {
		ledger, err := w.try(http.MethodGet, "platypus/ledger/SIN/"+node, "")
		if err == nil && ledger != `{"entries":[]}` {
			err = fmt.Errorf("the ledger says %s", ledger)
		}
		return err
	})
	w.Logf("verify: %s", w.platypus(0, "verify"))
}
