package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
)

// BenchmarkSwitch measures from the answer to the PUT of new intent, sent right before, to the first line of the new
// version's program, on runit and a real Consul. The program stops at once.
func BenchmarkSwitch(b *testing.B) {
	consul := testhost.Consul(b, "web1")
	r := testhost.NewRunit(b)
	dir := testhost.Scratch(b)
	srv, started := filepath.Join(dir, "srv"), filepath.Join(dir, "started")
	for _, version := range []string{"v1", "v2"} {
		testhost.Prepare(b, srv, "app", version, "#!/bin/sh\necho $PLATYPUS_VERSION >"+started+"\nexec sleep 100000\n")
	}
	put := func(key, value string) {
		request, err := http.NewRequest("PUT", "http://"+consul+"/v1/kv/platypus/intent/"+key, strings.NewReader(value))
		if err != nil {
			b.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	active := func(version string) {
		put("clusters/app/bench/config", fmt.Sprintf(`{"versions":{%q:"active"}}`, version))
	}
	wait := func(version string) {
		for end := time.Now().Add(testhost.HangLimit); time.Now().Before(end); time.Sleep(200 * time.Microsecond) {
			if said, _ := os.ReadFile(started); strings.TrimSpace(string(said)) == version {
				return
			}
		}
		b.Fatalf("%s does not start", version)
	}
	put("nodes/web1/app", `{"cluster":"bench"}`)
	put("clusters/app/bench/deploy_config", fmt.Sprintf(`{"basedir":%q,"health":{"type":"up","min_healthy":"1ms","successes":1,"interval":"10ms"}}`, srv))
	active("v1")
	setlive := filepath.Join(dir, "setlive")
	if out, err := exec.Command("go", "build", "-o", setlive, ".").CombinedOutput(); err != nil {
		b.Skipf("needs go: %v: %s", err, out)
	}
	cmd := exec.Command(setlive, "--node", "web1", "--http-addr", consul, "--state-dir", filepath.Join(dir, "state"),
		"--runit", r.Services, "--runit-stage", r.Stage)
	if testing.Verbose() {
		cmd.Stderr = os.Stderr
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	wait("v1")
	var took []time.Duration
	for i := 0; b.Loop() || i < 20; i++ {
		time.Sleep(1500 * time.Millisecond) // runsv pauses when a service ran for less than a second
		version := []string{"v2", "v1"}[i%2]
		begin := time.Now()
		active(version)
		wait(version)
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
}
