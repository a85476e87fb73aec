package merge

import (
	"strings"

	"github.com/platypus-platform/platypus/store/history/parts"
)

// Identity returns the identity of a list item; ok is false if it has none.
type Identity func(item parts.Part) (name string, ok bool)

// Lists returns the Identity function for the list at a JSON pointer within a key's value, or nil if that list is one
// piece.
type Lists func(key, pointer string) Identity

// Intent is the Lists function for intent: ports are identified by number and protocol; the sources of a port and the
// regions of a vm are sets. Ordered lists, such as the words of a command, are one piece, and so is everything below
// user_config, which belongs to the app. The key may have any prefix before "clusters/" or "vms/".
func Intent(key, pointer string) Identity {
	at := strings.Split(strings.ToLower(strings.ReplaceAll(pointer, "_", "")), "/")
	switch {
	case strings.HasSuffix(key, "/deploy_config") && len(at) == 2 && at[1] == "ports":
		return portName
	case strings.HasSuffix(key, "/deploy_config") && len(at) == 4 && at[1] == "ports" && at[3] == "source":
		return scalar
	case (strings.HasPrefix(key, "vms/") || strings.Contains(key, "/vms/")) && len(at) == 2 && at[1] == "region":
		return scalar
	}
	return nil
}

// Sound reports whether an object merged from changes of both sides is valid. If not, the whole object is a conflict.
type Sound func(key, pointer string, joined parts.Part) bool

// OneActive rejects a merge in which each side activated a different version.
func OneActive(key, pointer string, joined parts.Part) bool {
	if !strings.HasSuffix(key, "/config") || !strings.EqualFold(pointer, "/versions") {
		return true
	}
	active := 0
	for _, e := range joined.Elements {
		status, isObject := e.Value.Get("status")
		if isObject && status.Text == "active" || e.Value.Kind == parts.String && e.Value.Text == "active" {
			active++
		}
	}
	return active <= 1
}

// allDistinct reports whether every item has an identity that is unique in its list.
func allDistinct(identity Identity, lists []*parts.Part) bool {
	for _, list := range lists {
		if list == nil {
			continue
		}
		seen := map[string]bool{}
		for _, e := range list.Elements {
			name, ok := identity(e.Value)
			if !ok || seen[name] {
				return false
			}
			seen[name] = true
		}
	}
	return true
}

// scalar identifies a string or a number by itself.
func scalar(item parts.Part) (string, bool) {
	return item.Text, item.Kind == parts.String || item.Kind == parts.Number
}

// portName identifies a port, in any notation, as in 8080/tcp.
func portName(item parts.Part) (string, bool) {
	protocol := "tcp"
	for _, e := range item.Elements {
		if strings.EqualFold(e.Name, "protocol") && item.Kind == parts.Object {
			protocol = strings.ToLower(e.Value.Text)
		}
	}
	for _, e := range item.Elements {
		if strings.EqualFold(e.Name, "port") && item.Kind == parts.Object {
			name, ok := scalar(e.Value)
			return name + "/" + protocol, ok
		}
	}
	name, ok := scalar(item)
	return name + "/" + protocol, ok
}
