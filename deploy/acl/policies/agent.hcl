{{define "agent"}}# Intent that concerns this node. "list" is "read" and, where enable_key_list_policy is on, the reading of a prefix.
key_prefix "{{.Intent}}nodes/{{.Node}}/" {
  policy = "list"
}
key_prefix "{{.Intent}}clusters/" {
  policy = "list"
}
key_prefix "{{.Own}}placement/nodes/{{.Node}}/" {
  policy = "list"
}
key_prefix "{{.Own}}confirm/{{.Node}}/" {
  policy = "list"
}

# The sign of life is held through a session, and sessions belong to a node of Consul.
session "{{.Node}}" {
  policy = "write"
}
{{end}}
