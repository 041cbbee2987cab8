// A service that logs a lot, by Zap as in production, to standard output: load LINES PER_SECOND SPIN RESULT
//
// It begins when it reads a line. Each line has its number from 0, and comes with SPIN turns of work; PER_SECOND 0 is as
// fast as it can. When it is done, RESULT has the nanoseconds that it took in all, and the longest that one line took.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"time"

	"go.uber.org/zap"
)

// work is what the service is there for, as far as its processor can tell.
func work(turns int, state uint64) uint64 {
	for range turns {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
	}
	return state
}

func main() {
	var numbers [3]int
	for at := range numbers {
		number, err := strconv.Atoi(os.Args[at+1])
		if err != nil {
			panic(err)
		}
		numbers[at] = number
	}
	lines, rate, spin := numbers[0], numbers[1], numbers[2]
	config := zap.NewProductionConfig()
	config.Sampling = nil
	config.OutputPaths = []string{"stdout"}
	logger, err := config.Build()
	if err != nil {
		panic(err)
	}
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		panic(err)
	}
	start := time.Now()
	var longest time.Duration
	state := uint64(88172645463325252)
	for number := range lines {
		if rate > 0 {
			due := time.Duration(number) * time.Second / time.Duration(rate)
			if early := due - time.Since(start); early > time.Millisecond {
				time.Sleep(early)
			}
		}
		state = work(spin, state)
		before := time.Now()
		logger.Info("order placed", zap.Int("n", number), zap.String("order_id", "o-17"), zap.Uint64("state", state))
		longest = max(longest, time.Since(before))
	}
	said := fmt.Sprintf("%d %d\n", time.Since(start).Nanoseconds(), longest.Nanoseconds())
	if err := os.WriteFile(os.Args[4], []byte(said), 0o644); err != nil {
		panic(err)
	}
}
