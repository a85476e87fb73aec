package merge

import (
	"strings"

	"github.com/platypus-platform/platypus/store/history/parts"
)

// Identity returns what an item of a list is known by, and whether it can be known at all.
type Identity func(item parts.Part) (name string, ok bool)

// Lists returns the identity of the items of the list at a JSON pointer within a key's value, or nil when that list is
// one piece.
type Lists func(key, pointer string) Identity

// Intent is the schema of intent: ports are known by number and protocol; the sources of a port and the regions of a vm
// are sets. Lists whose order means something, such as the words of a command, are one piece, and so is everything below
// user_config, which is the app's own affair. The key may have anything before "clusters/" or "vms/".
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

// Sound reports whether an object that was joined of both sides' changes means what either meant. Where it does not, the
// object is one piece and a conflict.
type Sound func(key, pointer string, joined parts.Part) bool

// OneActive is what intent asks beyond each member: when each side made another version the active one, neither wanted
// both.
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

// tellsApart reports whether every item of the lists has an identity that no other of its list has.
func tellsApart(identity Identity, lists []*parts.Part) bool {
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

// scalar knows a string or a number by itself.
func scalar(item parts.Part) (string, bool) {
	return item.Text, item.Kind == parts.String || item.Kind == parts.Number
}

// portName knows a port, however it is written, as 8080/tcp.
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
