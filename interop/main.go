// Command interop serves package mls to the MLS working group's test runner.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/marmotgo/marmot/interop/mlsclient"
	"github.com/marmotgo/marmot/interop/server"
)

func main() {
	port := flag.Int("port", 50001, "TCP port on the loopback address")
	name := flag.String("name", "marmot-go", "name given to the runner")
	flag.Parse()
	if err := serve(*port, *name); err != nil {
		log.Fatal(err)
	}
}

// serve answers until the process is asked to end.
func serve(port int, name string) error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	g := grpc.NewServer(grpc.MaxRecvMsgSize(64<<20), grpc.MaxSendMsgSize(64<<20))
	mlsclient.RegisterMLSClientServer(g, server.New(name, time.Now))
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stop
		g.Stop()
	}()
	log.Printf("serving on %s", listener.Addr())
	return g.Serve(listener)
}
