package gitlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/platypus-platform/platypus/store/history"
	"github.com/platypus-platform/platypus/store/history/gitstream"
)

// Repo is a git repository on this host, accessed through the git program.
type Repo struct{ Dir string }

// Tip is the newest commit of a branch that an export wrote.
type Tip struct {
	history.Head
	commit string // its hash in git; "" if there is no such branch
	stale  string // the commits whose changes its tree lacks
}

// Tip reads the newest commit of a branch; its Seq is 0 if there is no such branch.
func (r *Repo) Tip(ctx context.Context, branch string) (history.Head, error) {
	tip, err := r.tip(ctx, branch)
	return tip.Head, err
}

// Init creates a bare repository in an empty place.
func (r *Repo) Init(ctx context.Context, branch string) error {
	if _, err := os.Stat(r.Dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	_, err := run(ctx, "init", "--quiet", "--bare", "--initial-branch="+branch, r.Dir)
	return err
}

// Import runs git fast-import on the output of a function. If the function fails, git keeps nothing of it.
func (r *Repo) Import(ctx context.Context, write func(io.Writer) error) error {
	cmd := gitCommand(ctx, "-C", r.Dir, "fast-import", "--quiet")
	var said bytes.Buffer
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run git: %w", err)
	}
	wrote := write(in)
	_ = in.Close()
	ended := cmd.Wait()
	if ended != nil && (wrote == nil || errors.Is(wrote, syscall.EPIPE)) {
		return fmt.Errorf("git fast-import in %s: %w: %s", r.Dir, ended, firstLine(said.String()))
	}
	return wrote
}

func (r *Repo) tip(ctx context.Context, branch string) (t Tip, err error) {
	if _, err := r.git(ctx, "rev-parse", "--git-dir"); err != nil {
		return t, err
	}
	out, err := r.git(ctx, "for-each-ref", "--format=%(objectname)", "refs/heads/"+branch)
	if t.commit = strings.TrimSpace(out); err != nil || t.commit == "" {
		return t, err
	}
	text, err := r.git(ctx, "cat-file", "commit", t.commit)
	if err != nil {
		return t, err
	}
	_, text, _ = strings.Cut(text, "\n\n")
	_, trailers := gitstream.Message(text)
	c := gitstream.Commit{Trailers: trailers}
	if t.Seq, err = strconv.ParseUint(c.Trailer(trailerSeq), 10, 64); err == nil && t.Seq > 0 {
		err = t.Hash.UnmarshalText([]byte(c.Trailer(trailerHash)))
	}
	if err != nil || t.Seq == 0 {
		return t, fmt.Errorf("the newest commit of branch %s in %s, %.12s, was not written by an export: choose another branch with --branch",
			branch, r.Dir, t.commit)
	}
	t.stale = c.Trailer(trailerStale)
	return t, nil
}

// tags returns the tags of the repository and the history commits that they name.
func (r *Repo) tags(ctx context.Context) (map[string]uint64, error) {
	out, err := r.git(ctx, "for-each-ref", "--format=%(refname:lstrip=2) %(contents:trailers:key="+trailerSeq+",valueonly,separator=%x2C)", "refs/tags/")
	tags := map[string]uint64{}
	for line := range strings.Lines(out) {
		name, seq, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if n, err := strconv.ParseUint(seq, 10, 64); err == nil {
			tags[name] = n
		}
	}
	return tags, err
}

// find returns the hash in git of a history commit, "" if git does not have it.
func (r *Repo) find(ctx context.Context, from string, seq uint64) (string, error) {
	out, err := r.git(ctx, "log", "-1", "--format=%H", "--first-parent", fmt.Sprintf("--grep=^%s: %d$", trailerSeq, seq), from)
	return strings.TrimSpace(out), err
}

func (r *Repo) git(ctx context.Context, args ...string) (string, error) {
	return run(ctx, append([]string{"-C", r.Dir}, args...)...)
}

func run(ctx context.Context, args ...string) (string, error) {
	cmd := gitCommand(ctx, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("git is not installed here: it reads and writes the repository")
	}
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, firstLine(said.String()))
	}
	return out.String(), nil
}

// gitCommand runs git without the environment variables that select a repository.
func gitCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", args...)
	for _, v := range os.Environ() {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE":
		default:
			cmd.Env = append(cmd.Env, v)
		}
	}
	return cmd
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
