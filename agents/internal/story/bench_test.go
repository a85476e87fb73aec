package story

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
)

// sleeper is a program whose own start and stop take no time: what is measured is the switch.
const sleeper = "#!/bin/sh\necho \"$PLATYPUS_VERSION\" >%s\nexec sleep 1000000\n"

// BenchmarkSwitch measures from the PUT of intent to the first line of the new version's program, beside the same
// done by hand on the same service: sv stop, ln, sv start.
func BenchmarkSwitch(b *testing.B) {
	w := newHarness(b, "embedded", "runit")
	testhost.NeedTools(b, "sv")
	started := filepath.Join(w.dir, "started")
	for _, version := range []string{"v1", "v2"} {
		w.write(filepath.Join(w.dir, "pack", version, "bin/launch"), fmt.Sprintf(sleeper, started))
		w.packed("app", version)
	}
	basedir := filepath.Join(w.dir, "srv")
	w.put("nodes/"+node+"/app", `{"cluster":"bench"}`)
	w.put("clusters/app/bench/deploy_config", fmt.Sprintf(`{"basedir":%q,"health":{"type":"up","min_healthy":"1ms","successes":1,"interval":"10ms"}}`, basedir))
	w.put("clusters/app/bench/config", `{"versions":{"v1":"active","v2":"prep"}}`)
	if code, out := w.once("preparer"); code != 0 {
		b.Fatalf("prepare: exit %d: %s", code, out)
	}
	setlive := w.agent("setlive")
	ran := func(version string) func() error {
		return func() error {
			if said, _ := os.ReadFile(started); strings.TrimSpace(string(said)) != version {
				return fmt.Errorf("%s runs", said)
			}
			return nil
		}
	}
	w.eventually("v1 runs", ran("v1"))
	var switches, byHand []time.Duration
	versions := []string{"v2", "v1"}
	time.Sleep(3 * time.Second)
	for i := range 20 {
		version, other := versions[i%2], versions[(i+1)%2]
		begin := time.Now()
		w.put("clusters/app/bench/config", fmt.Sprintf(`{"versions":{%q:"active",%q:"prep"}}`, version, other))
		w.spin(ran(version))
		switches = append(switches, time.Since(begin))
		time.Sleep(1500 * time.Millisecond) // past the gate, and past runsv's pause for what ran less than a second
	}
	setlive.end(syscall.SIGTERM)
	service := filepath.Join(w.runit.Services, "app")
	for i := range 20 {
		version := versions[i%2]
		_ = os.Remove(started)
		time.Sleep(1100 * time.Millisecond)
		begin := time.Now()
		script := `sv stop "$1" && ln -sfn "$2" "$3" && sv up "$1"`
		install := filepath.Join(basedir, "installs", "app_"+version)
		if out, err := exec.Command("sh", "-c", script, "sh", service, install, filepath.Join(basedir, "current")).CombinedOutput(); err != nil {
			b.Fatalf("by hand: %v: %s", err, out)
		}
		w.spin(func() error { _, err := os.Stat(started); return err })
		byHand = append(byHand, time.Since(begin))
	}
	report(b, "switch", median(switches), median(byHand))
}

// BenchmarkIdle measures what three agents with twenty apps cost while nothing changes.
func BenchmarkIdle(b *testing.B) {
	w := newHarness(b, "embedded", "runit")
	w.firewall()
	for i := range 20 {
		app := fmt.Sprintf("app%d", i)
		w.write(filepath.Join(w.dir, "pack", app, "bin/launch"), fmt.Sprintf(sleeper, filepath.Join(w.dir, app)))
		w.packedFrom(app, "v1", app)
		w.put("nodes/"+node+"/"+app, `{"cluster":"bench"}`)
		w.put("clusters/"+app+"/bench/deploy_config", fmt.Sprintf(`{"basedir":%q,"ports":[%d]}`, filepath.Join(w.dir, "srv", app), 20000+i))
		w.put("clusters/"+app+"/bench/config", `{"versions":{"v1":"active"}}`)
	}
	agents := map[string]*process{"preparer": w.agent("preparer"), "setlive": w.agent("setlive")}
	if w.netns != "" {
		agents["port-authority"] = w.agent("port-authority")
	}
	w.converged()
	time.Sleep(5 * time.Second)
	span := 60 * time.Second
	before, index := map[string]time.Duration{}, w.index()
	for name, p := range agents {
		before[name] = cpu(b, p)
	}
	begin := time.Now()
	time.Sleep(span)
	span = time.Since(begin)
	for name, p := range agents {
		b.ReportMetric(100*(cpu(b, p)-before[name]).Seconds()/span.Seconds(), name+"-cpu-%")
		b.ReportMetric(rss(b, p), name+"-MiB")
	}
	b.ReportMetric(float64(w.index()-index), "store-writes")
	b.ReportMetric(0, "ns/op")
}

// packed puts pack/<version> into the repository as a version of app.
func (w *harness) packed(app, version string) { w.packedFrom(app, version, version) }

func (w *harness) packedFrom(app, version, dir string) {
	w.Helper()
	script, err := filepath.Abs("../../../scripts/pack.sh")
	if err != nil {
		w.Fatal(err)
	}
	if out, err := exec.Command(script, filepath.Join(w.dir, "repo"), app, version, filepath.Join(w.dir, "pack", dir)).CombinedOutput(); err != nil {
		w.Fatalf("pack: %v: %s", err, out)
	}
}

// spin waits like eventually, looking often enough to measure milliseconds.
func (w *harness) spin(ok func() error) {
	w.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(200 * time.Microsecond) {
		if err = ok(); err == nil {
			return
		}
	}
	w.Fatalf("still not so after a minute: %v", err)
}

// index is the store's index over everything.
func (w *harness) index() uint64 {
	w.Helper()
	response, err := w.http().Get("http://store/v1/kv/?keys")
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		w.Fatal(response.Status)
	}
	index, err := strconv.ParseUint(response.Header.Get("X-Consul-Index"), 10, 64)
	if err != nil {
		w.Fatal(err)
	}
	return index
}

func median(spans []time.Duration) time.Duration {
	spans = slices.Sorted(slices.Values(spans))
	return spans[len(spans)/2]
}

// report puts a figure beside its reference.
func report(b *testing.B, name string, ours, reference time.Duration) {
	b.ReportMetric(float64(ours.Microseconds())/1000, name+"-ms")
	b.ReportMetric(float64(reference.Microseconds())/1000, name+"-ref-ms")
	b.ReportMetric(float64(ours)/float64(reference), name+"-ratio")
	b.ReportMetric(0, "ns/op")
}

// cpu is the processor time that a process has used.
func cpu(b *testing.B, p *process) time.Duration {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// rss is the resident memory of a process in MiB.
func rss(b *testing.B, p *process) float64 {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.pid()))
	if err != nil {
		b.Fatal(err)
	}
	pages, _ := strconv.Atoi(strings.Fields(string(data))[1])
	return float64(pages*os.Getpagesize()) / (1 << 20)
}
