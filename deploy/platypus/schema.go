package main

import (
	"context"
	"strings"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/flagline"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/schema"
)

func schemaVerb() verb {
	return verb{
		name: "schema", usage: "print the JSON Schema of intent, for editors and generators", args: "[KIND]", minArgs: 0, maxArgs: 1,
		text: `Prints the schema (2020-12) of one kind of value: ` + strings.Join(schema.Kinds(), ", ") + `.
Without KIND it is that of an intent file, keys and all. A file may name it in a member "$schema".`,
		examples: []string{"platypus schema > intent.schema.json", "platypus schema deploy_config"},
		run: func(_ context.Context, cmd *command) error {
			kind := append(cmd.args, "file")[0]
			document, err := schema.Document(kind)
			if err != nil {
				if near := flagline.Nearest(kind, schema.Kinds()); near != "" {
					return usage("%w: did you mean %s?", err, near)
				}
				return usage("%w", err)
			}
			cmd.printf("%s", document)
			return nil
		},
	}
}
