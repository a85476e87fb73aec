package main

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/flagline"
	"github.com/platypus-platform/platypus/store/history"
)

// folders are those that keys lie in, the one of apps first.
var folders = []string{"clusters", "nodes", "machines", "vms", "seeds", "sites", "blobs", "services", "routes", "regions"}

// everDeclared are all keys that stand now or that the history, as far as it is kept, knows. It reads all of the history: it
// is for answers that would otherwise be empty.
func (sh *shell) everDeclared(ctx context.Context) ([]string, error) {
	log, known := sh.history(), map[string]bool{}
	survey, err := log.Survey(ctx)
	if err != nil {
		return nil, err
	}
	for _, pair := range survey.Pairs {
		known[sh.key(pair.Key)] = true
	}
	if floor, _, err := log.Floor(ctx); err != nil {
		return nil, err
	} else if floor > 0 {
		s, err := log.At(ctx, floor)
		if err != nil {
			return nil, err
		}
		for v := range s.All("") {
			known[v.Key] = true
		}
	}
	for c, err := range log.Commits(ctx, history.Query{}) {
		if err != nil {
			return nil, err
		}
		for _, x := range c.Changes {
			known[x.Key] = true
		}
	}
	return slices.Sorted(maps.Keys(known)), nil
}

// mustKnow refuses a key or a prefix of which nothing is known, so that a mistake in it is not answered with "nothing".
func (sh *shell) mustKnow(ctx context.Context, text string) error {
	known, err := sh.everDeclared(ctx)
	if err != nil {
		return err
	}
	return wrongKey(text, known)
}

// wrongKey is nil when a text is one of the keys that are known, or a prefix of one; otherwise it says which was meant.
func wrongKey(text string, known []string) error {
	if isKnown(text, known) {
		return nil
	}
	if meant := meantKey(text, known); meant != "" {
		return usage("%q is not a key, and not a prefix of keys, which ends in \"/\": did you mean %s?", text, meant)
	}
	if near := nearKey(text, known); near != "" {
		return usage("nothing was ever declared at %q: did you mean %s?", text, near)
	}
	return usage("nothing was ever declared at %q: platypus ls lists the keys", text)
}

func isKnown(text string, known []string) bool {
	if text == "" || text == "/" {
		return true
	}
	return slices.ContainsFunc(known, func(key string) bool { return covers(text, key) })
}

// meantKey is the key or prefix that a text can only mean: it lacks its "/" or has one too many, or it is a file, an app, a
// node or the like. "" when there is none.
func meantKey(text string, known []string) string {
	bare := strings.TrimSuffix(strings.TrimSuffix(text, "/"), ".json")
	candidates := []string{bare, bare + "/"}
	segments := strings.Split(bare, "/")
	for i, s := range segments[1:] { // a path of a file
		if slices.Contains(folders, s) {
			rest := strings.Join(segments[i+1:], "/")
			candidates = append(candidates, rest, rest+"/")
		}
	}
	for _, folder := range folders {
		candidates = append(candidates, folder+"/"+bare, folder+"/"+bare+"/")
	}
	for _, c := range candidates {
		if c != "/" && isKnown(c, known) {
			return c
		}
	}
	return ""
}

// maxCompared bounds the keys that a text is compared with letter by letter.
const maxCompared = 20_000

// nearKey is the key or prefix that is spelled most like a text, or "".
func nearKey(text string, known []string) string {
	words := map[string]bool{}
	for _, key := range known[:min(len(known), maxCompared)] {
		if !strings.HasSuffix(text, "/") {
			words[key] = true
			continue
		}
		for i, r := range key {
			if r == '/' {
				words[key[:i+1]] = true
			}
		}
	}
	if len(text) > 200 {
		return ""
	}
	return flagline.Nearest(text, slices.Sorted(maps.Keys(words)))
}

var commitRange = regexp.MustCompile(`^(\d+)\.\.(\d+|)$`)

// notAPoint refuses a point where a key belongs.
func notAPoint(text string) error {
	switch m := commitRange.FindStringSubmatch(text); {
	case m != nil:
		from, _ := strconv.ParseUint(m[1], 10, 64)
		until := ""
		if m[2] != "" {
			until = " --until " + m[2]
		}
		return usage("log takes a key or a prefix, and %q is a range of commits: platypus log --since %d%s", text, max(from, 1)-1, until)
	case strings.EqualFold(text, "head"), text != "" && strings.Trim(text, "0123456789") == "":
		return usage("log takes a key or a prefix, and %q is a point: platypus log --until %s", text, strings.ToLower(text))
	}
	return nil
}

// nothingAt is the error for a value that was not there at a commit: unless the key was never known, it says that.
func (sh *shell) nothingAt(ctx context.Context, key string, seq uint64) error {
	known, err := sh.everDeclared(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(known, key) && isKnown(strings.TrimSuffix(key, "/")+"/", known) {
		return usage("%q is a prefix, not a key: platypus ls %s/ lists the keys below it", key, strings.TrimSuffix(key, "/"))
	}
	if err := wrongKey(key, known); err != nil {
		return err
	}
	return fmt.Errorf("%s was not declared after commit %d; next: platypus log %s", key, seq, key)
}
