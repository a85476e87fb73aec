# port-authority on {{.Node}}
{{template "agent" .}}
# Its report, its sign of life.
key "{{.Own}}status/port-authority/{{.Node}}" {
  policy = "write"
}
key "{{.Own}}alive/{{.Node}}/port-authority" {
  policy = "write"
}
