package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/flagline"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/history"
)

// defaultHold is how long a hold lasts unless somebody says otherwise.
const defaultHold = 2 * time.Hour

func holdVerb() verb {
	return verb{
		name: "hold", usage: "keep others from changing a key for a while", args: "[KEY|PREFIX/]", min: 0, max: 1,
		text: `After a rollback, automation must not put the bad value back at once. A hold makes every verb here refuse to change a
key, or all keys below a prefix, until it ends or is taken back; --force passes it. A plain consul kv put passes it, too:
the recorder then logs it. Without a key it lists the holds.`,
		examples: []string{`platypus hold clusters/slug/ --for 2h -m "1.2 eats memory"`, "platypus hold --delete clusters/slug/"},
		flags: []cli.Flag{
			&cli.DurationFlag{Name: "for", Usage: "how long", Value: defaultHold},
			messageFlag(), boolFlag("delete", "take the hold back", "d"), dryRunFlag(), outputFlag(),
		},
		run: hold,
	}
}

func hold(ctx context.Context, sh *shell) error {
	log := sh.history()
	if len(sh.args) == 0 {
		return sh.listHolds(ctx, log)
	}
	key := sh.key(sh.args[0])
	if sh.flags.Bool("delete") {
		return sh.unhold(ctx, log, key)
	}
	length := sh.flags.Duration("for")
	if length <= 0 {
		return usage("--for %s: a hold lasts longer than nothing, such as 2h", length)
	}
	if err := sh.holdable(ctx, key); err != nil {
		return err
	}
	author, err := sh.author(ctx)
	if err != nil {
		return err
	}
	h, err := log.Hold(ctx, history.Hold{Key: key, Author: author, Until: time.Now().Add(length).UTC().Truncate(time.Second), Why: sh.flags.String("message")})
	if err != nil {
		return err
	}
	if sh.json {
		return sh.printJSON("hold", map[string]any{"hold": h})
	}
	sh.say("%s is held until %s; next: platypus hold --delete %s ends it", h.Key, sh.stamp(h.Until), h.Key)
	return nil
}

// holdable refuses to hold what is not a key or a prefix, and says when a hold protects nothing yet.
func (sh *shell) holdable(ctx context.Context, key string) error {
	known, err := sh.everDeclared(ctx)
	if err != nil || isKnown(key, known) {
		return err
	}
	if meant := meantKey(key, known); meant != "" {
		return usage("%q is not a key, and not a prefix of keys, which ends in \"/\": did you mean %s?", key, meant)
	}
	if !strings.HasSuffix(key, "/") {
		if err := intent.CheckKey(key); err != nil {
			return usage("%q is not a key of intent: %w", key, err)
		}
	}
	did := ""
	if near := nearKey(key, known); near != "" {
		did = ": did you mean " + near + "?"
	}
	sh.say("note: nothing is declared at %s yet%s", key, did)
	return nil
}

// unhold takes a hold back.
func (sh *shell) unhold(ctx context.Context, log *history.Log, key string) error {
	holds, err := log.Holds(ctx)
	if err != nil {
		return err
	}
	var keys []string
	for _, h := range holds {
		keys = append(keys, h.Key)
	}
	if !slices.Contains(keys, key) {
		if near := flagline.Nearest(key, keys); near != "" {
			return fmt.Errorf("nothing holds %s: did you mean %s?", key, near)
		}
		return fmt.Errorf("nothing holds %s: platypus hold lists the holds", key)
	}
	if err := log.Unhold(ctx, key); err != nil {
		return err
	}
	if sh.json {
		return sh.printJSON("hold", map[string]any{"deleted": key})
	}
	sh.say("%s is held no more", key)
	return nil
}

// holdAll holds what was just put back, when that was asked for.
func (sh *shell) holdAll(ctx context.Context, changes []change.Change, why string) error {
	length := sh.flags.Duration("hold")
	if length <= 0 {
		return nil
	}
	author, err := sh.author(ctx)
	if err != nil {
		return err
	}
	until := time.Now().Add(length).UTC().Truncate(time.Second)
	for _, c := range changes {
		h := history.Hold{Key: c.Key, Author: author, Until: until, Why: cmp.Or(sh.flags.String("message"), strings.TrimSuffix(why, ","))}
		if _, err := sh.history().Hold(ctx, h); err != nil {
			return fmt.Errorf("it was written, but %s is not held: %w", c.Key, err)
		}
	}
	sh.say("held until %s: %s; next: platypus hold shows them", sh.stamp(until), plural(len(changes), "key"))
	return nil
}

func (sh *shell) listHolds(ctx context.Context, log *history.Log) error {
	holds, err := log.Holds(ctx)
	if err != nil {
		return err
	}
	if sh.json {
		return sh.printJSON("holds", map[string]any{"holds": append([]history.Hold{}, holds...)})
	}
	if len(holds) == 0 {
		sh.say("nothing is held; next: platypus hold KEY --for 2h -m WHY")
		return nil
	}
	rows := [][]string{}
	for _, h := range holds {
		rows = append(rows, []string{h.Key, sh.stamp(h.Until), tame(h.Author.Name), tame(h.Why)})
	}
	sh.printTable([]string{"KEY", "UNTIL", "BY", "WHY"}, rows)
	return nil
}
