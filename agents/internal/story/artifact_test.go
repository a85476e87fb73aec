package story

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
)

// program is a program of Debian's that nobody here wrote, packed as an artifact.
type program struct {
	app    string
	health string // the health member of its deploy_config
	pack   func(w *harness, dir, port, version string, broken bool)
	asks   func(port string) (string, error) // which version answers
}

// nginx serves a page that names its version; a broken release answers 500 where its health is asked.
var nginx = program{
	app:    "web",
	health: `{"path":"/healthz","port":%s,"interval":"100ms","min_healthy":"300ms","deadline":"20s"}`,
	pack: func(w *harness, dir, port, version string, broken bool) {
		copyProgram(w, "nginx", dir)
		healthz := "return 200 ok;"
		if broken {
			healthz = "return 500 broken;"
		}
		w.write(filepath.Join(dir, "conf/nginx.conf"), fmt.Sprintf(`daemon off; user root; worker_processes 1; pid %[1]s/nginx.pid;
			events {}
			http { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
				server { listen 127.0.0.1:%[2]s; location = /healthz { %[3]s } location / { return 200 %[4]s; } } }`,
			filepath.Join(w.dir, "run"), port, healthz, version))
		w.write(filepath.Join(dir, "bin/launch"), "#!/bin/sh\nhere=$(dirname \"$(dirname \"$0\")\")\nexec \"$here/bin/nginx\" -p \"$here\" -c conf/nginx.conf -e stderr\n")
	},
	asks: func(port string) (string, error) {
		client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Get("http://127.0.0.1:" + port + "/")
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return string(body), err
	},
}

// redis names its version by the place it was started from; a broken release ends at once.
var redis = program{
	app:    "cache",
	health: `{"port":%s,"interval":"100ms","min_healthy":"300ms","deadline":"30s"}`,
	pack: func(w *harness, dir, port, version string, broken bool) {
		copyProgram(w, "redis-server", dir)
		line := `exec "$here/bin/redis-server" --bind 127.0.0.1 --port ` + port + ` --save "" --daemonize no`
		if broken {
			line = "exit 1"
		}
		w.write(filepath.Join(dir, "bin/launch"), "#!/bin/sh\nhere=$(dirname \"$(dirname \"$(readlink -f \"$0\")\")\")\n"+line+"\n")
	},
	asks: func(port string) (string, error) {
		out, err := exec.Command("redis-cli", "-p", port, "info", "server").CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
		_, after, found := strings.Cut(string(out), "/installs/cache_")
		if !found {
			return "", fmt.Errorf("no version in %.200s", out)
		}
		version, _, _ := strings.Cut(after, "/")
		return version, nil
	},
}

func copyProgram(w *harness, name, dir string) {
	testhost.NeedTools(w.TB, name)
	path, _ := exec.LookPath(name)
	data, err := os.ReadFile(path)
	if err != nil {
		w.Fatal(err)
	}
	w.write(filepath.Join(dir, "bin", name), string(data))
}

// publish packs a version into the repository.
func (w *harness) publish(p program, port, version string, broken bool) {
	w.Helper()
	dir := filepath.Join(w.dir, "pack", p.app+"-"+version)
	p.pack(w, dir, port, version, broken)
	w.packedFrom(p.app, version, p.app+"-"+version)
}

// client keeps asking an app and counts what it meets.
type client struct {
	stop     chan struct{}
	ended    sync.WaitGroup
	asked    int
	refused  int
	longest  time.Duration // without an answer
	versions map[string]int
}

func (p program) client(port string) *client {
	c := &client{stop: make(chan struct{}), versions: map[string]int{}}
	c.ended.Go(func() {
		last := time.Now()
		for {
			select {
			case <-c.stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			c.asked++
			version, err := p.asks(port)
			if err != nil {
				c.refused++
				continue
			}
			c.versions[version]++
			c.longest = max(c.longest, time.Since(last))
			last = time.Now()
		}
	})
	return c
}

// String ends the client and says what it met.
func (c *client) String() string {
	close(c.stop)
	c.ended.Wait()
	return fmt.Sprintf("%d requests, %d refused, longest pause %s, answers by version %v", c.asked, c.refused, c.longest.Round(time.Millisecond), c.versions)
}
