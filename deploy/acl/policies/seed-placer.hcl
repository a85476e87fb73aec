# seed-placer on {{.Node}}

# Which seeds, sites and blobs there shall be, and what the inventory says of its node. "list" is "read" and, where
# enable_key_list_policy is on, the reading of a prefix. It changes none of it.
{{range .Seeds}}key_prefix "{{.}}" {
  policy = "list"
}
{{end}}key_prefix "{{.Own}}confirm/{{.Node}}/" {
  policy = "list"
}

# Which nodes take seeds; it says so of its own alone.
key_prefix "{{.Own}}placement/hosts/" {
  policy = "list"
}
key "{{.Own}}placement/hosts/{{.Node}}" {
  policy = "write"
}

# What each node has. The keys end in the name of the node, behind seeds and blobs that are not known yet, and no rule of
# Consul leaves out the middle of a key: so it may write what other nodes have, too.
key_prefix "{{.Own}}placement/seeds/" {
  policy = "write"
}
key_prefix "{{.Own}}placement/blobs/" {
  policy = "write"
}

# Its report, its sign of life.
key "{{.Own}}status/seed-placer/{{.Node}}" {
  policy = "write"
}
key "{{.Own}}alive/{{.Node}}/seed-placer" {
  policy = "write"
}

# Both of its sessions belong to its node of Consul; one falls with the check of this service, within seconds of silence.
session "{{.Node}}" {
  policy = "write"
}
service "seed-placer" {
  policy     = "write"
  intentions = "deny"
}
