package main

import (
	"github.com/marmotgo/marmot/nostr/relayd"
	"github.com/spf13/cobra"
)

func (a *app) relayCommand() *cobra.Command {
	c := &cobra.Command{Use: "relay", Short: "A relay of your own"}
	var listen string
	serve := &cobra.Command{
		Use: "serve", Short: "Run a relay that keeps its events in memory, for a laptop, a LAN and tests", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := relayd.Start(listen, relayd.Config{Name: "marmot relay"})
			if err != nil {
				return err
			}
			a.print(map[string]string{"type": "relay", "url": r.URL()}, "listening on %s", r.URL())
			<-cmd.Context().Done()
			return r.Close()
		},
	}
	serve.Flags().StringVar(&listen, "listen", "127.0.0.1:7777", "address to listen on")
	c.AddCommand(serve)
	return c
}
