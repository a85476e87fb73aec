module github.com/platypus-platform/platypus/intent

go 1.26.7
