// Reads what an engine for containers would read, with the readers that such engines have.
//
// "deployment compose FILE..." loads compose files as docker compose does (its schema, defaults and checks), later ones
// over earlier ones, and prints what they come to; "deployment dockerfile FILE" parses a Dockerfile as BuildKit does.
// Both print JSON, and exit with 1 and the reader's own words for a file that is wrong.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

type step struct {
	Name string
	Text string
	Step any
}

type stage struct {
	Name  string
	Base  string
	Steps []step
}

func compose(paths []string) (any, error) {
	options, err := cli.NewProjectOptions(paths, cli.WithOsEnv, cli.WithName("crucible"))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}

func dockerfile(paths []string) (any, error) {
	file, err := os.Open(paths[0])
	if err != nil {
		return nil, err
	}
	defer file.Close()
	parsed, err := parser.Parse(file)
	if err != nil {
		return nil, err
	}
	warnings := []string{}
	rules := linter.New(&linter.Config{Warn: func(name, _, _, text string, _ []parser.Range) {
		warnings = append(warnings, name+": "+text)
	}})
	found, _, err := instructions.Parse(parsed.AST, rules)
	if err != nil {
		return nil, err
	}
	for _, warning := range parsed.Warnings {
		warnings = append(warnings, warning.Short)
	}
	stages := []stage{}
	for _, each := range found {
		made := stage{each.Name, each.BaseName, []step{}}
		for _, command := range each.Commands {
			made.Steps = append(made.Steps, step{command.Name(), fmt.Sprint(command), command})
		}
		stages = append(stages, made)
	}
	return map[string]any{"Stages": stages, "Warnings": warnings}, nil
}

func main() {
	readers := map[string]func([]string) (any, error){"compose": compose, "dockerfile": dockerfile}
	var read func([]string) (any, error)
	if len(os.Args) > 2 {
		read = readers[os.Args[1]]
	}
	if read == nil {
		fmt.Fprintln(os.Stderr, "usage: deployment compose FILE... | dockerfile FILE")
		os.Exit(2)
	}
	found, err := read(os.Args[2:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
