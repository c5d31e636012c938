package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand writes the manual, from the same source as --help.
func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man FOLDER", Short: "Write man pages of all verbs into a folder", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // the same source gives the same bytes
			header := &doc.GenManHeader{Title: "MARMOT", Section: "1", Source: "marmot", Manual: "Marmot"}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return err
			}
			pages, err := filepath.Glob(filepath.Join(args[0], "marmot*.1"))
			if err != nil {
				return err
			}
			a.print(map[string]any{"type": "man", "pages": len(pages)}, "%s", fmt.Sprintf("%d pages: man -M or man -l %s", len(pages), filepath.Join(args[0], "marmot.1")))
			return nil
		},
	}
}
