// A service on gin: gin PORT
package main

import (
	"log"
	"os"

	"github.com/gin-gonic/gin"

	"sensor/workloads/traces/work"
)

func main() {
	gin.SetMode(gin.ReleaseMode)
	call := work.HTTP(work.Client())
	engine := gin.New()
	engine.Use(gin.Recovery())
	engine.GET("/work/:pattern/:marker", func(c *gin.Context) {
		work.Serve(c.Writer, c.Request, call)
	})
	log.Fatal(engine.Run("127.0.0.1:" + os.Args[1]))
}
