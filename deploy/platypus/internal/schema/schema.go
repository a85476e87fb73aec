// Package schema makes JSON Schemas (2020-12) out of the types of intent, for editors and for programs that write
// intent. A value that intent accepts, in the spelling that it documents, passes the schema. What no schema can say
// (at most one active version, a range that ends before it begins, a member given twice) is for intent to refuse.
package schema

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/platypus-platform/platypus/intent"
)

// Kinds are the names that [Of] knows: what people declare, what allocators write, and the file that holds many values
// by key.
func Kinds() []string {
	return []string{"node", "config", "deploy_config", "region", "machine", "vm", "seed", "site", "blob",
		"ledger", "placement", "file"}
}

// Of returns the schema of a kind.
func Of(kind string) (*jsonschema.Schema, error) {
	s, err := of(kind)
	if err != nil {
		return nil, err
	}
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = "platypus " + kind
	return s, nil
}

func of(kind string) (*jsonschema.Schema, error) {
	switch kind {
	case "node":
		return infer(reflect.TypeFor[intent.Assignment](), "cluster")
	case "config":
		s, err := infer(reflect.TypeFor[intent.Config]())
		if err == nil {
			versions := s.Properties["versions"]
			versions.Type, versions.Types, versions.PropertyNames = "object", nil, name()
		}
		return s, err
	case "deploy_config":
		return infer(reflect.TypeFor[intent.DeployConfig](), "basedir")
	case "region":
		return infer(reflect.TypeFor[intent.Region]())
	case "machine":
		return infer(reflect.TypeFor[intent.Machine](), "cores", "memory")
	case "vm":
		s, err := infer(reflect.TypeFor[intent.VM](), "region", "cores", "memory")
		if err == nil {
			s.DependentRequired = map[string][]string{"app": {"cluster"}, "cluster": {"app"}}
		}
		return s, err
	case "seed":
		return infer(reflect.TypeFor[intent.Seed](), "source")
	case "site":
		return infer(reflect.TypeFor[intent.Site](), "manifest")
	case "blob":
		return infer(reflect.TypeFor[intent.Blob]())
	case "ledger":
		return infer(reflect.TypeFor[intent.Ledger](), "entries")
	case "placement":
		return infer(reflect.TypeFor[intent.Placement](), "state")
	case "file":
		return file()
	}
	return nil, fmt.Errorf("nothing is known of kind %q: known are %v", kind, Kinds())
}

// file is an object of keys to values; null removes a key.
func file() (*jsonschema.Schema, error) {
	s := &jsonschema.Schema{Type: "object", PatternProperties: map[string]*jsonschema.Schema{}}
	for pattern, kind := range map[string]string{
		"^nodes/[^/]+/[^/]+$":                  "node",
		"^clusters/[^/]+/[^/]+/config$":        "config",
		"^clusters/[^/]+/[^/]+/deploy_config$": "deploy_config",
		"^regions/[^/]+$":                      "region",
		"^machines/[^/]+/[^/]+$":               "machine",
		"^vms/[^/]+$":                          "vm",
		"^seeds/[^/]+$":                        "seed",
		"^sites/[^/]+$":                        "site",
		"^blobs/[^/]+$":                        "blob",
	} {
		value, err := of(kind)
		if err != nil {
			return nil, err
		}
		value.Types, value.Type = []string{"object", "null"}, ""
		s.PatternProperties[pattern] = value
	}
	s.PropertyNames = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Const: jsonschema.Ptr[any]("$schema")},
		{Pattern: "^(nodes|machines)/[^/]+/[^/]+$"},
		{Pattern: "^clusters/[^/]+/[^/]+/(config|deploy_config)$"},
		{Pattern: "^(regions|vms|seeds|sites|blobs|services|routes)/[^/]+$"},
	}}
	return s, nil
}

// infer makes the schema of a struct. Members that nobody knows are allowed, as intent only warns of them; null means
// absent; only the members named are required.
func infer(t reflect.Type, required ...string) (*jsonschema.Schema, error) {
	s, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: forms()})
	if err != nil {
		return nil, fmt.Errorf("make schema of %s: %w", t.Name(), err)
	}
	loosen(s, required)
	tighten(s)
	return s, nil
}

// loosen turns what encoding/json writes into what intent reads.
func loosen(s *jsonschema.Schema, required []string) {
	if s.Properties == nil {
		return
	}
	s.Required, s.AdditionalProperties = required, nil
	for member, p := range s.Properties {
		loosen(p, nil)
		p.Description = descriptions[member]
		if slices.Contains(required, member) {
			continue
		}
		switch {
		case p.AnyOf != nil:
			p.AnyOf = append(p.AnyOf, &jsonschema.Schema{Type: "null"})
		case p.Type != "":
			p.Types, p.Type = []string{p.Type, "null"}, ""
		}
		if p.Enum != nil {
			p.Enum = append(p.Enum, nil)
		}
	}
}

// tighten adds the bounds that are in no type.
func tighten(s *jsonschema.Schema) {
	bound := func(member string, low, high float64) {
		if p := s.Properties[member]; p != nil {
			p.Minimum = &low
			if high > 0 {
				p.Maximum = &high
			}
		}
	}
	bound("min_nodes", 0, 0)
	bound("keep", 0, 1000)
	bound("count", 0, intent.MaxCount)
	bound("parallel", 0, 1000)
	bound("cores", 1, intent.MaxCores)
	for _, member := range []string{"size", "copies", "concurrency", "queue", "min_replicas", "max_replicas"} {
		bound(member, 0, 0)
	}
	for _, member := range []string{"source", "manifest"} {
		if p := s.Properties[member]; p != nil {
			p.Pattern = map[string]string{"source": sourceOfPattern, "manifest": "^sha256:[0-9a-f]{64}$"}[member]
		}
	}
	if p := s.Properties["sha256"]; p != nil {
		p.Pattern = "^([0-9a-fA-F]{64})?$"
	}
	if p := s.Properties["basedir"]; p != nil {
		p.Pattern = basedirPattern
		p.Not = &jsonschema.Schema{Pattern: systemPattern}
		p.MaxLength = jsonschema.Ptr(1024)
	}
	if p := s.Properties["run_as"]; p != nil {
		p.Pattern = `^([A-Za-z0-9_][A-Za-z0-9_.-]{0,31})?$`
	}
	health := s.Properties["health"]
	if health == nil {
		return
	}
	s = health
	bound("port", 0, 65535)
	bound("successes", 0, 1000)
	s.Properties["path"].Pattern = "^(/|$)"
	s.Properties["type"].Enum = []any{"http", "tcp", "exec", "up", "", nil}
	s.AllOf = []*jsonschema.Schema{needs("port", "http", "tcp"), needs("command", "exec")}
}

// needs says that a health check of one of the types has a member.
func needs(member string, types ...any) *jsonschema.Schema {
	return &jsonschema.Schema{
		If: &jsonschema.Schema{Required: []string{"type"},
			Properties: map[string]*jsonschema.Schema{"type": {Enum: types}}},
		Then: &jsonschema.Schema{Required: []string{member}},
	}
}

// Document is the schema as JSON, indented.
func Document(kind string) ([]byte, error) {
	s, err := Of(kind)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(s, "", "  ")
}
