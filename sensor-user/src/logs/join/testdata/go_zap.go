package main

import (
	"errors"

	"go.uber.org/zap"
)

func pay(log *zap.Logger) {
	log.Error("refused", zap.Error(errors.New("no card")), zap.Int("order", 7))
}

func main() {
	log, _ := zap.NewDevelopment()
	log.Info("open")
	func() { pay(log) }()
	log.Warn("slow")
	log.Info("closed")
}
