# preparer on {{.Node}}
{{template "agent" .}}
# Its report, its sign of life.
key "{{.Own}}status/preparer/{{.Node}}" {
  policy = "write"
}
key "{{.Own}}alive/{{.Node}}/preparer" {
  policy = "write"
}
