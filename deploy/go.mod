module github.com/platypus-platform/platypus/deploy

go 1.26.7
