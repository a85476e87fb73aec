module github.com/platypus-platform/platypus/deploy

go 1.26.7

require (
	github.com/platypus-platform/platypus/intent v0.0.0
	github.com/platypus-platform/platypus/store v0.0.0
)
