# setlive on {{.Node}}
{{template "agent" .}}
# Its report, its sign of life.
key "{{.Own}}status/setlive/{{.Node}}" {
  policy = "write"
}
key "{{.Own}}alive/{{.Node}}/setlive" {
  policy = "write"
}

# Locks that keep enough nodes of a cluster in service while others change.
key_prefix "{{.Own}}locks/" {
  policy = "write"
}

# It registers the services it runs, under the names of apps that are not known yet, and reads their health everywhere.
service_prefix "" {
  policy     = "write"
  intentions = "deny"
}
node_prefix "" {
  policy = "read"
}
