# dashboard: what its page shows, and not a single write
{{range $noun := .Shown}}key_prefix "{{$noun}}" {
  policy = "list"
}
{{end}}
