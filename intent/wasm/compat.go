package wasm

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// WASI and Host are the modules that a seed may import from.
const (
	WASI = "wasi_snapshot_preview1"
	Host = "pln"
)

// HTTP is the export that handles whole HTTP requests, in their wire format.
const HTTP = "http"

// HostTypes are the functions of the import module pln. agents/seed-placer/README.md describes each.
var HostTypes = map[string]string{
	"input_len":    "() -> (i32)",
	"input_read":   "(i32 i32 i32) -> (i32)",
	"output_write": "(i32 i32) -> (i32)",
	"meta":         "(i32 i32 i32 i32) -> (i32)",
	"log":          "(i32 i32 i32) -> ()",
	"call":         "(i32 i32 i32 i32 i32) -> (i64)",
	"tail_call":    "(i32 i32 i32 i32) -> (i32)",
	"http_fetch":   "(i32 i32 i32) -> (i64)",
	"reply_read":   "(i32 i32 i32 i32) -> (i32)",
	"reply_close":  "(i32) -> (i32)",
	"error_read":   "(i32 i32) -> (i32)",
}

// maxNames limits how many names an error lists.
const maxNames = 20

// Fit returns how a module is called as the seed that intent describes, or why it cannot run as one.
func Fit(f Facts, seed intent.Seed) (intent.ABI, error) {
	if err := f.checkImports(seed); err != nil {
		return "", err
	}
	abi, err := f.abi(seed.ABI)
	if err != nil {
		return "", err
	}
	least, extra, most := intent.Size(f.MinPages)*PageSize, intent.Size(f.Extra()), seed.Bounds.Or().Memory
	if least > most {
		return "", fmt.Errorf("it starts with %v of memory, and \"memory\" allows %v: raise it", least, most)
	}
	if least+extra > most {
		return "", fmt.Errorf("it starts with %v of memory and %v of tables, globals and elements, and \"memory\" allows %v: raise it", least, extra, most)
	}
	if abi == intent.ABICommand && seed.Instance != intent.FreshnessUnset && seed.Instance != intent.Fresh {
		return "", fmt.Errorf("it is a command, which ends with its call: \"instance\" can only be fresh")
	}
	return abi, nil
}

// checkImports refuses imports that the host does not have, or does not grant.
func (f Facts) checkImports(seed intent.Seed) error {
	for _, i := range f.Imports {
		switch {
		case i.Kind != "func":
			return fmt.Errorf("it imports the %s %s.%s: only functions can be imported", i.Kind, i.Module, i.Name)
		case i.Module == WASI:
		case i.Module != Host:
			return fmt.Errorf("it imports %s.%s: only %s and %s are here%s", i.Module, i.Name, WASI, Host, unknownModule(i.Module))
		case HostTypes[i.Name] == "":
			return fmt.Errorf("it imports %s.%s, which does not exist: known are %s", Host, i.Name, strings.Join(slices.Sorted(maps.Keys(HostTypes)), ", "))
		case HostTypes[i.Name] != i.Type:
			return fmt.Errorf("it imports %s.%s as %s, which is %s", Host, i.Name, i.Type, HostTypes[i.Name])
		case i.Name == "http_fetch" && len(seed.Egress) == 0:
			return fmt.Errorf("it imports %s.http_fetch, and \"egress\" grants it nothing to fetch: list the addresses, such as \"https://api.example.com\"", Host)
		}
	}
	if !f.HasMemory && len(f.Imports) > 0 {
		return fmt.Errorf("it has no memory of its own")
	}
	return nil
}

func unknownModule(module string) string {
	switch {
	case strings.HasPrefix(module, "extism:"):
		return " (it was built for Extism)"
	case strings.HasPrefix(module, "wasi_unstable"):
		return " (it was built for an older WASI: build it for preview 1)"
	case strings.HasPrefix(module, "wasi:"):
		return " (it was built for WASI preview 2: build it for preview 1)"
	case module == "gojs" || module == "go":
		return " (it was built with GOOS=js: build it with GOOS=wasip1)"
	case module == "env":
		return " (a function that it calls was not linked in)"
	}
	return ""
}

// abi determines how the module is called; wanted overrides its exports, where they allow it.
func (f Facts) abi(wanted intent.ABI) (intent.ABI, error) {
	command, functions := f.Offers("_start", Nullary), f.Functions()
	switch {
	case wanted == intent.ABICommand && !command:
		return "", fmt.Errorf("it does not export _start, so it is no command: it exports %s", f.exportList())
	case wanted == intent.ABIReactor && len(functions) == 0, !command && len(functions) == 0:
		return "", fmt.Errorf("it exports neither _start nor a function %s that could be called: it exports %s", Entry, f.exportList())
	case (wanted == intent.ABIReactor || !command) && !f.Exported:
		return "", fmt.Errorf("it does not export its memory under the name \"memory\"")
	case wanted != intent.ABIUnset:
		return wanted, nil
	case command:
		return intent.ABICommand, nil
	}
	return intent.ABIReactor, nil
}

// exportList lists the exports for people.
func (f Facts) exportList() string {
	var words []string
	for i, e := range f.Exports {
		if i == maxNames {
			words = append(words, "…")
			break
		}
		words = append(words, e.Name+" "+e.Type)
	}
	if len(words) == 0 {
		return "no function"
	}
	return strings.Join(words, ", ")
}
