package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/embedtest"
)

func TestMain(m *testing.M) {
	if os.Getenv("PLATYPUS_TEST_PROGRAM") == "preparer" {
		main() // which ends the process
	}
	testscript.Main(m, map[string]func(){"preparer": main})
}

// TestStories runs testdata/*.txtar: the agent as a process, a real store, real files.
func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			files := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(env.WorkDir, "repo"))))
			env.Defer(files.Close)
			env.Setenv("CONSUL_HTTP_ADDR", embedtest.Server(t).URL)
			env.Setenv("WEB", files.URL)
			env.Setenv("PLATYPUS_NODE", "web1")
			env.Setenv("NOW", time.Now().UTC().Format(time.RFC3339))
			env.Setenv("PLATYPUS_REPO", "file://"+filepath.Join(env.WorkDir, "repo"))
			env.Setenv("PLATYPUS_STATE_DIR", filepath.Join(env.WorkDir, "state"))
			return os.Chmod(env.WorkDir, 0o755)
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"put": put, "del": del, "artifact": pack, "exits": exits, "report": report, "sum": sum, "sign": sign, "mode": mode, "chown": chown,
		},
	})
}

// kv sends one request about a key of the store, as curl would.
func kv(ts *testscript.TestScript, method, key, value string) string {
	r, err := http.NewRequest(method, ts.Getenv("CONSUL_HTTP_ADDR")+"/v1/kv/"+key, strings.NewReader(value))
	ts.Check(err)
	resp, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("%s %s: %s: %s", method, key, resp.Status, body)
	}
	return string(body)
}

// put KEY JSON declares something; a key with a leading "/" is taken as it is, others lie below platypus/intent/.
func put(ts *testscript.TestScript, _ bool, args []string) {
	kv(ts, http.MethodPut, full(args[0]), args[1])
}

// del KEY deletes a key.
func del(ts *testscript.TestScript, _ bool, args []string) {
	kv(ts, http.MethodDelete, full(args[0]), "")
}

func full(key string) string {
	if bare, ok := strings.CutPrefix(key, "/"); ok {
		return bare
	}
	return "platypus/intent/" + key
}

// artifact APP VERSION [ENDING [CONTENT]] packs repo/APP/APP_VERSION.tar.gz, with bin/launch inside.
func pack(ts *testscript.TestScript, _ bool, args []string) {
	app, version, ending, content := args[0], args[1], ".tar.gz", "#!/bin/sh\nexec sleep 1000\n"
	if len(args) > 2 {
		ending = args[2]
	}
	if len(args) > 3 {
		content = args[3]
	}
	data, err := packed(ending, version, content)
	ts.Check(err)
	path := ts.MkAbs(filepath.Join("repo", intent.ArtifactName(intent.Name(app), intent.Name(version))+ending))
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(os.WriteFile(path, data, 0o644))
}

func packed(ending, version, content string) ([]byte, error) {
	var buf bytes.Buffer
	var z io.WriteCloser = gzip.NewWriter(&buf)
	if ending == ".tar.zst" {
		z, _ = zstd.NewWriter(&buf)
	}
	w := tar.NewWriter(z)
	files := []struct {
		name, body string
		mode       int64
	}{{"bin/launch", content, 0o700}, {"VERSION", version + "\n", 0o600}, {"share/readme", "read me\n", 0o644}}
	var errs []error
	for _, f := range files {
		errs = append(errs, w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.body)), Typeflag: tar.TypeReg, ModTime: time.Unix(1409452978, 0)}))
		_, err := io.WriteString(w, f.body)
		errs = append(errs, err)
	}
	errs = append(errs, w.Close(), z.Close())
	return buf.Bytes(), errors.Join(errs...)
}

// exits CODE PROGRAM ARGS... runs a program and wants that exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s exits with %d, want %d", args[1], got, want)
	}
}

// report APP writes what the agent says of the app to the file "said", as JSON.
func report(ts *testscript.TestScript, _ bool, args []string) {
	var r intent.Report
	ts.Check(json.Unmarshal([]byte(kv(ts, http.MethodGet, "platypus/status/preparer/web1?raw", "")), &r))
	state, known := r.Subjects[args[0]]
	data, err := json.Marshal(map[string]any{"known": known, "converged": r.Converged, "state": state, "held": r.Held})
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("said"), data, 0o644))
}

// sum VAR FILE puts the sha256 of a file into a variable.
func sum(ts *testscript.TestScript, _ bool, args []string) {
	data := sha256.Sum256([]byte(ts.ReadFile(args[1])))
	ts.Setenv(args[0], hex.EncodeToString(data[:]))
}

// sign FILE [NAME] signs with a new key, which becomes the only one in the file "keys"; NAME goes into the comment.
func sign(ts *testscript.TestScript, _ bool, args []string) {
	public, private, err := minisign.GenerateKey(nil)
	ts.Check(err)
	r := minisign.NewReader(strings.NewReader(ts.ReadFile(args[0])))
	_, err = io.Copy(io.Discard, r)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".minisig"), r.SignWithComments(private, "release of the tests file:"+args[1], "none"), 0o644))
	text, err := public.MarshalText()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("keys"), append(text, '\n'), 0o644))
}

// mode MODE FILE wants a file or directory to have these permission bits and to belong to us.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// chown UID FILE gives a file, or the link itself, to another user.
func chown(ts *testscript.TestScript, _ bool, args []string) {
	uid, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(os.Lchown(ts.MkAbs(args[1]), uid, -1))
}
