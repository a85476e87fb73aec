package history

import (
	"context"
	"fmt"
	"slices"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// Common is a state from which two trees both descend.
type Common struct {
	Base   Ref    `json:"base"`   // where it can be read
	Ours   uint64 `json:"ours"`   // the commit of this tree that contains it
	Theirs uint64 `json:"theirs"` // the commit of the other tree that contains it
}

// Common returns the newest common states of this tree and another, one of which must be a fork of the other: the fork
// point, or the last join in either direction. If two joins crossed, there is more than one and none is newer.
func (l *Log) Common(ctx context.Context, other intent.Tree) ([]Common, error) {
	theirs := Open(l.store, other)
	fork, swapped := theirs, false
	if l.isForkOf(other) {
		fork, swapped = l, true
	} else if !theirs.isForkOf(l.tree) {
		return nil, fmt.Errorf("join %s and %s: %w: neither is a fork of the other", l.tree.Root(), other.Root(), ErrNoSuch)
	}
	f, index, err := fork.readFork(ctx)
	if err != nil {
		return nil, err
	}
	if index == 0 || f.State != Ready {
		return nil, fmt.Errorf("join %s and %s: %w: the fork is not ready", l.tree.Root(), other.Root(), ErrNoSuch)
	}
	all := f.common(fork.tree.Root())
	newest := slices.DeleteFunc(slices.Clone(all), func(a Common) bool {
		return slices.ContainsFunc(all, func(b Common) bool { return b != a && a.Ours <= b.Ours && a.Theirs <= b.Theirs })
	})
	if swapped {
		for i, c := range newest {
			newest[i].Ours, newest[i].Theirs = c.Theirs, c.Ours
		}
	}
	return newest, nil
}

// common lists all common states of a fork and its parent tree; the fork is theirs.
func (f Forked) common(root string) []Common {
	all := []Common{{Base: f.From, Ours: f.From.Seq, Theirs: 1}}
	for _, j := range f.Joins {
		if j.Source.Root == root {
			all = append(all, Common{j.Source, j.Target.Seq, j.Source.Seq})
		} else {
			all = append(all, Common{j.Source, j.Source.Seq, j.Target.Seq})
		}
	}
	return all
}

func (l *Log) isForkOf(tree intent.Tree) bool {
	name, ok := tree.Forks().Below(string(l.tree.Own()))
	if !ok {
		return false
	}
	_, err := intent.ParseName(name[:len(name)-1])
	return err == nil
}

// Forked returns the record of this tree as a fork; ok is false if it is not a fork.
func (l *Log) Forked(ctx context.Context) (f Forked, ok bool, err error) {
	f, index, err := l.readFork(ctx)
	return f, index > 0, err
}

// Forks lists the forks of this tree by name, including unfinished ones.
func (l *Log) Forks(ctx context.Context) (forks []Forked, err error) {
	prefix := l.prefix.Join("forks")
	pairs, _, err := l.store.List(ctx, prefix, store.Default)
	for _, pair := range pairs {
		name, _ := prefix.Below(pair.Key)
		f, index, err := Open(l.store, l.tree.Fork(intent.Name(name))).readFork(ctx)
		if err != nil {
			return nil, err
		}
		if index == 0 { // partly removed
			f = Forked{Name: intent.Name(name), State: Removing}
		}
		forks = append(forks, f)
	}
	return forks, err
}

// Ancestors lists the trees this one was forked from, the nearest first.
func (l *Log) Ancestors(ctx context.Context) (refs []Ref, err error) {
	for at := l; ; {
		f, index, err := at.readFork(ctx)
		if err != nil || index == 0 {
			return refs, err
		}
		refs = append(refs, f.From)
		tree, err := intent.ParseRoot(f.From.Root)
		if err != nil {
			return refs, err
		}
		at = Open(l.store, tree)
	}
}

// joinOp is the operation that adds a join to the record of a fork.
func (l *Log) joinOp(ctx context.Context, j Joined, seq uint64) (op store.Change, err error) {
	fork := Open(l.store, j.Fork)
	f, index, err := fork.readFork(ctx)
	if err == nil && (index == 0 || f.State != Ready) {
		err = fmt.Errorf("join %s: %w: there is no such fork", j.Source.Root, ErrNoSuch)
	}
	f.Joins = append(f.Joins, Joining{j.Source, Ref{l.tree.Root(), seq}})
	return store.Change{Verb: store.CAS, Key: fork.forkKey(), Value: encodeJSON(f), Index: index}, err
}
