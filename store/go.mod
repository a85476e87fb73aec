module github.com/platypus-platform/platypus/store

go 1.26.0
