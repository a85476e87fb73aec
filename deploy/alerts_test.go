package deploy_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// metrics are the metric families of every agent; alerts and dashboards may use no others.
var metrics = []string{"platypus_reconcile_total", "platypus_reconcile_seconds_bucket", "platypus_subjects",
	"platypus_store_up", "platypus_last_success_timestamp_seconds", "platypus_build_info"}

var metric = regexp.MustCompile(`platypus_[a-z_]+`)

func TestAlerts(t *testing.T) {
	promtool := requireTool(t, "promtool")
	for _, args := range [][]string{
		{"check", "rules", "prometheus/alerts.yml"},
		{"test", "rules", "prometheus/alerts_test.yml"},
	} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	rules, cases := read(t, "prometheus/alerts.yml"), read(t, "prometheus/alerts_test.yml")
	known(t, rules)
	for _, name := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		// Needs one case in which the alert fires and one in which it does not.
		if !regexp.MustCompile(`alertname: `+name[1]+`\s+exp_alerts:\s+- exp_labels`).MatchString(cases) ||
			!strings.Contains(cases, "alertname: "+name[1]+", exp_alerts: []") {
			t.Errorf("%s is not tested both ways", name[1])
		}
	}
}

// TestDashboard parses every query of the dashboard with Prometheus's own parser.
func TestDashboard(t *testing.T) {
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "grafana/platypus.json")), &board); err != nil {
		t.Fatal(err)
	}
	rules := "groups:\n- name: g\n  rules:\n"
	n := 0
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			known(t, target.Expr)
			text, _ := json.Marshal(target.Expr)
			rules += fmt.Sprintf("  - {record: 'q:%d', expr: %s}\n", n, text)
			n++
		}
	}
	if n == 0 {
		t.Fatal("no queries")
	}
	promtool := requireTool(t, "promtool")
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(promtool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, rules)
	}
}

func known(t *testing.T, text string) {
	t.Helper()
	for _, name := range metric.FindAllString(text, -1) {
		if !slices.Contains(metrics, name) {
			t.Errorf("no agent shows %s", name)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
