// Package acl writes the Consul ACL policy that an agent or a person needs, and nothing beyond it.
//
// A token with such a policy reads the intent that concerns it and writes its own report; every other write is refused
// by Consul. A policy is HCL, as `consul acl policy create -rules -` takes it.
package acl

import (
	"embed"
	"fmt"
	"strings"
	"text/template"

	"github.com/platypus-platform/platypus/intent"
)

//go:embed policies/*.hcl
var files embed.FS

var policies = template.Must(template.ParseFS(files, "policies/*.hcl"))

// The names of policies: the agents, and the two kinds of people.
const (
	Preparer      = "preparer"
	PortAuthority = "port-authority"
	Setlive       = "setlive"
	Recorder      = "recorder"
	Allocator     = "allocator"
	SeedPlacer    = "seed-placer"
	Dashboard     = "dashboard"
	Developer     = "developer"
	Operator      = "operator"
)

// Names returns the names that [Policy] knows, agents first.
func Names() []string {
	return []string{Preparer, PortAuthority, Setlive, Recorder, Allocator, SeedPlacer, Dashboard, Developer, Operator}
}

var (
	nouns   = []string{"nodes", "clusters", "regions", "machines", "vms", "seeds", "sites", "blobs", "services", "routes"}
	reports = []string{"status", "alive", "placement", "ledger", "locks"}
)

// scope holds the template parameters. All names have passed the allow-list, so none of them can close the quotes
// around it.
type scope struct {
	Node    string   // the node of an agent
	Config  string   // the one key a developer writes
	Intent  string   // the prefix of intent, such as "platypus/intent/"
	Own     string   // the prefix of what agents write, such as "platypus/"
	Wishes  []string // the prefixes that together are all intent
	Fleet   []string // the prefixes of intent that placement depends on
	Seeds   []string // the prefixes of seeds, sites, blobs and machines
	Reports []string // the prefixes that people read and agents write
	Shown   []string // the prefixes that the dashboard shows
}

// Policy returns the rules of one policy in HCL.
//
// For an agent, subject is the name of its node, which is also its name in Consul. For a developer it is the cluster
// whose config they may write, as "app/cluster": Consul cannot grant "config" below an app without "deploy_config"
// beside it, so each cluster is granted by its own policy. For an operator and for the dashboard it is empty. Root is the
// root of the tree, such as "platypus/"; the empty root is the layout of 2014, with intent at the top of the store.
func Policy(name, subject, root string) (string, error) {
	s, err := under(root)
	if err != nil {
		return "", err
	}
	switch name {
	case Developer:
		app, cluster, _ := strings.Cut(subject, "/")
		if !valid(app) || !valid(cluster) {
			return "", fmt.Errorf("policy %s: %q is not an app and its cluster, such as slug/production", name, subject)
		}
		s.Config = s.Intent + "clusters/" + subject + "/config"
	case Operator, Dashboard:
		if subject != "" {
			return "", fmt.Errorf("policy %s: it holds for all nodes, %q is one too many", name, subject)
		}
	case Preparer, PortAuthority, Setlive, Recorder, Allocator, SeedPlacer:
		if !valid(subject) {
			return "", fmt.Errorf("policy %s: %q is not the name of a node", name, subject)
		}
		s.Node = subject
	default:
		return "", fmt.Errorf("policy %q is not one of %s", name, strings.Join(Names(), ", "))
	}
	var text strings.Builder
	if err := policies.ExecuteTemplate(&text, name+".hcl", s); err != nil {
		return "", fmt.Errorf("write policy %s: %w", name, err)
	}
	return text.String(), nil
}

// under returns the scope for a root.
func under(root string) (scope, error) {
	tree, err := intent.ParseRoot(root)
	if err != nil {
		return scope{}, err
	}
	s := scope{Own: string(tree.Own()), Intent: string(tree.Intent()), Wishes: []string{string(tree.Intent())}}
	if s.Intent == "" {
		s.Wishes = nil // all of the store is more than all intent
		for _, noun := range nouns {
			s.Wishes = append(s.Wishes, noun+"/")
		}
	}
	for _, noun := range []string{"nodes", "regions", "machines", "vms"} {
		s.Fleet = append(s.Fleet, s.Intent+noun+"/")
	}
	for _, noun := range []string{"seeds", "sites", "blobs", "machines"} {
		s.Seeds = append(s.Seeds, s.Intent+noun+"/")
	}
	for _, noun := range []string{"regions", "machines", "vms"} {
		s.Shown = append(s.Shown, s.Intent+noun+"/")
	}
	for _, noun := range []string{"ledger", "placement", "status", "alive", "history"} {
		s.Shown = append(s.Shown, s.Own+noun+"/")
	}
	for _, noun := range reports {
		s.Reports = append(s.Reports, s.Own+noun+"/")
	}
	return s, nil
}

func valid(name string) bool {
	_, err := intent.ParseName(name)
	return err == nil
}
