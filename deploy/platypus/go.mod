module github.com/platypus-platform/platypus/deploy/platypus

go 1.26.7
