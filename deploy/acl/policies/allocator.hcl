# allocator on {{.Node}}

# What is wished for and what there is, which apps people put on nodes, and who is heard of. "list" is "read" and, where
# enable_key_list_policy is on, the reading of a prefix. It changes none of it.
{{range .Fleet}}key_prefix "{{.}}" {
  policy = "list"
}
{{end}}key_prefix "{{.Own}}status/setlive/" {
  policy = "list"
}
key_prefix "{{.Own}}alive/" {
  policy = "list"
}
key_prefix "{{.Own}}confirm/{{.Node}}/" {
  policy = "list"
}

# What each machine holds, where each vm is, and the apps that vms bring to nodes.
key_prefix "{{.Own}}ledger/" {
  policy = "write"
}
key_prefix "{{.Own}}placement/vms/" {
  policy = "write"
}
key_prefix "{{.Own}}placement/nodes/" {
  policy = "write"
}

# Its report, its sign of life, which is held through a session; sessions belong to a node of Consul.
key "{{.Own}}status/allocator/{{.Node}}" {
  policy = "write"
}
key "{{.Own}}alive/{{.Node}}/allocator" {
  policy = "write"
}
session "{{.Node}}" {
  policy = "write"
}
