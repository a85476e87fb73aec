# developer of {{.Config}}
key "{{.Config}}" {
  policy = "write"
}

# Reading is free: what is wished for and what came of it.
{{range .Wishes}}key_prefix "{{.}}" {
  policy = "list"
}
{{end}}{{range .Reports}}key_prefix "{{.}}" {
  policy = "list"
}
{{end}}key_prefix "{{.Own}}forks/" {
  policy = "list"
}

# What they change is recorded in the same transaction. Who may write here may forge; the chain of hashes shows it.
key_prefix "{{.Own}}history/" {
  policy = "write"
}
