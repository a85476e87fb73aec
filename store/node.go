package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// maxClusterWatches bounds the connections of one agent: a node with more apps follows all clusters with one watch.
const maxClusterWatches = 16

// Snapshot is everything that concerns a node, read whole.
type Snapshot struct {
	Pairs   []intent.Pair
	Index   uint64                   // highest index of the reads that it was made of
	Indexes map[intent.Prefix]uint64 // of each of those reads
	Refused map[intent.Prefix]string // clusters that may not be read now, and why; of these Pairs hold what was read last, if anything
}

// Refusal returns why the values of a cluster may not be read, or "".
func (s Snapshot) Refusal(cluster intent.Prefix) string {
	for prefix, why := range s.Refused {
		if strings.HasPrefix(string(cluster), string(prefix)) {
			return why
		}
	}
	return ""
}

// WatchNode delivers a node's intent, first once all of it was read and then whenever it changed, until ctx ends; the
// newest snapshot replaces one that was not taken yet. A cluster that may not be read keeps nobody else's news back. failed
// hears the outcome of each other read, nil when it worked or when the prefix is no longer followed; it is called from
// many goroutines.
func (s *Store) WatchNode(ctx context.Context, tree intent.Tree, node intent.Name, failed func(intent.Prefix, error)) <-chan Snapshot {
	f := &feed{
		store: s, tree: tree, node: node, failed: failed,
		parts: map[intent.Prefix]part{}, stop: map[intent.Prefix]context.CancelFunc{},
		read: make(chan part), out: make(chan Snapshot, 1),
	}
	go f.run(ctx)
	return f.out
}

// ReadNode reads a node's intent once.
func (s *Store) ReadNode(ctx context.Context, tree intent.Tree, node intent.Name, mode Mode) (Snapshot, error) {
	var read Snapshot
	for _, prefix := range assignments(tree, node) {
		if err := s.add(ctx, &read, prefix, mode); err != nil {
			return Snapshot{}, err
		}
	}
	read.Refused = map[intent.Prefix]string{}
	for _, cluster := range clustersOf(tree, node, read.Pairs) {
		err := s.add(ctx, &read, cluster, mode)
		if errors.Is(err, ErrDenied) {
			read.Refused[cluster] = err.Error()
		} else if err != nil {
			return Snapshot{}, err
		}
	}
	return read, nil
}

// add reads what lies below prefix into the snapshot.
func (s *Store) add(ctx context.Context, to *Snapshot, prefix intent.Prefix, mode Mode) error {
	pairs, index, err := s.List(ctx, prefix, mode)
	to.Pairs, to.Index = append(to.Pairs, pairs...), max(to.Index, index)
	if to.Indexes == nil {
		to.Indexes = map[intent.Prefix]uint64{}
	}
	to.Indexes[prefix] = index
	return err
}

// assignments are the prefixes that say which apps a node has: people's and the allocator's.
func assignments(tree intent.Tree, node intent.Name) []intent.Prefix {
	return []intent.Prefix{tree.Node(node), tree.Placements(node)}
}

// clustersOf returns the prefixes that the assignments of a node make worth reading.
func clustersOf(tree intent.Tree, node intent.Name, assignments []intent.Pair) []intent.Prefix {
	clusters := intent.Assignments(tree, node, assignments)
	if len(clusters) > maxClusterWatches {
		return []intent.Prefix{tree.Clusters()}
	}
	return clusters
}

// feed puts the watches of a node together. Its goroutine owns all of it; each watch sends what it read.
type feed struct {
	store  *Store
	tree   intent.Tree
	node   intent.Name
	failed func(intent.Prefix, error)
	parts  map[intent.Prefix]part // what was read last below each prefix that is followed
	stop   map[intent.Prefix]context.CancelFunc
	read   chan part
	out    chan Snapshot
}

type part struct {
	prefix  intent.Prefix
	pairs   []intent.Pair
	index   uint64
	refused string // why it may not be read any more, with the pairs of before
}

func (f *feed) run(ctx context.Context) {
	roots := assignments(f.tree, f.node)
	f.refollow(ctx, roots)
	for {
		select {
		case p := <-f.read:
			if f.stop[p.prefix] == nil {
				continue // no longer followed
			}
			if before := f.parts[p.prefix]; p.refused != "" {
				if before.refused == p.refused {
					continue
				}
				p.pairs, p.index = before.pairs, before.index
			}
			f.parts[p.prefix] = p
			if slices.Contains(roots, p.prefix) {
				assigned := slices.Concat(f.parts[roots[0]].pairs, f.parts[roots[1]].pairs)
				f.refollow(ctx, append(clustersOf(f.tree, f.node, assigned), roots...))
			}
			f.deliver()
		case <-ctx.Done():
			return
		}
	}
}

// refollow makes the set of watches equal to wanted.
func (f *feed) refollow(ctx context.Context, wanted []intent.Prefix) {
	for prefix, stop := range f.stop {
		if !slices.Contains(wanted, prefix) {
			stop()
			delete(f.stop, prefix)
			delete(f.parts, prefix)
		}
	}
	for _, prefix := range wanted {
		f.follow(ctx, prefix)
	}
}

func (f *feed) follow(ctx context.Context, prefix intent.Prefix) {
	if f.stop[prefix] != nil {
		return
	}
	watched, stop := context.WithCancel(ctx)
	f.stop[prefix] = stop
	tell := func(p part) {
		select {
		case f.read <- p:
		case <-watched.Done():
		}
	}
	changed := func(pairs []intent.Pair, index uint64) { tell(part{prefix: prefix, pairs: pairs, index: index}) }
	failed := f.failed
	if !slices.Contains(assignments(f.tree, f.node), prefix) {
		failed = func(prefix intent.Prefix, err error) {
			if errors.Is(err, ErrDenied) {
				tell(part{prefix: prefix, refused: err.Error()})
				err = nil // it is told with the snapshot
			}
			f.failed(prefix, err)
		}
	}
	go func() {
		f.store.watch(watched, prefix, 0, changed, failed)
		if ctx.Err() == nil {
			f.failed(prefix, nil) // no longer followed: a fault of it is nobody's any more
		}
	}()
}

// deliver hands out a snapshot when every prefix has been read.
func (f *feed) deliver() {
	if len(f.parts) < len(f.stop) {
		return
	}
	s := Snapshot{Indexes: map[intent.Prefix]uint64{}, Refused: map[intent.Prefix]string{}}
	for _, prefix := range slices.Sorted(maps.Keys(f.parts)) {
		s.Pairs = append(s.Pairs, f.parts[prefix].pairs...)
		s.Index = max(s.Index, f.parts[prefix].index)
		s.Indexes[prefix] = f.parts[prefix].index
		if why := f.parts[prefix].refused; why != "" {
			s.Refused[prefix] = why
		}
	}
	select {
	case <-f.out: // not taken yet: newest wins
	default:
	}
	f.out <- s
}
