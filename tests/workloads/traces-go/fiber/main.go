// A service on fiber, which is not net/http but fasthttp: fiber PORT
package main

import (
	"log"
	"os"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"sensor/workloads/traces/work"
)

func main() {
	call := work.HTTP(work.Client())
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/work/:pattern/:marker", func(c *fiber.Ctx) error {
		// What the framework hands out is overwritten by its next request.
		own := strings.Clone
		request, err := work.Parse(own(c.Path()), own(c.Get("Pass-On")), own(c.Get("Traceparent")))
		if err != nil {
			return err
		}
		if err := request.Do(c.UserContext(), call); err != nil {
			return err
		}
		if request.Pattern == "after" {
			// The answer is out some time after the handler has returned.
			time.AfterFunc(work.Late, func() { request.After(call) })
		}
		return c.SendString("done\n")
	})
	log.Fatal(app.Listen("127.0.0.1:" + os.Args[1]))
}
