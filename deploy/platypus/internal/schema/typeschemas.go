package schema

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/platypus-platform/platypus/intent"
)

// Patterns, in the subset that every regular expression dialect supports.
const (
	namePattern     = `^[A-Za-z0-9]([A-Za-z0-9_-]|\.[A-Za-z0-9_-])*\.?$`
	durationPattern = `^\+?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`
	digestPattern   = `^((sha256:)?[0-9A-Fa-f]{64})?$`
	sourcePattern   = `^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$`
	basedirPattern  = `^(/([A-Za-z0-9_+@-]|\.[A-Za-z0-9_+@-]|\.\.[A-Za-z0-9._+@-])[A-Za-z0-9._+@-]*)+/?$`
	sizePattern     = `^ *[0-9]*\.?[0-9]* *([KkMmGgTtPp][Ii]?)?[Bb] *$`
	systemPattern   = `^/((bin|boot|dev|etc|lib|lib32|lib64|proc|sbin|sys)(/.*)?|(home|media|mnt|opt|root|run|srv|tmp|usr|var)/?)$`
)

// sourceOfPattern is the allowed source of a module.
const sourceOfPattern = `^(sha256:[0-9a-f]{64}|file:///.+|https://.+)$`

func nameSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: namePattern, MaxLength: jsonschema.Ptr(intent.MaxName)}
}

// customSchemas returns the types whose JSON form differs from their fields.
func customSchemas() map[reflect.Type]*jsonschema.Schema {
	text := func(pattern string) *jsonschema.Schema {
		return &jsonschema.Schema{Type: "string", Pattern: pattern}
	}
	return map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[json.RawMessage](): {},
		reflect.TypeFor[intent.Name]():     nameSchema(),
		reflect.TypeFor[intent.Duration](): text(durationPattern),
		reflect.TypeFor[intent.Require]():  {Type: "string", Enum: []any{"none", "digest", "signature", ""}},
		reflect.TypeFor[intent.OnConfig](): {Type: "string", Enum: []any{"restart", "signal:HUP", "signal:USR1", "signal:USR2", "nothing", ""}},
		reflect.TypeFor[intent.Port]():     portSchema(),
		reflect.TypeFor[intent.Size]():     {Type: "string", Pattern: sizePattern, Examples: []any{"8GB", "512MiB"}},
		reflect.TypeFor[intent.Regions](): {AnyOf: []*jsonschema.Schema{
			nameSchema(), {Type: "array", MinItems: jsonschema.Ptr(1), UniqueItems: true, Items: nameSchema()},
		}},
		reflect.TypeFor[time.Time]():           {Type: "string", Format: "date-time", Pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}T"},
		reflect.TypeFor[intent.Policy]():       {Type: "string", Enum: []any{"pack", "spread", ""}},
		reflect.TypeFor[intent.Spread]():       {Type: "string", Enum: []any{"none", "machine", "datacenter", ""}},
		reflect.TypeFor[intent.ABI]():          {Type: "string", Enum: []any{"command", "reactor", ""}},
		reflect.TypeFor[intent.Freshness]():    {Type: "string", Enum: []any{"warm", "reset", "fresh", ""}},
		reflect.TypeFor[intent.Egress]():       {Type: "string", Pattern: `^([Hh][Tt][Tt][Pp][Ss]?://.+|[0-9a-fA-F:.]+/[0-9]+)$`},
		reflect.TypeFor[intent.OnHostLoss]():   {Type: "string", Enum: []any{"replace", "wait", ""}},
		reflect.TypeFor[intent.MachineState](): {Type: "string", Enum: []any{"ready", "cordoned", "draining", "dead", ""}},
		reflect.TypeFor[intent.Version](): {AnyOf: []*jsonschema.Schema{
			{Type: "string", Examples: []any{"active", "prep", "stopped"}, Description: "active runs; every other word means: have it on disk"},
			{Type: "object", Properties: map[string]*jsonschema.Schema{
				"status": {Types: []string{"string", "null"}, Description: "active, prep or stopped"},
				"sha256": {Types: []string{"string", "null"}, Pattern: digestPattern, Description: "of the artifact, 64 hexadecimal digits"},
			}},
		}},
	}
}

// portSchema accepts a number, a range, or an object with either.
func portSchema() *jsonschema.Schema {
	number := func() *jsonschema.Schema {
		return &jsonschema.Schema{Type: "integer", Minimum: jsonschema.Ptr(1.0), Maximum: jsonschema.Ptr(65535.0)}
	}
	span := func() *jsonschema.Schema {
		return &jsonschema.Schema{Type: "string", Pattern: "^[0-9]+-[0-9]+$", Examples: []any{"8000-8010"}}
	}
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		number(), span(),
		{Type: "object", Required: []string{"port"}, Properties: map[string]*jsonschema.Schema{
			"port":     {AnyOf: []*jsonschema.Schema{number(), span()}},
			"protocol": {Types: []string{"string", "null"}, Pattern: "^([Tt][Cc][Pp]|[Uu][Dd][Pp])$", Description: "tcp (unless given) or udp"},
			"source": {Types: []string{"array", "null"}, Description: "who may connect: addresses and networks; everybody when empty",
				Items: &jsonschema.Schema{Type: "string", Pattern: sourcePattern}},
		}},
	}}
}

// descriptions are what an editor shows for a member.
var descriptions = map[string]string{
	"cluster":      "which cluster of the app it belongs to",
	"versions":     "all versions that shall be on disk; at most one of them is active",
	"min_nodes":    "nodes of the cluster that must stay healthy during a switch",
	"user_config":  "handed to the app unread, in the file that PLATYPUS_CONFIG names",
	"on_config":    "what a running app gets when only user_config changes; absent: a restart",
	"restart":      "any text; when it changes, a running app is restarted",
	"basedir":      "absolute path that everything of the app lies under",
	"ports":        "to be opened in the firewall",
	"run_as":       "user that the app runs as; root when empty",
	"health":       "when the app counts as healthy; absent: when it stays up",
	"require":      "what an artifact must come with",
	"keep":         "installs to keep besides those in use; 0 means 3",
	"stop_timeout": "from TERM to KILL, such as 30s",
	"type":         "http, tcp, exec or up; inferred from the members given",
	"path":         "http: what to ask for; 2xx and 3xx pass",
	"port":         "http and tcp: on the loopback address",
	"command":      "exec: relative to the install; exit code 0 passes",
	"interval":     "between two probes",
	"timeout":      "of one probe",
	"successes":    "in a row, of the very same process",
	"min_healthy":  "from the first success to the last",
	"deadline":     "health: from the start of the process; drain: when all that is left goes at once",
	"location":     "for people",
	"status":       "for people; it decides nothing",
	"policy":       "how vms are laid over machines: pack (unless given) fills those in use, spread uses the emptiest",
	"cores":        "a whole number",
	"memory":       "a size with its unit, such as 8GB or 512MiB",
	"address":      "as the inventory spells it, for people",
	"datacenter":   "machines that fail together",
	"labels":       "what constraints of vms ask for",
	"reserved":     "kept for the machine itself, never given to a vm",
	"drain":        "how a draining machine is emptied",
	"parallel":     "vms on their way at once; 0 means 2",
	"region":       "where it may be, best first; any stands for every region and may end a list",
	"count":        "how many instances; 1 unless given",
	"app":          "the app that a vm brings to its machine",
	"spread":       "how instances are kept apart: none, machine or datacenter",
	"constraints":  "labels that a machine must carry",
	"on_host_loss": "replace (unless given) or wait, when the machine has not been heard of for long",
	"state":        "machine: ready, cordoned, draining or dead; placement: placed or pending",
	"entries":      "all that a machine holds, by instance",
	"vm":           "an instance of a vm, such as web.0",
	"intent":       "index of the wish that it was made from",
	"phase":        "how far an entry is from being free: leaving, lost or nothing",
	"machine":      "the node that holds it",
	"source":       "the module: sha256:… of a blob, file:///… or https://…",
	"sha256":       "of the module, 64 hexadecimal digits; the source may say it",
	"abi":          "how it is called: command or reactor; found by its imports and exports when absent",
	"instance":     "what a call finds of the call before: warm, reset or fresh",
	"min_replicas": "nodes that have it ready at least; 1 unless given",
	"max_replicas": "nodes that may, when load asks for it",
	"concurrency":  "calls at once on one node",
	"queue":        "calls that may wait on one node",
	"egress":       "origins and networks that it may reach; nothing unless given",
	"calls":        "seeds that it may call; * for all",
	"env":          "its environment; no place for secrets",
	"trusted":      "runs at full speed in a process of its own, without the check that ends an endless loop",
	"manifest":     "sha256:… of the list of its files: platypus site DIR NAME makes it",
	"hosts":        "names that it answers to, beside its own",
	"not_found":    "path of the page for what is not there",
	"fallback":     "path that answers in place of what is not there",
	"redirects":    "from a path to a path or an address",
	"max_age":      "how long a cache may keep a page unasked",
	"size":         "bytes",
	"name":         "what it was called where it came from",
	"copies":       "nodes that keep it; 2 unless given",
	"reason":       "why it is nowhere, in words",
	"refused":      "machines by the class of reason that kept it out",
	"attempt":      "how often it was given a machine",
}
