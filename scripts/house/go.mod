module github.com/platypus-platform/platypus/scripts/house

go 1.26.7
