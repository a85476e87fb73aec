module github.com/platypus-platform/platypus/agents/guest

go 1.26.7
