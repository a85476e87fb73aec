// Package schema generates JSON Schemas (2020-12) from the types of intent, for editors and for programs that write
// intent. A value that intent accepts, in the documented spelling, passes the schema. Intent itself refuses what a
// schema cannot express (two active versions, a range that ends before it begins, a duplicate member).
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
	s, err := schemaOf(kind)
	if err != nil {
		return nil, err
	}
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = "platypus " + kind
	return s, nil
}

func schemaOf(kind string) (*jsonschema.Schema, error) {
	switch kind {
	case "node":
		return structSchema(reflect.TypeFor[intent.Assignment](), "cluster")
	case "config":
		s, err := structSchema(reflect.TypeFor[intent.Config]())
		if err == nil {
			versions := s.Properties["versions"]
			versions.Type, versions.Types, versions.PropertyNames = "object", nil, nameSchema()
		}
		return s, err
	case "deploy_config":
		return structSchema(reflect.TypeFor[intent.DeployConfig](), "basedir")
	case "region":
		return structSchema(reflect.TypeFor[intent.Region]())
	case "machine":
		return structSchema(reflect.TypeFor[intent.Machine](), "cores", "memory")
	case "vm":
		s, err := structSchema(reflect.TypeFor[intent.VM](), "region", "cores", "memory")
		if err == nil {
			s.DependentRequired = map[string][]string{"app": {"cluster"}, "cluster": {"app"}}
		}
		return s, err
	case "seed":
		return structSchema(reflect.TypeFor[intent.Seed](), "source")
	case "site":
		return structSchema(reflect.TypeFor[intent.Site](), "manifest")
	case "blob":
		return structSchema(reflect.TypeFor[intent.Blob]())
	case "ledger":
		return structSchema(reflect.TypeFor[intent.Ledger](), "entries")
	case "placement":
		return structSchema(reflect.TypeFor[intent.Placement](), "state")
	case "file":
		return fileSchema()
	}
	return nil, fmt.Errorf("nothing is known of kind %q: known are %v", kind, Kinds())
}

// fileSchema describes an object of keys to values; null removes a key.
func fileSchema() (*jsonschema.Schema, error) {
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
		value, err := schemaOf(kind)
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

// structSchema derives the schema of a struct. Unknown members are allowed, because intent only warns of them; null
// means absent; only the given members are required.
func structSchema(t reflect.Type, required ...string) (*jsonschema.Schema, error) {
	s, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: customSchemas()})
	if err != nil {
		return nil, fmt.Errorf("make schema of %s: %w", t.Name(), err)
	}
	relax(s, required)
	addBounds(s)
	return s, nil
}

// relax accepts what intent reads where it is wider than what encoding/json writes.
func relax(s *jsonschema.Schema, required []string) {
	if s.Properties == nil {
		return
	}
	s.Required, s.AdditionalProperties = required, nil
	for member, p := range s.Properties {
		relax(p, nil)
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

// addBounds adds the limits that are in no type.
func addBounds(s *jsonschema.Schema) {
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
	s.AllOf = []*jsonschema.Schema{requireMember("port", "http", "tcp"), requireMember("command", "exec")}
}

// requireMember requires a member for a health check of one of the types.
func requireMember(member string, types ...any) *jsonschema.Schema {
	return &jsonschema.Schema{
		If: &jsonschema.Schema{Required: []string{"type"},
			Properties: map[string]*jsonschema.Schema{"type": {Enum: types}}},
		Then: &jsonschema.Schema{Required: []string{member}},
	}
}

// Document returns the schema as indented JSON.
func Document(kind string) ([]byte, error) {
	s, err := Of(kind)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(s, "", "  ")
}
