package embedded

import (
	"encoding/binary"
	"encoding/json"
	"slices"
)

// anyName is the entry among the service names for the node's checks and for the newest change of any service.
const anyName = "\x00"

// touchService records that a service, and so the catalog, changed.
func (m *mutation) touchService(name string) {
	for _, key := range []string{name, anyName} {
		if key == "" {
			continue
		}
		treeSet(m, &m.serviceNames, key, m.commitIndex)
		m.logRecord(bucketServiceNames, key, binary.AppendUvarint(nil, m.commitIndex))
	}
}

// catalogIndex is the newest index of a service, or of the whole catalog if the service is unknown, and the channel
// that closes when it grows.
func (snap *snapshot) catalogIndex(name string) readResult {
	if name != "" {
		if wait, index, ok := snap.serviceNames.Root().GetWatch([]byte(name)); ok {
			return readResult{index: index, changed: wait}
		}
	}
	index, _ := snap.serviceNames.Get([]byte(anyName))
	return readResult{index: index, changed: watchRoot(snap.serviceNames)}
}

// equalJSON reports whether two values have the same JSON, ignoring their indexes.
func equalJSON(a, b any, from indexes, into *indexes) bool {
	saved := *into
	*into = from
	left, errLeft := json.Marshal(a)
	right, errRight := json.Marshal(b)
	*into = saved
	return errLeft == nil && errRight == nil && slices.Equal(left, right)
}

// node is this machine in the format of the catalog.
type node struct {
	ID              string
	Node            string
	Address         string
	Datacenter      string
	TaggedAddresses map[string]string
	Meta            map[string]string
	indexes
}

func (s *Store) node() node {
	address := s.options.Address
	return node{"", s.options.Node, address, s.options.Datacenter,
		map[string]string{"lan": address, "wan": address}, map[string]string{}, indexes{1, 1}}
}

// catalogEntry is one service with its node, flat, in the format of /v1/catalog/service.
type catalogEntry struct {
	ID              string
	Node            string
	Address         string
	Datacenter      string
	TaggedAddresses map[string]string
	NodeMeta        map[string]string
	catalogService
	indexes
}

type catalogService struct {
	ServiceKind              string
	ServiceID                string
	ServiceName              string
	ServiceTags              []string
	ServiceAddress           string
	ServiceWeights           weights
	ServiceMeta              map[string]string
	ServicePort              int
	ServiceEnableTagOverride bool
}

func (s *Store) newCatalogEntry(i *instance) catalogEntry {
	n := s.node()
	return catalogEntry{n.ID, n.Node, n.Address, n.Datacenter, n.TaggedAddresses, n.Meta,
		catalogService{"", i.ID, i.Service, i.Tags, i.Address, i.Weights, i.Meta, i.Port, i.EnableTagOverride}, i.indexes}
}

// instancesOf lists the instances of a service that have all of the given tags.
func (snap *snapshot) instancesOf(name string, tags []string) []*instance {
	var instances []*instance
	for _, i := range valuesOf(snap.services) {
		missing := func(tag string) bool { return !slices.Contains(i.Tags, tag) }
		if i.Service == name && !slices.ContainsFunc(tags, missing) {
			instances = append(instances, i)
		}
	}
	return instances
}

func (c *call) catalogNodes() (any, error) {
	return c.readCatalog("", func(*snapshot) any { return []node{c.store.node()} })
}

func (c *call) catalogDatacenters() (any, error) { return []string{c.store.options.Datacenter}, nil }

func (c *call) catalogServices() (any, error) {
	alive, err := c.read(func(snap *snapshot) readResult { return snap.catalogIndex("") })
	if !alive {
		return nil, err
	}
	names := map[string][]string{}
	for _, i := range valuesOf(c.store.snapshot.Load().services) {
		tags := names[i.Service]
		if tags == nil {
			tags = []string{}
		}
		for _, tag := range i.Tags {
			if !slices.Contains(tags, tag) {
				tags = append(tags, tag)
			}
		}
		names[i.Service] = tags
	}
	return names, nil
}

func (c *call) catalogService() (any, error) {
	if c.suffix == "" {
		return nil, badRequest("Missing service name")
	}
	return c.readCatalog(c.suffix, func(snap *snapshot) any {
		entries := []catalogEntry{}
		for _, i := range snap.instancesOf(c.suffix, c.query["tag"]) {
			entries = append(entries, c.store.newCatalogEntry(i))
		}
		return entries
	})
}

func (c *call) catalogNode() (any, error) {
	if c.suffix == "" {
		return nil, badRequest("Missing node name")
	}
	type answer struct {
		Node     node
		Services map[string]*instance
	}
	var a *answer
	alive, err := c.read(func(snap *snapshot) readResult {
		if c.suffix == c.store.options.Node {
			a = &answer{c.store.node(), map[string]*instance{}}
			for _, i := range valuesOf(snap.services) {
				a.Services[i.ID] = i
			}
		}
		return snap.catalogIndex("")
	})
	if !alive {
		return nil, err
	}
	return a, nil
}
