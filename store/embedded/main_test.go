package embedded_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/store/embedded"
)

// serveData and serveListen turn this test binary into a store process, so that tests can kill and measure it.
const (
	serveData   = "PLATYPUS_TEST_SERVE_DATA"
	serveListen = "PLATYPUS_TEST_SERVE_LISTEN"
	hang        = 2 * time.Minute // longer than any step of a test unless something hangs
)

func TestMain(m *testing.M) {
	if data := os.Getenv(serveData); data != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		config := embedded.Config{Data: data, Listen: os.Getenv(serveListen), NoToken: true, Options: embedded.Options{Node: "n1"}}
		if err := embedded.Serve(ctx, config, func(addr string) { fmt.Println(addr) }); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	if many := flag.Lookup("test.parallel").Value; many.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		_ = many.Set("6") // parallel tests wait for a disk or for time to pass
	}
	os.Exit(m.Run())
}

// thorough reports whether this is the long run of make faults.
func thorough() bool { return os.Getenv("PLATYPUS_FAULTS") != "" }

// process is a store in a separate process.
type process struct {
	cmd  *exec.Cmd
	addr string
	errs *strings.Builder
	once sync.Once
}

// launch starts a store on a data directory and waits until it is ready.
func launch(t testing.TB, data, listen string) *process {
	t.Helper()
	p, err := tryLaunch(data, listen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// tryLaunch starts a store, under another program if one is given.
func tryLaunch(data, listen string, under ...string) (*process, error) {
	line := append(under, os.Args[0], "-test.run=^$")
	p := &process{cmd: exec.Command(line[0], line[1:]...), errs: &strings.Builder{}}
	p.cmd.Env = append(os.Environ(), serveData+"="+data, serveListen+"="+listen)
	p.cmd.Stderr = p.errs
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.kill()
		return nil, fmt.Errorf("store did not start: %s", p.errs)
	}
	p.addr = strings.TrimSpace(addr)
	return p, nil
}

// kill is a power cut as far as a process can simulate one.
func (p *process) kill() {
	p.once.Do(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
}

// stop sends SIGTERM and waits for the process to end.
func (p *process) stop(t testing.TB) {
	t.Helper()
	p.once.Do(func() {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("stop: %v: %s", err, p.errs)
		}
	})
}

// open opens a store for the time of a test.
func open(t testing.TB, dir string) *embedded.Store {
	t.Helper()
	s, err := embedded.Open(dir, embedded.Options{Node: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return s
}
