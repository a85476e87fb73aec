module seeds

go 1.26.7

require github.com/platypus-platform/platypus/agents/guest v0.0.0

replace github.com/platypus-platform/platypus/agents/guest => ../../agents/guest
