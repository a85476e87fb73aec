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

// folders are the folders of keys, those of apps first.
var folders = []string{"clusters", "nodes", "machines", "vms", "seeds", "sites", "blobs", "services", "routes", "regions"}

// everDeclaredKeys returns all current keys and all keys in the retained history. It reads the whole history: use it
// only for answers that would otherwise be empty.
func (cmd *command) everDeclaredKeys(ctx context.Context) ([]string, error) {
	log, known := cmd.history(), map[string]bool{}
	survey, err := log.Survey(ctx)
	if err != nil {
		return nil, err
	}
	for _, pair := range survey.Pairs {
		known[cmd.intentKeyArg(pair.Key)] = true
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

// checkKnown rejects an unknown key or prefix, so that a typing error is not answered with "nothing".
func (cmd *command) checkKnown(ctx context.Context, text string) error {
	known, err := cmd.everDeclaredKeys(ctx)
	if err != nil {
		return err
	}
	return unknownKeyError(text, known)
}

// unknownKeyError returns nil if the text is a known key or a prefix of one; otherwise an error with a suggestion.
func unknownKeyError(text string, known []string) error {
	if isKnown(text, known) {
		return nil
	}
	if meant := intendedKey(text, known); meant != "" {
		return usage("%q is not a key, and not a prefix of keys, which ends in \"/\": did you mean %s?", text, meant)
	}
	if near := closestKey(text, known); near != "" {
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

// intendedKey returns the only key or prefix that a text can mean: its "/" is missing or extra, or it is a file, an
// app, a node or the like. "" if there is none.
func intendedKey(text string, known []string) string {
	bare := strings.TrimSuffix(strings.TrimSuffix(text, "/"), ".json")
	candidates := []string{bare, bare + "/"}
	segments := strings.Split(bare, "/")
	for i, s := range segments[1:] { // a file path
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

// maxCompared limits the keys that are compared by edit distance.
const maxCompared = 20_000

// closestKey returns the known key or prefix with the most similar spelling, or "".
func closestKey(text string, known []string) string {
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

// notAPoint rejects a revision in place of a key.
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

// noValueError is the error for a value that did not exist at a commit, or for a key that was never known.
func (cmd *command) noValueError(ctx context.Context, key string, seq uint64) error {
	known, err := cmd.everDeclaredKeys(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(known, key) && isKnown(strings.TrimSuffix(key, "/")+"/", known) {
		return usage("%q is a prefix, not a key: platypus ls %s/ lists the keys below it", key, strings.TrimSuffix(key, "/"))
	}
	if err := unknownKeyError(key, known); err != nil {
		return err
	}
	return fmt.Errorf("%s was not declared after commit %d; next: platypus log %s", key, seq, key)
}
