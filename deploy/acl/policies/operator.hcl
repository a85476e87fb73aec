# operator: all intent, its history and its forks, and the word that lets a held agent go on
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
