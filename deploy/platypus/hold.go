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

// defaultHold is how long a hold lasts by default.
const defaultHold = 2 * time.Hour

func holdVerb() verb {
	return verb{
		name: "hold", usage: "keep others from changing a key for a while", args: "[KEY|PREFIX/]", minArgs: 0, maxArgs: 1,
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

func hold(ctx context.Context, cmd *command) error {
	log := cmd.history()
	if len(cmd.args) == 0 {
		return cmd.listHolds(ctx, log)
	}
	key := cmd.intentKeyArg(cmd.args[0])
	if cmd.flags.Bool("delete") {
		return cmd.deleteHold(ctx, log, key)
	}
	length := cmd.flags.Duration("for")
	if length <= 0 {
		return usage("--for %s: a hold lasts longer than nothing, such as 2h", length)
	}
	if err := cmd.checkHoldable(ctx, key); err != nil {
		return err
	}
	author, err := cmd.author(ctx)
	if err != nil {
		return err
	}
	h, err := log.Hold(ctx, history.Hold{Key: key, Author: author, Until: time.Now().Add(length).UTC().Truncate(time.Second), Why: cmd.flags.String("message")})
	if err != nil {
		return err
	}
	if cmd.json {
		return cmd.printJSON("hold", map[string]any{"hold": h})
	}
	cmd.infof("%s is held until %s; next: platypus hold --delete %s ends it", h.Key, cmd.localTime(h.Until), h.Key)
	return nil
}

// checkHoldable refuses what is neither a key nor a prefix, and notes a hold that protects nothing yet.
func (cmd *command) checkHoldable(ctx context.Context, key string) error {
	known, err := cmd.everDeclaredKeys(ctx)
	if err != nil || isKnown(key, known) {
		return err
	}
	if meant := intendedKey(key, known); meant != "" {
		return usage("%q is not a key, and not a prefix of keys, which ends in \"/\": did you mean %s?", key, meant)
	}
	if !strings.HasSuffix(key, "/") {
		if err := intent.CheckKey(key); err != nil {
			return usage("%q is not a key of intent: %w", key, err)
		}
	}
	did := ""
	if near := closestKey(key, known); near != "" {
		did = ": did you mean " + near + "?"
	}
	cmd.infof("note: nothing is declared at %s yet%s", key, did)
	return nil
}

// deleteHold deletes a hold.
func (cmd *command) deleteHold(ctx context.Context, log *history.Log, key string) error {
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
	if cmd.json {
		return cmd.printJSON("hold", map[string]any{"deleted": key})
	}
	cmd.infof("%s is held no more", key)
	return nil
}

// holdChanges holds the restored keys if --hold is given.
func (cmd *command) holdChanges(ctx context.Context, changes []change.Change, why string) error {
	length := cmd.flags.Duration("hold")
	if length <= 0 {
		return nil
	}
	author, err := cmd.author(ctx)
	if err != nil {
		return err
	}
	until := time.Now().Add(length).UTC().Truncate(time.Second)
	for _, c := range changes {
		h := history.Hold{Key: c.Key, Author: author, Until: until, Why: cmp.Or(cmd.flags.String("message"), strings.TrimSuffix(why, ","))}
		if _, err := cmd.history().Hold(ctx, h); err != nil {
			return fmt.Errorf("it was written, but %s is not held: %w", c.Key, err)
		}
	}
	cmd.infof("held until %s: %s; next: platypus hold shows them", cmd.localTime(until), plural(len(changes), "key"))
	return nil
}

func (cmd *command) listHolds(ctx context.Context, log *history.Log) error {
	holds, err := log.Holds(ctx)
	if err != nil {
		return err
	}
	if cmd.json {
		return cmd.printJSON("holds", map[string]any{"holds": append([]history.Hold{}, holds...)})
	}
	if len(holds) == 0 {
		cmd.infof("nothing is held; next: platypus hold KEY --for 2h -m WHY")
		return nil
	}
	rows := [][]string{}
	for _, h := range holds {
		rows = append(rows, []string{h.Key, cmd.localTime(h.Until), printable(h.Author.Name), printable(h.Why)})
	}
	cmd.printTable([]string{"KEY", "UNTIL", "BY", "WHY"}, rows)
	return nil
}
