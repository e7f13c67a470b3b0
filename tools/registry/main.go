// A schema registry that is not ours: the one that franz-go tests its own client with, in memory.
//
// It prints its address and serves until its standard input ends, so that it outlives nobody. With LOGIN=user:password
// in its environment it asks for that.
package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"os"

	"github.com/twmb/franz-go/pkg/sr/srfake"
)

func main() {
	var options []srfake.Option
	if login := os.Getenv("LOGIN"); login != "" {
		options = append(options, srfake.WithAuth("Basic "+base64.StdEncoding.EncodeToString([]byte(login))))
	}
	registry := srfake.New(options...)
	defer registry.Close()
	fmt.Println(registry.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
}
