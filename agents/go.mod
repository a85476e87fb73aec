module github.com/platypus-platform/platypus/agents

go 1.26.7
