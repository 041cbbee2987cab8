// A service on echo: echo PORT
package main

import (
	"log"
	"os"

	"github.com/labstack/echo/v4"

	"sensor/workloads/traces/work"
)

func main() {
	call := work.HTTP(work.Client())
	server := echo.New()
	server.HideBanner, server.HidePort = true, true
	server.GET("/work/:pattern/:marker", func(c echo.Context) error {
		work.Serve(c.Response(), c.Request(), call)
		return nil
	})
	log.Fatal(server.Start("127.0.0.1:" + os.Args[1]))
}
