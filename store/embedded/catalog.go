package embedded

import (
	"encoding/binary"
	"encoding/json"
	"slices"
)

// anyName stands for the machine itself among the service names: its checks, and the newest change of any kind.
const anyName = "\x00"

// touch notes that a service, and with it the catalog, changed.
func (c *change) touch(name string) {
	for _, key := range []string{name, anyName} {
		if key == "" {
			continue
		}
		put(c, &c.names, key, c.now)
		c.log(bucketNames, key, binary.AppendUvarint(nil, c.now))
	}
}

// catalogIndex is the newest index of a service, or of the whole catalog when the service is unknown, and the channel
// that closes when it grows.
func (v *view) catalogIndex(name string) found {
	if name != "" {
		if wait, index, ok := v.names.Root().GetWatch([]byte(name)); ok {
			return found{index: index, changed: wait}
		}
	}
	index, _ := v.names.Get([]byte(anyName))
	return found{index: index, changed: rootOf(v.names)}
}

// equalJSON reports whether two things look alike to clients, leaving aside their indexes.
func equalJSON(a, b any, from indexes, into *indexes) bool {
	saved := *into
	*into = from
	left, errLeft := json.Marshal(a)
	right, errRight := json.Marshal(b)
	*into = saved
	return errLeft == nil && errRight == nil && slices.Equal(left, right)
}

// node is this machine as the catalog shows it.
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

// catalogEntry is one service with its machine, flat, as /v1/catalog/service shows it.
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

func (s *Store) flat(i *instance) catalogEntry {
	n := s.node()
	return catalogEntry{n.ID, n.Node, n.Address, n.Datacenter, n.TaggedAddresses, n.Meta,
		catalogService{"", i.ID, i.Service, i.Tags, i.Address, i.Weights, i.Meta, i.Port, i.EnableTagOverride}, i.indexes}
}

// named lists the instances of a service that carry all of the given tags.
func (v *view) named(name string, tags []string) []*instance {
	var instances []*instance
	for _, i := range all(v.services) {
		missing := func(tag string) bool { return !slices.Contains(i.Tags, tag) }
		if i.Service == name && !slices.ContainsFunc(tags, missing) {
			instances = append(instances, i)
		}
	}
	return instances
}

func (c *call) catalogNodes() (any, error) {
	return c.readCatalog("", func(*view) any { return []node{c.store.node()} })
}

func (c *call) catalogDatacenters() (any, error) { return []string{c.store.options.Datacenter}, nil }

func (c *call) catalogServices() (any, error) {
	alive, err := c.read(func(v *view) found { return v.catalogIndex("") })
	if !alive {
		return nil, err
	}
	names := map[string][]string{}
	for _, i := range all(c.store.view.Load().services) {
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
	if c.rest == "" {
		return nil, badRequest("Missing service name")
	}
	return c.readCatalog(c.rest, func(v *view) any {
		entries := []catalogEntry{}
		for _, i := range v.named(c.rest, c.query["tag"]) {
			entries = append(entries, c.store.flat(i))
		}
		return entries
	})
}

func (c *call) catalogNode() (any, error) {
	if c.rest == "" {
		return nil, badRequest("Missing node name")
	}
	type answer struct {
		Node     node
		Services map[string]*instance
	}
	var a *answer
	alive, err := c.read(func(v *view) found {
		if c.rest == c.store.options.Node {
			a = &answer{c.store.node(), map[string]*instance{}}
			for _, i := range all(v.services) {
				a.Services[i.ID] = i
			}
		}
		return v.catalogIndex("")
	})
	if !alive {
		return nil, err
	}
	return a, nil
}
