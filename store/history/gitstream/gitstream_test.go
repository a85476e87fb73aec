package gitstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// git runs the real one, in a repository that knows no settings of this machine.
func git(t testing.TB, dir string, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(in)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "HOME="+dir)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("git %v: %v: %s", args, err, said.String())
	}
	return out.Bytes()
}

func needGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git")
	}
}

func readAll(r io.Reader) (commits []Commit, tags []Tag, err error) {
	stream := NewReader(r)
	for {
		c, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return commits, stream.Tags(), nil
		}
		if err != nil {
			return nil, nil, err
		}
		commits = append(commits, c)
	}
}

// drawHistory makes a history in which every commit changes what was there.
func drawHistory(t *rapid.T) (commits []Commit, tags []Tag) {
	word := rapid.StringMatching(`[a-zA-Zäß"\\ .@-]{0,12}`)
	there := map[string]string{}
	for i := range rapid.IntRange(1, 6).Draw(t, "commits") {
		c := Commit{Mark: uint64(i + 1), When: time.Unix(1_700_000_000+int64(i), 0).UTC(),
			Author:  Person{strings.TrimSpace(word.Draw(t, "name")), strings.TrimSpace(rapid.StringMatching(`[a-z@.]{1,9}`).Draw(t, "email"))},
			Message: rapid.StringMatching(`([a-z: \n"é]{0,20}\n\n)?[A-Za-z:é \n-]{1,20}`).Draw(t, "message")}
		c.Trailers = append(c.Trailers, Trailer{"Platypus-Seq", fmt.Sprint(i + 1)}, Trailer{"Platypus-Via", "cli: " + strings.TrimSpace(word.Draw(t, "via"))})
		for _, path := range []string{"a.json", "d/b.json", `odd "name" ü\.json`, "d/e/f g.json", "new\nline"} {
			old, has := there[path]
			switch choice := rapid.IntRange(0, 4).Draw(t, "fate"); {
			case choice == 0 && has:
				delete(there, path)
				c.Files = append(c.Files, File{Path: path, Delete: true})
			case choice == 1:
				data := rapid.SampledFrom([]string{"", "{}", "{\"a\": 1}\n", "data 3\nabc\n", "\x00\xff", "x\n\n"}).Draw(t, "data")
				if has && old == data {
					continue
				}
				there[path] = data
				c.Files = append(c.Files, File{Path: path, Data: []byte(data)})
			}
		}
		commits = append(commits, c)
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "tags") {
		tags = append(tags, Tag{Name: fmt.Sprintf("tag%d", i), Mark: rapid.Uint64Range(1, uint64(len(commits))).Draw(t, "at")})
	}
	return commits, tags
}

func write(commits []Commit, tags []Tag) []byte {
	var b bytes.Buffer
	w := NewWriter(&b, "intent")
	for _, c := range commits {
		w.Commit(c)
	}
	for _, tag := range tags {
		w.Tag(tag)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// describe formats a history without marks, which git chooses again.
func describe(commits []Commit, tags []Tag) string {
	var b strings.Builder
	at := map[uint64]int{}
	for i, c := range commits {
		at[c.Mark] = i
		files := slices.Clone(c.Files)
		slices.SortFunc(files, func(x, y File) int { return strings.Compare(x.Path, y.Path) })
		fmt.Fprintf(&b, "%d %q %q %s %q %q\n", i, c.Author.Name, c.Author.Email, c.When.Format(time.RFC3339), c.Message, c.Trailers)
		for _, f := range files {
			fmt.Fprintf(&b, "  %q %q %v\n", f.Path, f.Data, f.Delete)
		}
	}
	names := slices.Clone(tags)
	slices.SortFunc(names, func(x, y Tag) int { return strings.Compare(x.Name, y.Name) })
	for _, tag := range names {
		fmt.Fprintf(&b, "%s %d\n", tag.Name, at[tag.Mark])
	}
	return b.String()
}

func TestStream_WrittenAndRead_IsEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		commits, tags := drawHistory(t)
		got, gotTags, err := readAll(bytes.NewReader(write(commits, tags)))
		if err != nil || describe(got, gotTags) != describe(commits, tags) {
			t.Fatalf("%v:\n%swant\n%s", err, describe(got, gotTags), describe(commits, tags))
		}
	})
}

// TestStream_ThroughGit_IsEqual: a history survives fast-import and fast-export unchanged.
func TestStream_ThroughGit_IsEqual(t *testing.T) {
	needGit(t)
	dir, n := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		if n++; n > 25 { // each takes four processes
			return
		}
		commits, tags := drawHistory(t)
		throughGit(t, filepath.Join(dir, fmt.Sprint(n)), commits, tags)
	})
}

func throughGit(t *rapid.T, repo string, commits []Commit, tags []Tag) {
	run := func(in []byte, args ...string) []byte {
		cmd := exec.Command("git", args...)
		cmd.Stdin = bytes.NewReader(in)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_DIR="+repo)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %v: %v", args, err)
		}
		return out
	}
	run(nil, "init", "-q", "--bare", repo)
	run(write(commits, tags), "fast-import", "--quiet")
	run(nil, "fsck", "--strict")
	got, gotTags, err := readAll(bytes.NewReader(run(nil, "fast-export", "--all")))
	if err != nil || describe(got, gotTags) != describe(commits, tags) {
		t.Fatalf("%v:\n%swant\n%s", err, describe(got, gotTags), describe(commits, tags))
	}
}

// TestReader_HistoryMadeInGit_IsRead reads commits made with git itself: no trailers, an annotated tag, a merge.
func TestReader_HistoryMadeInGit_IsRead(t *testing.T) {
	needGit(t)
	dir := t.TempDir()
	do := func(args ...string) []byte {
		return git(t, dir, nil, append([]string{"-c", "user.name=Ann", "-c", "user.email=ann@example.com"}, args...)...)
	}
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		do("add", "-A")
	}
	do("init", "-q", "-b", "main")
	put("a.json", "1")
	do("commit", "-qm", "one")
	do("tag", "-a", "golden", "-m", "kept")
	do("checkout", "-qb", "side")
	put("b.json", "2")
	do("commit", "-qm", "two")
	do("checkout", "-q", "main")
	put("c.json", "3")
	do("commit", "-qm", "three")
	do("merge", "-q", "-m", "joined", "side")
	commits, tags, err := readAll(bytes.NewReader(do("fast-export", "--first-parent", "--tag-of-filtered-object=drop", "main", "golden")))
	if err != nil || len(commits) != 3 || commits[2].Message != "joined\n" || commits[2].Files[0].Path != "b.json" || commits[0].Author != (Person{"Ann", "ann@example.com"}) {
		t.Errorf("%v %+v", err, commits)
	}
	if len(tags) != 1 || tags[0] != (Tag{Name: "golden", Mark: commits[0].Mark}) {
		t.Errorf("tags %v", tags)
	}
	if _, _, err := readAll(bytes.NewReader(do("fast-export", "main"))); err == nil || !strings.Contains(err.Error(), "--first-parent") {
		t.Errorf("a history that branches: %v", err)
	}
}

// TestWholeTree_ReplacesTheTree: a commit of the whole tree deletes all other paths, in git and in the reader.
func TestWholeTree_ReplacesTheTree(t *testing.T) {
	needGit(t)
	dir := t.TempDir()
	git(t, dir, nil, "init", "-q", "--bare")
	who, when := Person{"a", "b"}, time.Unix(1, 0).UTC()
	stream := write([]Commit{
		{Mark: 1, When: when, Author: who, Message: "m", Files: []File{{Path: "x", Data: []byte("1")}, {Path: "y", Data: []byte("1")}}},
		{Mark: 5, When: when, Author: who, Message: "n", Whole: true, Files: []File{{Path: "y", Data: []byte("2")}, {Path: "z", Data: []byte("1")}}},
	}, nil)
	git(t, dir, stream, "fast-import", "--quiet")
	if got := string(git(t, dir, nil, "ls-tree", "--name-only", "intent")); got != "y\nz\n" {
		t.Errorf("git has %q", got)
	}
	commits, _, err := readAll(bytes.NewReader(stream))
	if err != nil || len(commits) != 2 || fmt.Sprint(commits[1].Files) != fmt.Sprint([]File{{Path: "x", Delete: true}, {Path: "y", Data: []byte("2")}, {Path: "z", Data: []byte("1")}}) {
		t.Errorf("%v %v", err, commits)
	}
}

// TestOnto_ContinuesABranch: the first commit becomes a child of an existing one, and a tag may name an older commit.
func TestOnto_ContinuesABranch(t *testing.T) {
	needGit(t)
	dir := t.TempDir()
	git(t, dir, nil, "init", "-q", "--bare")
	c := Commit{Mark: 1, When: time.Unix(1, 0).UTC(), Author: Person{"a", "b"}, Message: "m", Files: []File{{Path: "x", Data: []byte("1")}}}
	git(t, dir, write([]Commit{c}, nil), "fast-import", "--quiet")
	hash := strings.TrimSpace(string(git(t, dir, nil, "rev-parse", "intent")))
	var b bytes.Buffer
	w := NewWriter(&b, "intent")
	w.Onto(hash)
	c.Mark, c.Files = 2, []File{{Path: "y", Data: []byte("2")}}
	w.Commit(c)
	w.Tag(Tag{Name: "old", Object: hash})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	git(t, dir, b.Bytes(), "fast-import", "--quiet")
	git(t, dir, nil, "fsck", "--strict")
	if got := string(git(t, dir, nil, "rev-list", "intent")); !strings.HasSuffix(got, "\n"+hash+"\n") || strings.Count(got, "\n") != 2 {
		t.Errorf("git has %q", got)
	}
	if got := string(git(t, dir, nil, "rev-parse", "old")); got != hash+"\n" {
		t.Errorf("the tag is at %q", got)
	}
}

func TestReader_InvalidStreams_ReturnErrors(t *testing.T) {
	whole := write([]Commit{{Mark: 1, When: time.Unix(1, 0), Author: Person{"a", "b"}, Message: "m", Files: []File{{Path: "x", Data: []byte("12345")}}}}, nil)
	for at := bytes.Index(whole, []byte("commit ")) + 30; at < bytes.Index(whole, []byte("12345"))+3; at++ {
		if commits, _, err := readAll(bytes.NewReader(whole[:at])); err == nil && len(commits) == 1 && len(commits[0].Files) == 1 {
			t.Errorf("cut at %d: %+v", at, commits)
		}
	}
	for text, want := range map[string]string{
		"hello\n":                                        "no command",
		"commit x\nmark :0\n":                            "no mark",
		"commit x\nmark :1\nauthor me\n":                 "no author",
		"commit x\nmark :1\ndata 99999999999\n":          "up to",
		"commit x\nmark :1\ndata -1\n":                   "up to",
		"commit x\nmark :1\ndata 5\nab":                  "cut off",
		"commit x\nmark :1\nM 120000 inline l\ndata 0\n": "no plain file",
		"commit x\nmark :1\nM 100644 :7 l\n":             "without --no-data",
		"commit x\nmark :1\nR a b\n":                     "without -M",
		"commit x\nmark :1\nfrom :9\n":                   "--first-parent",
		"commit x\nmark :1\nD \"a\\\n":                   "quoted",
		"blob\nmark :1\nfrom\n":                          "within a blob",
		"tag x\nfrom :1\n":                               "cut off",
	} {
		if _, _, err := readAll(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("blob\nmark :1\ndata 2\nab\ncommit refs/heads/x\nmark :2\nauthor A <b> 1 +0000\ndata 1\nm\nM 100644 :1 \"a\\303\\274\"\nreset refs/tags/x\nfrom :2\n"))
	f.Fuzz(func(t *testing.T, data []byte) { _, _, _ = readAll(bytes.NewReader(data)) })
}
