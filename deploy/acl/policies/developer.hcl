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
{{end}}key_prefix "{{.Own}}history/" {
  policy = "list"
}
