# operator: all intent, its history and its forks, where vms are, and the word that lets a held agent go on
{{range .Wishes}}key_prefix "{{.}}" {
  policy = "write"
}
{{end}}key_prefix "{{.Own}}confirm/" {
  policy = "write"
}
key_prefix "{{.Own}}history/" {
  policy = "write"
}
key_prefix "{{.Own}}forks/" {
  policy = "write"
}

# Where vms are: platypus rebalance moves them, each in one transaction as an allocator would.
key_prefix "{{.Own}}ledger/" {
  policy = "write"
}
key_prefix "{{.Own}}placement/vms/" {
  policy = "write"
}
key_prefix "{{.Own}}placement/nodes/" {
  policy = "write"
}

# What agents write is theirs to write and everybody's to read.
{{range .Reports}}key_prefix "{{.}}" {
  policy = "list"
}
{{end}}service_prefix "" {
  policy = "read"
}
node_prefix "" {
  policy = "read"
}
