package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// maxClusterWatches limits the connections of one agent: a node with more clusters watches all clusters with one query.
const maxClusterWatches = 16

// Snapshot is the complete state that concerns a node.
type Snapshot struct {
	Pairs   []intent.Pair
	Index   uint64                   // highest index of its reads
	Indexes map[intent.Prefix]uint64 // index of each read
	Refused map[intent.Prefix]string // clusters whose read is denied, and why; Pairs hold their last known state, if any
}

// Refusal returns why a cluster cannot be read, or "".
func (s Snapshot) Refusal(cluster intent.Prefix) string {
	for prefix, why := range s.Refused {
		if strings.HasPrefix(string(cluster), string(prefix)) {
			return why
		}
	}
	return ""
}

// WatchNode delivers a node's intent once all of it was read and after each change, until ctx ends; the newest snapshot
// replaces one that was not received yet. A cluster that cannot be read does not delay the others. failed receives the
// result of each other read, nil for success or when a prefix is no longer watched; it is called from many goroutines.
func (s *Store) WatchNode(ctx context.Context, tree intent.Tree, node intent.Name, failed func(intent.Prefix, error)) <-chan Snapshot {
	w := &nodeWatch{
		store: s, tree: tree, node: node, failed: failed,
		parts: map[intent.Prefix]prefixState{}, cancel: map[intent.Prefix]context.CancelFunc{},
		states: make(chan prefixState), out: make(chan Snapshot, 1),
	}
	go w.run(ctx)
	return w.out
}

// ReadNode reads a node's intent once.
func (s *Store) ReadNode(ctx context.Context, tree intent.Tree, node intent.Name, mode Mode) (Snapshot, error) {
	var read Snapshot
	for _, prefix := range assignments(tree, node) {
		if err := s.addPrefix(ctx, &read, prefix, mode); err != nil {
			return Snapshot{}, err
		}
	}
	read.Refused = map[intent.Prefix]string{}
	for _, cluster := range clustersOf(tree, node, read.Pairs) {
		err := s.addPrefix(ctx, &read, cluster, mode)
		if errors.Is(err, ErrDenied) {
			read.Refused[cluster] = err.Error()
		} else if err != nil {
			return Snapshot{}, err
		}
	}
	return read, nil
}

// addPrefix reads a prefix into the snapshot.
func (s *Store) addPrefix(ctx context.Context, snapshot *Snapshot, prefix intent.Prefix, mode Mode) error {
	pairs, index, err := s.List(ctx, prefix, mode)
	snapshot.Pairs, snapshot.Index = append(snapshot.Pairs, pairs...), max(snapshot.Index, index)
	if snapshot.Indexes == nil {
		snapshot.Indexes = map[intent.Prefix]uint64{}
	}
	snapshot.Indexes[prefix] = index
	return err
}

// assignments are the prefixes with the apps of a node: declared by people, and placed by the allocator.
func assignments(tree intent.Tree, node intent.Name) []intent.Prefix {
	return []intent.Prefix{tree.Node(node), tree.Placements(node)}
}

// clustersOf returns the cluster prefixes to read for the assignments of a node.
func clustersOf(tree intent.Tree, node intent.Name, assignments []intent.Pair) []intent.Prefix {
	clusters := intent.Assignments(tree, node, assignments)
	if len(clusters) > maxClusterWatches {
		return []intent.Prefix{tree.Clusters()}
	}
	return clusters
}

// nodeWatch combines the watches of a node. Its goroutine owns all fields; each watch sends what it read to states.
type nodeWatch struct {
	store  *Store
	tree   intent.Tree
	node   intent.Name
	failed func(intent.Prefix, error)
	parts  map[intent.Prefix]prefixState // the last state of each watched prefix
	cancel map[intent.Prefix]context.CancelFunc
	states chan prefixState
	out    chan Snapshot
}

type prefixState struct {
	prefix  intent.Prefix
	pairs   []intent.Pair
	index   uint64
	refused string // why the prefix cannot be read; then pairs are the previous ones
}

func (w *nodeWatch) run(ctx context.Context) {
	roots := assignments(w.tree, w.node)
	w.setPrefixes(ctx, roots)
	for {
		select {
		case p := <-w.states:
			if w.cancel[p.prefix] == nil {
				continue // no longer followed
			}
			if previous := w.parts[p.prefix]; p.refused != "" {
				if previous.refused == p.refused {
					continue
				}
				p.pairs, p.index = previous.pairs, previous.index
			}
			w.parts[p.prefix] = p
			if slices.Contains(roots, p.prefix) {
				assigned := slices.Concat(w.parts[roots[0]].pairs, w.parts[roots[1]].pairs)
				w.setPrefixes(ctx, append(clustersOf(w.tree, w.node, assigned), roots...))
			}
			w.deliver()
		case <-ctx.Done():
			return
		}
	}
}

// setPrefixes starts and stops watches so that exactly the wanted prefixes are watched.
func (w *nodeWatch) setPrefixes(ctx context.Context, wanted []intent.Prefix) {
	for prefix, stop := range w.cancel {
		if !slices.Contains(wanted, prefix) {
			stop()
			delete(w.cancel, prefix)
			delete(w.parts, prefix)
		}
	}
	for _, prefix := range wanted {
		w.follow(ctx, prefix)
	}
}

func (w *nodeWatch) follow(ctx context.Context, prefix intent.Prefix) {
	if w.cancel[prefix] != nil {
		return
	}
	watched, stop := context.WithCancel(ctx)
	w.cancel[prefix] = stop
	send := func(p prefixState) {
		select {
		case w.states <- p:
		case <-watched.Done():
		}
	}
	changed := func(pairs []intent.Pair, index uint64) { send(prefixState{prefix: prefix, pairs: pairs, index: index}) }
	failed := w.failed
	if !slices.Contains(assignments(w.tree, w.node), prefix) {
		failed = func(prefix intent.Prefix, err error) {
			if errors.Is(err, ErrDenied) {
				send(prefixState{prefix: prefix, refused: err.Error()})
				err = nil // it is part of the snapshot
			}
			w.failed(prefix, err)
		}
	}
	go func() {
		w.store.watch(watched, prefix, 0, changed, failed)
		if ctx.Err() == nil {
			w.failed(prefix, nil) // no longer watched: clear its error
		}
	}()
}

// deliver sends a snapshot once every prefix has been read.
func (w *nodeWatch) deliver() {
	if len(w.parts) < len(w.cancel) {
		return
	}
	s := Snapshot{Indexes: map[intent.Prefix]uint64{}, Refused: map[intent.Prefix]string{}}
	for _, prefix := range slices.Sorted(maps.Keys(w.parts)) {
		s.Pairs = append(s.Pairs, w.parts[prefix].pairs...)
		s.Index = max(s.Index, w.parts[prefix].index)
		s.Indexes[prefix] = w.parts[prefix].index
		if why := w.parts[prefix].refused; why != "" {
			s.Refused[prefix] = why
		}
	}
	select {
	case <-w.out: // not received yet: the newest wins
	default:
	}
	w.out <- s
}
