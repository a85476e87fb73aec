package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/intent"
)

// current APP VERSION checks where the link leads; without VERSION, that there is none.
func (w *world) current(ts *testscript.TestScript, _ bool, args []string) {
	basedir := filepath.Join(w.dir, "srv", args[0])
	target, _ := os.Readlink(filepath.Join(basedir, "current"))
	want := ""
	if len(args) > 1 {
		want = filepath.Join(basedir, "installs", args[0]+"_"+args[1])
	}
	if target != want {
		ts.Fatalf("current is %q, want %q", target, want)
	}
}

// report APP PHASE [REGEXP] waits until the report in the store says so; REGEXP is for what it has, why, and the error.
func (w *world) report(ts *testscript.TestScript, neg bool, args []string) {
	w.eventually(ts, func() error {
		_, body := w.request("GET", "kv/"+w.root+"/status/setlive/"+w.node+"?raw", "")
		var r intent.Report
		_ = json.Unmarshal([]byte(body), &r)
		state, there := r.Subjects[args[0]]
		if neg {
			if there {
				return fmt.Errorf("%s is still there: %+v", args[0], state)
			}
			return nil
		}
		if state.Phase != args[1] || len(args) > 2 && !regexp.MustCompile(args[2]).MatchString(state.Have+" "+state.Reason+" "+state.Error) {
			return fmt.Errorf("%s is %+v, want %v", args[0], state, args[1:])
		}
		return nil
	})
}

// listed APP VERSION STATUS waits until the catalog shows the app so; ! listed APP, until it does not.
func (w *world) listed(ts *testscript.TestScript, neg bool, args []string) {
	w.eventually(ts, func() error {
		_, body := w.request("GET", "health/service/"+args[0], "")
		var entries []struct {
			Service struct {
				ID   string
				Meta map[string]string
			}
			Checks []struct{ Status string }
		}
		if err := json.Unmarshal([]byte(body), &entries); err != nil {
			return err
		}
		for _, e := range entries {
			if e.Service.ID != "platypus-"+args[0]+"-"+w.node {
				continue
			}
			status := ""
			for _, c := range e.Checks {
				status = max(status, c.Status)
			}
			if !neg && e.Service.Meta["version"] == args[1] && (len(args) < 3 || slices.ContainsFunc(e.Checks, func(c struct{ Status string }) bool { return c.Status == args[2] })) {
				return nil
			}
			return fmt.Errorf("%s", body)
		}
		if neg {
			return nil
		}
		return fmt.Errorf("%s is not listed", args[0])
	})
}

func (w *world) eventually(ts *testscript.TestScript, ok func() error) {
	var err error
	for end := time.Now().Add(testhost.HangLimit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
	}
	ts.Fatalf("still not so: %v", err)
}
