# recorder on {{.Node}}

# All intent, to be compared with its history. "list" is "read" and, where enable_key_list_policy is on, the reading of a
# prefix. It changes none of it.
{{range .Wishes}}key_prefix "{{.}}" {
  policy = "list"
}
{{end}}key_prefix "{{.Own}}history/" {
  policy = "write"
}

# Its report, its sign of life, which is held through a session; sessions belong to a node of Consul.
key "{{.Own}}status/recorder/{{.Node}}" {
  policy = "write"
}
key "{{.Own}}alive/{{.Node}}/recorder" {
  policy = "write"
}
session "{{.Node}}" {
  policy = "write"
}
